/** How orders are brought to where operators find them: what the tables of situations are staged with. */
import { randomUUID } from 'node:crypto';
import type { SagaPolicy } from '../../contracts/saga.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { readStanding } from '../../domain/installation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { requestCancellation } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { recordDecision } from '../../domain/saga-log.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import { restartSaga } from '../../sagas/restart.js';
import { SILENT } from '../support/api.js';
import { accept } from '../support/database.js';
import { PATIENT } from '../support/saga.js';
import { KEY, type Stage } from './stage.js';

export let stage: Stage;
/** To be called before any order is staged. */
export function useStage(opened: Stage): void {
  stage = opened;
}

export const SOON = { stepRetryBudgetMs: 1_000 };
const wanted = { reason: 'CANCELLED_BY_CUSTOMER' } as const;

export const confirmed = async () => {
  const { order, result } = await stage.s.place({ A: 1 });
  await result();
  return order.id;
};
export const cancelled = async () => {
  const { order, result } = await stage.s.place({ NONE: 1 });
  await result();
  return order.id;
};
export const parkedAt = async (step: string, before: () => Promise<unknown> | unknown = () => undefined) => {
  stage.broken.add(step);
  await before();
  return (await stage.s.place({ A: 1 }, { policy: SOON })).order.id;
};
export const retrying = async (policy: Partial<SagaPolicy> = {}) => {
  stage.broken.add('chargePayment');
  return (await stage.s.place({ A: 1 }, { policy })).order.id;
};
export const chargeOf = async (orderId: string) =>
  (await stage.s.db.payment.findUniqueOrThrow({ where: { orderId } })).gatewayReference as string;
export const reconcile = async (id: string) => {
  const gateway = createPaymentGateway({ url: stage.s.sandboxUrl, apiKey: KEY, timeoutMs: 2_000 });
  const { id: installationId } = await readStanding(stage.s.db);
  await stage.s.db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
  await reconcileOnce({ db: stage.s.db, gateway, installationId, logger: SILENT, owner: randomUUID() }, [id]);
};
export const cancelIn = (id: string) => requestCancellation(stage.s.db, id, wanted);
/** Of a confirmed order: its cancellation is carried out. */
export const cancelAndEnd = async (id: string) => {
  await cancelIn(id);
  await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
  await stage.until(id, 'cancelled');
};
/** As Postgres has an order whose history is gone. */
export const confirmedLongAgo = async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  await reserveInventory(db, id);
  await recordCharge(db, id, await stage.takeMoney(id));
  await confirmOrder(db, id);
  return id;
};

/** An operator has vouched that the money came by bank transfer. */
export const paidOutside = async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  await reserveInventory(db, id);
  await recordDecision(db, {
    ...{ id: randomUUID(), orderId: id, action: 'skip', step: 'chargePayment', before: 'NEEDS_ATTENTION' },
    ...{ operator: 'op-7', reason: 'bank transfer, ticket 4711' },
  });
  await recordCharge(db, id, null, { attempts: 3, skippedBy: 'op-7' });
  await confirmOrder(db, id);
  return id;
};
