/** What Postgres says of orders that are final, a page at a time. Each page is one statement, hence one snapshot. */
import { HOLDINGS } from '../../contracts/plan.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerEvent, LedgerOrder, LedgerReservation, Ledgers } from '../ledgers.js';
import { readOnly } from './read-only.js';
import { FIRST_ID, inSpan, type Span } from './span.js';

export type OrdersPage = Required<Pick<Ledgers, 'orders' | 'events' | 'reservations' | 'holdings' | 'stock'>> & {
  inHand: ReadonlySet<string>;
};

/** What reconciliation knows of, or an operator has said is dealt with. */
export const isInHand = Prisma.sql`(f.action NOT IN ('refunded', 'cancelled')
  OR EXISTS (SELECT FROM reconciliation_closings c WHERE c.finding_id = f.id))`;
export const isFinal = Prisma.sql`(status = 'CANCELLED' OR (status = 'CONFIRMED' AND unwinding_reason IS NULL AND NOT forward_due))`;

/**
 * Of an order `o`: some of its events are not there any more, and it is as old as those that retention has removed, by clocks that may
 * differ. What anybody else deletes moves the feed's horizon, too, but not retention's own mark; and an order that has all of its events
 * is held against them in any case.
 */
export const areEventsGone = Prisma.sql`(o.event_count > (SELECT count(*) FROM outbox e WHERE e.order_id = o.id)
  AND o.created_at <= coalesce((SELECT reached_at FROM progress_marks WHERE name = 'events-purged') + interval '1 hour', '-infinity'))`;

const held = Prisma.raw(
  HOLDINGS.map(
    ({ table, column, held: states }) =>
      `SELECT DISTINCT order_id, '${table}' AS name FROM ${table} WHERE order_id IN (SELECT id FROM page) AND ${column} IN ('${states.join(`', '`)}')`,
  ).join(' UNION ALL '),
);

/** @param after the last id of the page before */
export async function readOrders(db: DatabaseClient, span: Span, limit: number, after = FIRST_ID): Promise<OrdersPage> {
  const { facts } = await readOnly<{ facts: Facts }>(
    db,
    Prisma.sql`WITH page AS MATERIALIZED (
      SELECT * FROM orders WHERE ${inSpan(span, after)} AND ${isFinal} ORDER BY id LIMIT ${limit})
    SELECT json_build_object(
      'orders', (SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'reason', unwinding_reason,
          'planVersion', plan_version, 'currency', currency, 'total', total_amount, 'eventCount', event_count,
          'areEventsGone', ${areEventsGone},
          'lines', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price)), '[]')
            FROM order_lines WHERE order_id = o.id)) ORDER BY id), '[]') FROM page o),
      'events', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sequence', sequence, 'type', type, 'data', data,
          'feedPlace', json_build_array(feed_xid::text, feed_position::text)) ORDER BY order_id, sequence), '[]')
          FROM outbox WHERE order_id IN (SELECT id FROM page)),
      'reservations', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sku', sku, 'quantity', quantity,
          'state', state)), '[]') FROM reservations WHERE order_id IN (SELECT id FROM page)),
      'holdings', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'table', name)), '[]') FROM (${held}) h),
      'inHand', (SELECT coalesce(json_agg(DISTINCT order_id), '[]') FROM reconciliation_findings f
          WHERE ${isInHand} AND order_id IN (SELECT id::text FROM page))) AS facts`,
  );
  return { ...facts, stock: [], inHand: new Set(facts.inHand) };
}
type Facts = {
  orders: LedgerOrder[];
  events: LedgerEvent[];
  reservations: LedgerReservation[];
  holdings: { orderId: string; table: string }[];
  inHand: string[];
};
