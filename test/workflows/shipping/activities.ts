/** What the plan that ships does besides: a row per order in a table of its own, and a carrier that may be down. */
import { step, undo } from '../../../activities/failures.js';
import { stepsOf } from '../../../contracts/plan.js';
import type { SagaActivities } from '../../../contracts/steps.js';
import type { Database } from '../../../domain/database.js';
import { cancelOrder, readDoor, type StepOutcome } from '../../../domain/orders.js';
import { SHIPPING_PLAN } from './plan.js';

export const createShipments = (db: Database) =>
  db.$executeRaw`CREATE TABLE shipments (order_id uuid PRIMARY KEY, state text NOT NULL)`;

export type Carrier = { isDown: boolean; isDeaf: boolean };

export function shippingActivities(real: SagaActivities, db: Database, carrier: Carrier) {
  const holdings = stepsOf(SHIPPING_PLAN).flatMap(({ holds }) => holds ?? []);
  return {
    ...real,
    scheduleShipment: step((orderId) => schedule(db, orderId)),
    cancelShipment: undo(async (orderId) => {
      if (carrier.isDeaf) return 'nothing'; // an undo that forgets its work
      const rows = await db.$executeRaw`
        INSERT INTO shipments (order_id, state) VALUES (${orderId}::uuid, 'CANCELLED')
        ON CONFLICT (order_id) DO UPDATE SET state = 'CANCELLED' WHERE shipments.state <> 'CANCELLED'`;
      return rows > 0 ? 'done' : 'nothing';
    }),
    callCarrier: step((orderId) => call(db, orderId, carrier)),
    cancelOrder: undo((orderId, run, { left }) => cancelOrder(db, orderId, run, left, holdings)),
  };
}

async function schedule(db: Database, orderId: string): Promise<StepOutcome> {
  await db.$executeRaw`
    INSERT INTO shipments (order_id, state)
    SELECT id, 'SCHEDULED' FROM orders WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
    ON CONFLICT DO NOTHING`;
  return standing(db, orderId);
}

async function call(db: Database, orderId: string, { isDown }: Carrier): Promise<StepOutcome> {
  const door = await standing(db, orderId);
  if (door.outcome === 'refused') return door;
  if (isDown) throw new Error('the carrier is down');
  await db.$executeRaw`
    UPDATE shipments SET state = 'ON_ITS_WAY' FROM orders o
    WHERE o.id = order_id AND order_id = ${orderId}::uuid AND o.unwinding_reason IS NULL AND state = 'SCHEDULED'`;
  return { outcome: 'done' };
}

async function standing(db: Database, orderId: string): Promise<StepOutcome> {
  const { unwindingReason } = await readDoor(db, orderId);
  return unwindingReason === null ? { outcome: 'done' } : { outcome: 'refused', reason: unwindingReason };
}
