/**
 * The confirmation: the pivot of an order's saga. What it does to the order, its stock and its events is written here once; an
 * order without trouble passes it in the transaction that records its charge (domain/payments), any other by `confirmOrder`.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';
import { requireEarlier, standsOnEarlier } from './holdings.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { readOrderState, type StepOutcome } from './orders.js';
import { countEvent, eventColumns, insertEvent } from './outbox.js';
import { FIRST_RUN, insertLog, type Run, skipMark } from './saga-log.js';

/**
 * CTEs that turn what the order in `moved` has reserved into sold pieces, stock rows in SKU order. They belong right behind
 * `moved`: Postgres carries out the writing parts of a WITH that nothing reads from the last to the first, and other orders wait
 * for a stock row from its lock to the commit.
 */
export const sellReserved = Prisma.sql`
  sold AS (
    UPDATE reservations r SET state = 'SOLD' FROM moved WHERE r.order_id = moved.id AND r.state = 'RESERVED'
    RETURNING r.sku, r.quantity
  ), locked AS (
    SELECT i.sku, sold.quantity FROM sold JOIN inventory i USING (sku) ORDER BY i.sku FOR UPDATE OF i
  ), stock AS (
    UPDATE inventory i SET reserved = i.reserved - l.quantity, sold = i.sold + l.quantity, updated_at = now()
    FROM locked l WHERE i.sku = l.sku
  )`;

/** @param forward there are steps after the pivot: the order is not finished yet */
export const confirmedWith = (forward: boolean): Prisma.Sql =>
  Prisma.sql`status = 'CONFIRMED', forward_due = ${forward}::boolean`;

/** The data of `order.confirmed`, as a jsonb expression over the order's row. */
export const confirmedData = Prisma.sql`
  jsonb_build_object('orderId', id, 'total', jsonb_build_object('amount', total_amount, 'currency', currency))`;

/**
 * The pivot: PENDING → CONFIRMED, its stock sold, unless the order is unwinding.
 * Takes the order's row, then the stock rows in SKU order.
 * @param forward there are steps after it
 * @throws HoldingLost if nothing is reserved or paid for it: neither a bug nor a lost database must become a shipped order
 */
export async function confirmOrder(
  db: Statements,
  orderId: string,
  run: Run = FIRST_RUN,
  { forward = false } = {},
): Promise<StepOutcome> {
  const confirmed = await queryChanging(
    db,
    Prisma.sql`
    WITH moved AS (
      UPDATE orders o SET ${confirmedWith(forward)}, ${countEvent}
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
        AND ${standsOnEarlier('confirmOrder')}
      RETURNING ${eventColumns}, total_amount, currency
    ), ${sellReserved}, event AS (
      ${insertEvent(Prisma.sql`moved`, 'order.confirmed', Prisma.sql`${confirmedData} ${skipMark(run)}`)}
    ), logged AS (
      ${insertLog(Prisma.sql`moved`, 'confirmOrder', 'completed', run)}
    )
    SELECT ${orderChanged(db, { isFinal: true })} AS changed FROM moved`,
  );
  if (confirmed.length > 0) return { outcome: 'done' };
  const orderState = await readOrderState(db, orderId);
  if (orderState.status === 'CONFIRMED') return { outcome: 'done' }; // even if it is being cancelled by now: this saga has done its part
  if (orderState.unwindingReason !== null) return { outcome: 'refused', reason: orderState.unwindingReason };
  await requireEarlier(db, orderId, 'confirmOrder');
  throw new Error(`Bug! Order ${orderId} has all that its confirmation takes, and was not confirmed`);
}

/** The steps after the pivot have come to their ends. */
export async function finishOrder(db: Statements, orderId: string): Promise<void> {
  await db.$executeRaw`UPDATE orders SET forward_due = false WHERE id = ${orderId}::uuid AND forward_due`;
}
