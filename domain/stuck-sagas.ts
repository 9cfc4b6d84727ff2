/**
 * Stuck sagas: those that will not end without someone. Either the saga says so itself (NEEDS_ATTENTION), or it has ended
 * from outside (terminated, failed by a bug, timed out) while its order is not final. Temporal knows which; Postgres knows
 * what each is worth and who is waiting.
 */
import type { Money, OrderStatus } from '../contracts/orders.js';
import type { SagaState } from '../contracts/saga.js';
import type { Database } from './database.js';

/** What Temporal's visibility tells of a saga, in the words of its search attributes. */
export type SagaFinding = {
  orderId: string;
  workflowId: string;
  runId: string;
  state: SagaState | null;
  step: string | null;
  failure: string | null;
  startedAt: Date;
};

export type StuckSaga = Omit<SagaFinding, 'startedAt'> & {
  status: OrderStatus;
  customerId: string;
  total: Money;
  startedAt: string;
};
/** Stuck sagas that look alike: usually one cause. `amounts` = what they hold up, per currency. */
export type StuckGroup = {
  step: string | null;
  failure: string | null;
  count: number;
  oldest: string;
  amounts: Money[];
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * @param findings sagas that Temporal shows as stuck or as ended from outside
 * @returns those whose order is not final, oldest first and dearest first among those of one minute
 */
export async function joinStuckSagas(db: Database, findings: SagaFinding[]): Promise<StuckSaga[]> {
  const orders = await db.order.findMany({
    where: {
      // Whoever starts a saga by hand may call it anything; the list must survive it.
      id: { in: findings.map((finding) => finding.orderId).filter((id) => UUID.test(id)) },
      OR: [{ status: 'PENDING' }, { status: 'CONFIRMED', unwindingReason: { not: null } }],
    },
    select: { id: true, status: true, customerId: true, totalAmount: true, currency: true },
  });
  const byId = new Map(orders.map((order) => [order.id, order]));
  const stuck = findings.flatMap((finding): StuckSaga[] => {
    const order = byId.get(finding.orderId);
    if (!order) return [];
    const { customerId, totalAmount, currency } = order;
    const total = { amount: Number(totalAmount), currency };
    return [
      {
        ...finding,
        startedAt: finding.startedAt.toISOString(),
        status: order.status as OrderStatus,
        customerId,
        total,
      },
    ];
  });
  const minute = (saga: StuckSaga) => saga.startedAt.slice(0, 16);
  return stuck.sort(
    (a, b) =>
      minute(a).localeCompare(minute(b)) || b.total.amount - a.total.amount || a.workflowId.localeCompare(b.workflowId),
  );
}

/** @returns the largest group first */
export function groupByFailure(sagas: StuckSaga[]): StuckGroup[] {
  const groups = new Map<string, StuckGroup>();
  for (const { step, failure, startedAt, total } of sagas) {
    const key = `${step}/${failure}`;
    const group = groups.get(key) ?? { step, failure, count: 0, oldest: startedAt, amounts: [] };
    group.count++;
    if (startedAt < group.oldest) group.oldest = startedAt;
    const sum = group.amounts.find((money) => money.currency === total.currency);
    if (sum) sum.amount += total.amount;
    else group.amounts.push({ ...total });
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}
