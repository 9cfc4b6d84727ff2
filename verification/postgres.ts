/** What Postgres says of orders that are final, a page at a time. Each page is one statement, hence one snapshot, in a transaction that cannot write. */
import type { DatabaseClient } from '../runtime/database.js';
import { HOLDINGS } from '../contracts/plan.js';
import { Prisma } from '../prisma/generated/client.js';
import type { LedgerEvent, LedgerOrder, LedgerReservation, LedgerStock, Ledgers } from './ledgers.js';

export type Span = {
  /** Orders that were accepted from then on. */
  since?: Date | undefined;
  /** Of these alone. */
  ids?: readonly string[] | undefined;
  /** Orders that have not changed for so long: what has just come to its end may still be told of. */
  graceMs: number;
};
type Page = Required<Pick<Ledgers, 'orders' | 'events' | 'reservations' | 'holdings'>> & {
  inHand: ReadonlySet<string>;
};

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

const held = Prisma.raw(
  HOLDINGS.map(
    ({ table, column, held: states }) =>
      `SELECT DISTINCT order_id, '${table}' AS name FROM ${table} WHERE order_id IN (SELECT id FROM page) AND ${column} IN ('${states.join(`', '`)}')`,
  ).join(' UNION ALL '),
);

/** @param after the last id of the page before */
export async function readOrders(db: DatabaseClient, span: Span, limit: number, after = FIRST_ID): Promise<Page> {
  const ids = span.ids ? Prisma.sql`AND id = ANY(${span.ids}::uuid[])` : Prisma.empty;
  const since = span.since ? Prisma.sql`AND created_at >= ${span.since}` : Prisma.empty;
  const [row] = await readOnly<Facts>(
    db,
    Prisma.sql`WITH page AS MATERIALIZED (
      SELECT * FROM orders WHERE id > ${after}::uuid ${ids} ${since}
        AND (status = 'CANCELLED' OR (status = 'CONFIRMED' AND unwinding_reason IS NULL AND NOT forward_due))
        AND updated_at < now() - ${span.graceMs}::float8 * interval '1 ms'
      ORDER BY id LIMIT ${limit})
    SELECT json_build_object(
      'orders', (SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'reason', unwinding_reason,
          'planVersion', plan_version, 'currency', currency, 'total', total_amount,
          'areEventsGone', created_at <= coalesce((SELECT occurred_at FROM feed_horizon), '-infinity'),
          'lines', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price)), '[]')
            FROM order_lines WHERE order_id = o.id)) ORDER BY id), '[]') FROM page o),
      'events', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sequence', sequence, 'type', type,
          'data', data) ORDER BY order_id, sequence), '[]') FROM outbox WHERE order_id IN (SELECT id FROM page)),
      'reservations', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sku', sku, 'quantity', quantity,
          'state', state)), '[]') FROM reservations WHERE order_id IN (SELECT id FROM page)),
      'holdings', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'table', name)), '[]') FROM (${held}) h),
      'inHand', (SELECT coalesce(json_agg(DISTINCT order_id), '[]') FROM reconciliation_findings
          WHERE action IN ('reported', 'refunding') AND order_id IN (SELECT id::text FROM page))) AS facts`,
  );
  if (!row) throw new Error('Postgres did not answer');
  return { ...row.facts, inHand: new Set(row.facts.inHand) };
}
type Facts = {
  facts: {
    orders: LedgerOrder[];
    events: LedgerEvent[];
    reservations: LedgerReservation[];
    holdings: { orderId: string; table: string }[];
    inHand: string[];
  };
};

/** All stock with the sums of its reservations: it adds up at every moment, in one snapshot. Reads all reservations once. */
export async function readStock(
  db: DatabaseClient,
): Promise<{ stock: LedgerStock[]; reservations: LedgerReservation[] }> {
  const [row] = await readOnly<{ facts: { stock: LedgerStock[]; reservations: LedgerReservation[] } }>(
    db,
    Prisma.sql`SELECT json_build_object(
      'stock', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'onHand', on_hand_total, 'available', available,
          'reserved', reserved, 'sold', sold)), '[]') FROM inventory),
      'reservations', (SELECT coalesce(json_agg(json_build_object('orderId', '', 'sku', sku, 'quantity', quantity,
          'state', state)), '[]') FROM (SELECT sku, state, sum(quantity) AS quantity FROM reservations GROUP BY sku, state) r)) AS facts`,
  );
  if (!row) throw new Error('Postgres did not answer');
  return row.facts;
}

/** Less than the pool's own limit: a statement of somebody who only looks gives way first. */
const STATEMENT_LIMIT_MS = 3_000;

const readOnly = <Row>(db: DatabaseClient, statement: Prisma.Sql): Promise<Row[]> =>
  db.$transaction(async (tx) => {
    await tx.$executeRaw`SET TRANSACTION READ ONLY`;
    await tx.$executeRaw`SELECT set_config('statement_timeout', ${String(STATEMENT_LIMIT_MS)}, true)`;
    return tx.$queryRaw<Row[]>(statement);
  });
