/** What the plan that wraps gifts does besides: a row per order in a table of its own, and a courier that may be down. */
import { step, undo } from '../../../activities/failures.js';
import { stepsOf } from '../../../contracts/plan.js';
import type { SagaActivities } from '../../../contracts/steps.js';
import type { Database } from '../../../domain/database.js';
import { cancelOrder, readOrderState, type StepOutcome } from '../../../domain/orders.js';
import type { Run } from '../../../domain/saga-log.js';
import { GIFT_PLAN } from './plan.js';

export const createGifts = (db: Database) =>
  db.$executeRaw`CREATE TABLE gifts (order_id uuid PRIMARY KEY, state text NOT NULL)`;

export type Courier = { isDown: boolean; isDeaf: boolean };

export function giftActivities(real: SagaActivities, db: Database, courier: Courier) {
  const holdings = stepsOf(GIFT_PLAN).flatMap(({ holds }) => holds ?? []);
  return {
    ...real,
    wrapGift: step((orderId) => schedule(db, orderId)),
    unwrapGift: undo(async (orderId) => {
      if (courier.isDeaf) return 'nothing'; // an undo that forgets its work
      const rows = await db.$executeRaw`
        INSERT INTO gifts (order_id, state) VALUES (${orderId}::uuid, 'UNWRAPPED')
        ON CONFLICT (order_id) DO UPDATE SET state = 'UNWRAPPED' WHERE gifts.state <> 'UNWRAPPED'`;
      return rows > 0 ? 'done' : 'nothing';
    }),
    callCourier: step((orderId, run) => call(db, orderId, run, courier)),
    cancelOrder: undo((orderId, run, { left }) => cancelOrder(db, orderId, run, left, holdings)),
  };
}

async function schedule(db: Database, orderId: string): Promise<StepOutcome> {
  await db.$executeRaw`
    INSERT INTO gifts (order_id, state)
    SELECT id, 'WRAPPED' FROM orders WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
    ON CONFLICT DO NOTHING`;
  return standing(db, orderId);
}

async function call(db: Database, orderId: string, { skippedBy }: Run, { isDown }: Courier): Promise<StepOutcome> {
  const orderState = await standing(db, orderId);
  if (orderState.outcome === 'refused') return orderState;
  if (isDown && skippedBy === undefined) throw new Error('the courier is down');
  await db.$executeRaw`
    UPDATE gifts SET state = 'ON_ITS_WAY' FROM orders o
    WHERE o.id = order_id AND order_id = ${orderId}::uuid AND o.unwinding_reason IS NULL AND state = 'WRAPPED'`;
  return { outcome: 'done' };
}

async function standing(db: Database, orderId: string): Promise<StepOutcome> {
  const { unwindingReason } = await readOrderState(db, orderId);
  return unwindingReason === null ? { outcome: 'done' } : { outcome: 'refused', reason: unwindingReason };
}
