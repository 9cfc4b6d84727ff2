/**
 * Stuck sagas: those that will not end without an operator. Either the saga says so itself (NEEDS_ATTENTION), or it has ended
 * from outside (terminated, failed by a bug, timed out) while its order is not final. Temporal knows which, until it forgets;
 * Postgres knows what each is worth, who is waiting, and which orders wait at all.
 */
import { orderSagaId } from '../contracts/ids.js';
import type { Money, OrderStatus } from '../contracts/orders.js';
import { STEPS, UNDOS } from '../contracts/plan.js';
import type { SagaPolicy, SagaState } from '../contracts/saga.js';
import { Prisma } from '../prisma/generated/client.js';
import { type CustomerBehind, customerBehind } from './customers.js';
import type { Database } from './database.js';
import { openCustomer } from './sealing/of-customers.js';

/** What Temporal's visibility tells of a saga, in the words of its search attributes. */
export type StuckCandidate = {
  orderId: string;
  workflowId: string;
  /** null: Temporal knows no saga of this order. */
  runId: string | null;
  state: SagaState | null;
  step: string | null;
  failure: string | null;
  startedAt: Date;
};

export type StuckSaga = Omit<StuckCandidate, 'startedAt'> & {
  status: OrderStatus;
  customerId: string;
  customerReference?: string;
  total: Money;
  /** The gateway's id of the charge, where there is one on record. */
  gatewayReference: string | null;
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

/** What a filter says of those that stand at no step, or for no known reason; one that is left out means any. */
export const NONE = 'none';

/** Whether it is among those that a filter of step and failure is about. */
export const isOfCause = (
  saga: Pick<StuckSaga, 'step' | 'failure'>,
  { step, failure }: { step?: string | undefined; failure?: string | undefined },
): boolean =>
  (step === undefined || (saga.step ?? NONE) === step) && (failure === undefined || (saga.failure ?? NONE) === failure);

/** An order that has waited longer than a saga without trouble takes. */
export type WaitingOrder = {
  orderId: string;
  /** Confirmed, and on its way back. */
  takingBack: boolean;
  /** A process has seen its saga begin. */
  everStarted: boolean;
  /** It has waited beyond the time at which its saga itself reports that it does not come to its end. */
  isOpenTooLong: boolean;
  /** For longer than a saga may take to begin. */
  isLate: boolean;
  since: Date;
};

/** What a saga is given, as far as it says when it must have come to its end. Milliseconds. */
export type SagaTimeLimits = Pick<SagaPolicy, 'sagaDeadlineMs' | 'compensationAttentionAfterMs'>;

/** Sagas without trouble take milliseconds. What does not move is to be seen within a minute. */
const WAITING_AFTER = Prisma.sql`interval '30 s'`;
/** The sweep starts a forgotten one within seconds; after an outage it needs a few more for all of them. */
const LATE_AFTER = Prisma.sql`interval '60 s'`;
/** Beyond the deadline, and the time after which a failing undo is marked: for an undo or two that go well at last. */
const TOO_LONG_MARGIN_MS = 60_000;
/** Beyond what a busy service takes; an operator who looks just after something has broken should see that it is so. */
export const SLOW_AFTER_S = 10;

/** @returns the longest waiting first; most of them have a saga that runs, which only Temporal can tell */
export async function listWaitingOrders(
  db: Database,
  timeLimits: SagaTimeLimits,
  limit: number,
): Promise<WaitingOrder[]> {
  const undoMs = timeLimits.compensationAttentionAfterMs + TOO_LONG_MARGIN_MS;
  const allMs = timeLimits.sagaDeadlineMs + undoMs;
  const before = (ms: number) => Prisma.sql`now() - ${ms}::float8 * interval '1 ms'`;
  return db.$queryRaw<WaitingOrder[]>`
    SELECT id AS "orderId", status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AS "takingBack", saga_started_at IS NOT NULL AS "everStarted", since,
      CASE WHEN status = 'PENDING' THEN coalesce(saga_started_at, since) < ${before(allMs)} ELSE since < ${before(undoMs)} END
        AS "isOpenTooLong", since < now() - ${LATE_AFTER} AS "isLate"
    FROM (${waitingFor(WAITING_AFTER, limit)}) AS waiting
    ORDER BY since LIMIT ${limit}`;
}

/** The newest entries of the log: beside the steps' there are decisions, which no worker has to do with. */
const LOG_MAX = 100;

/** For how long no step and no undo of any order has come to its end; more than that log can tell is Infinity. */
export async function readStandstillSeconds(db: Database): Promise<number> {
  const [row] = await db.$queryRaw<{ seconds: number | null }[]>`
    SELECT extract(epoch FROM now() - max(at))::float8 AS seconds
    FROM (SELECT at, step FROM saga_log ORDER BY id DESC LIMIT ${LOG_MAX}) AS newest
    WHERE step = ANY(${[...STEPS, ...UNDOS]})`;
  return row?.seconds ?? Number.POSITIVE_INFINITY;
}

/** How many orders are neither final nor quick, and the one that has waited longest; stuck ones among them. */
export type SlowOrders = { count: number; oldest: { orderId: string; since: string } | null };

/** @param limit about where counting ends */
export async function countSlowOrders(db: Database, limit: number): Promise<SlowOrders> {
  const [row] = await db.$queryRaw<{ count: number; orderId: string | null; since: Date | null }[]>`
    SELECT count(*)::int AS count, (array_agg(id ORDER BY since))[1] AS "orderId", min(since) AS since
    FROM (${waitingFor(Prisma.sql`${SLOW_AFTER_S}::int * interval '1 s'`, limit)}) AS waiting`;
  const { count = 0, orderId = null, since = null } = row ?? {};
  return { count, oldest: orderId !== null && since !== null ? { orderId, since: since.toISOString() } : null };
}

/** One of them: `takingBack` as in WaitingOrder. */
export type SlowOrder = { orderId: string; takingBack: boolean; since: string };

/** @returns the longest waiting first */
export async function listSlowOrders(db: Database, limit: number): Promise<SlowOrder[]> {
  const rows = await db.$queryRaw<(Omit<SlowOrder, 'since'> & { since: Date })[]>`
    SELECT id AS "orderId", status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AS "takingBack", since
    FROM (${waitingFor(Prisma.sql`${SLOW_AFTER_S}::int * interval '1 s'`, limit)}) AS waiting ORDER BY since LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, since: row.since.toISOString() }));
}

/** Orders with a saga to end: not final yet, on their way back, or with steps after the pivot. Each part reads an index. */
const waitingFor = (time: Prisma.Sql, limit: number): Prisma.Sql => Prisma.sql`
  (SELECT id, status, unwinding_reason, saga_started_at, created_at AS since FROM orders
   WHERE status = 'PENDING' AND created_at < now() - ${time} ORDER BY id LIMIT ${limit})
  UNION ALL
  (SELECT id, status, unwinding_reason, saga_started_at, updated_at FROM orders
   WHERE status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AND updated_at < now() - ${time}
   ORDER BY id LIMIT ${limit})
  UNION ALL
  (SELECT id, status, unwinding_reason, saga_started_at, updated_at FROM orders
   WHERE forward_due AND status = 'CONFIRMED' AND unwinding_reason IS NULL AND updated_at < now() - ${time}
   ORDER BY id LIMIT ${limit})`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * @param candidates sagas that Temporal shows as stuck or as ended from outside
 * @returns those whose order is not final, oldest first and dearest first among those of one minute
 */
export async function joinStuckSagas(db: Database, candidates: StuckCandidate[]): Promise<StuckSaga[]> {
  // A saga that was started by hand may be called anything; the list must survive it.
  const ids = candidates.map((candidate) => candidate.orderId).filter((id) => UUID.test(id));
  const orders = await db.$queryRaw<OpenOrderRow[]>`
    SELECT o.id, o.status, o.customer_id AS customer, ${customerBehind(Prisma.sql`o.customer_id`)} AS behind, o.total_amount AS "totalAmount", o.currency,
      o.unwinding_reason AS "unwindingReason", p.gateway_reference AS "gatewayReference"
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
    WHERE o.id = ANY(${ids}::uuid[])
      AND (o.status = 'PENDING' OR (o.status = 'CONFIRMED' AND (o.unwinding_reason IS NOT NULL OR o.forward_due)))`;
  const byId = new Map(orders.map((order) => [order.id, order]));
  const stuck = await Promise.all(
    candidates.map(async (candidate): Promise<StuckSaga[]> => {
      const order = byId.get(candidate.orderId);
      if (!order || isDone(candidate, order)) return [];
      const { customer, behind, totalAmount, currency } = order;
      const total = { amount: Number(totalAmount), currency };
      return [
        {
          ...candidate,
          startedAt: candidate.startedAt.toISOString(),
          status: order.status,
          ...(await openCustomer(db, { held: customer, behind }, 'closed')), // the list is for when things are away
          total,
          gatewayReference: order.gatewayReference,
        },
      ];
    }),
  );
  return stuck.flat().sort(byUrgency);
}

type OpenOrderRow = {
  id: string;
  status: OrderStatus;
  customer: string;
  behind: CustomerBehind | null;
  totalAmount: bigint;
  currency: string;
  unwindingReason: string | null;
  gatewayReference: string | null;
};

/** The saga that confirmed an order has done its part, however it ended, once the order is taken back: that is another saga's. */
const isDone = (
  { workflowId, orderId }: StuckCandidate,
  order: { status: string; unwindingReason: string | null },
): boolean => order.status === 'CONFIRMED' && order.unwindingReason !== null && workflowId === orderSagaId(orderId);

/** Where a saga stands in the list: oldest first, dearest first among those of one minute. */
export type StuckPlace = { minute: string; amount: number; workflowId: string };

export const stuckPlace = ({ startedAt, total, workflowId }: StuckSaga): StuckPlace => ({
  minute: startedAt.slice(0, 16),
  amount: total.amount,
  workflowId,
});

export const comparePlaces = (a: StuckPlace, b: StuckPlace): number =>
  a.minute.localeCompare(b.minute) || b.amount - a.amount || a.workflowId.localeCompare(b.workflowId);

const byUrgency = (a: StuckSaga, b: StuckSaga): number => comparePlaces(stuckPlace(a), stuckPlace(b));

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
