/**
 * What holds an erasure: orders that have not come to their end, and money, findings and events of theirs that somebody still has in
 * hand. What is in hand needs the order as it is; and once the person is forgotten, nobody could be told how it ended.
 */
import { HELD_ORDERS_MAX, type HeldOrder, type Hold } from '../../contracts/erasures.js';
import type { Statements } from '../database.js';

export type Holds = { held: HeldOrder[]; count: number };

/** An operator has vouched for these for good, and they are listed for ever: there is nothing to wait for. */
const VOUCHED = 'SETTLED_OUTSIDE';

/** @returns the first of them by id, each for one reason, and how many there are */
export async function findHolds(db: Statements, reference: string): Promise<Holds> {
  const rows = await db.$queryRaw<{ orderId: string; why: Hold; operationId: string | null; count: number }[]>`
    WITH own AS MATERIALIZED (SELECT id, status, unwinding_reason, forward_due FROM orders WHERE customer_id = ${reference}),
    held AS (
      SELECT id, 1 AS rank, CASE WHEN status = 'PENDING' AND unwinding_reason IS NULL THEN 'pending' WHEN status = 'PENDING' THEN 'unwinding'
        WHEN unwinding_reason IS NOT NULL THEN 'cancellation-due' ELSE 'steps-due' END AS why, NULL::uuid AS operation_id
      FROM own WHERE status = 'PENDING' OR (status = 'CONFIRMED' AND (unwinding_reason IS NOT NULL OR forward_due))
      UNION ALL
      SELECT own.id, 2, 'refund-in-hand', NULL FROM own JOIN payments p ON p.order_id = own.id WHERE p.status = 'REFUNDING'
      UNION ALL
      SELECT own.id, 3, 'finding-open', NULL FROM own JOIN reconciliation_findings f ON f.order_id = own.id::text
      WHERE f.action NOT IN ('refunded', 'cancelled') AND f.kind <> ${VOUCHED}
      UNION ALL
      SELECT own.id, 4, 'dead-letter-open', NULL FROM own JOIN dead_letters l ON l.order_id = own.id WHERE l.closed_at IS NULL
      UNION ALL -- what its operator said is still to be written of the other orders of it
      SELECT own.id, 5, 'operation-open', op.id FROM own JOIN operation_items i ON i.order_id = own.id JOIN operations op ON op.id = i.operation_id
      WHERE op.ended_at IS NULL AND op.state <> 'previewed'
    ), firsts AS (SELECT DISTINCT ON (id) id, why, operation_id FROM held ORDER BY id, rank, operation_id)
    SELECT id AS "orderId", why, operation_id::text AS "operationId", (count(*) OVER ())::int AS count FROM firsts ORDER BY id LIMIT ${HELD_ORDERS_MAX}`;
  const held = rows.map(({ orderId, why, operationId }) => ({
    orderId,
    why,
    ...(operationId !== null && { operationId }),
  }));
  return { held, count: rows[0]?.count ?? 0 };
}

/**
 * Orders whose event says that the gateway had not carried the refund out then, by id: of each the charge.
 * @param after the last order of the page before
 */
export async function listPendingRefunds(
  db: Statements,
  reference: string,
  limit: number,
  after?: string,
): Promise<{ orderId: string; chargeReference: string }[]> {
  return db.$queryRaw`
    SELECT o.id AS "orderId", p.gateway_reference AS "chargeReference" FROM orders o JOIN payments p ON p.order_id = o.id
    WHERE o.customer_id = ${reference} AND p.gateway_reference IS NOT NULL
      AND (${after ?? null}::uuid IS NULL OR o.id > ${after ?? null}::uuid) AND EXISTS (
      SELECT FROM outbox e WHERE e.order_id = o.id AND e.type = 'payment.refunded' AND e.data ->> 'refundStatus' = 'pending')
    ORDER BY o.id LIMIT ${limit}`;
}
