/** What Postgres says, a page of orders at a time, read with statements of the checker's own. */
import type pg from 'pg';
import { HOLDINGS } from '../../contracts/plan.js';
import type { LedgerReservation, Ledgers, LedgerStock } from '../../verification/ledgers.js';

type Page = Required<Pick<Ledgers, 'orders' | 'events' | 'reservations' | 'holdings' | 'payments'>>;

const held = HOLDINGS.map(
  ({ table, column, held: states }) =>
    `SELECT DISTINCT order_id, '${table}' AS name FROM ${table}
     WHERE order_id IN (SELECT id FROM page) AND ${column} IN ('${states.join(`', '`)}')`,
).join(' UNION ALL ');

const list = (fields: string, from: string) =>
  `(SELECT coalesce(json_agg(json_build_object(${fields})), '[]') FROM ${from})`;
const ofPage = 'WHERE order_id IN (SELECT id FROM page)';

const PAGE = `WITH page AS MATERIALIZED (SELECT * FROM orders WHERE id > $1::uuid ORDER BY id LIMIT $2)
SELECT json_build_object(
  'orders', ${list(
    `'id', id, 'status', status, 'reason', unwinding_reason, 'planVersion', plan_version, 'currency', currency,
     'total', total_amount, 'eventCount', event_count, 'lines', ${list(`'sku', sku, 'quantity', quantity, 'unitPrice', unit_price`, 'order_lines WHERE order_id = o.id')}`,
    '(SELECT * FROM page ORDER BY id) o',
  )},
  'events', ${list(
    `'orderId', order_id, 'sequence', sequence, 'type', type, 'data', data,
    'feedPlace', json_build_array(feed_xid::text, feed_position::text)`,
    `(SELECT * FROM outbox ${ofPage} ORDER BY order_id, sequence) e`,
  )},
  'reservations', ${list(`'orderId', order_id, 'sku', sku, 'quantity', quantity, 'state', state`, `reservations ${ofPage}`)},
  'holdings', ${list(`'orderId', order_id, 'table', name`, `(${held}) h`)},
  'payments', ${list(`'orderId', order_id, 'status', status, 'amount', amount, 'currency', currency, 'reference', gateway_reference`, `payments ${ofPage}`)}
) AS facts`;

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

export async function* readPages(pool: pg.Pool, size: number): AsyncGenerator<Page> {
  for (let after = FIRST_ID; ; ) {
    const { rows } = await pool.query<{ facts: Page }>(PAGE, [after, size]);
    const page = rows[0]?.facts;
    if (!page) throw new Error('Postgres did not answer');
    yield page;
    if (page.orders.length < size) return;
    after = page.orders.at(-1)?.id ?? after;
  }
}

/** All stock beside the sums of its reservations, in one snapshot: it adds up at every moment. */
export async function readStock(pool: pg.Pool): Promise<{ stock: LedgerStock[]; reservations: LedgerReservation[] }> {
  const { rows } = await pool.query<{ facts: { stock: LedgerStock[]; reservations: LedgerReservation[] } }>(
    `SELECT json_build_object(
      'stock', ${list(`'sku', sku, 'onHand', on_hand_total, 'available', available, 'reserved', reserved, 'sold', sold`, 'inventory')},
      'reservations', ${list(`'orderId', '', 'sku', sku, 'quantity', quantity, 'state', state`, '(SELECT sku, state, sum(quantity) AS quantity FROM reservations GROUP BY sku, state) r')}) AS facts`,
  );
  if (!rows[0]) throw new Error('Postgres did not answer');
  return rows[0].facts;
}

/** Orders and charges of which an operator has been told already, or that are in hand. */
export async function readInHand(pool: pg.Pool): Promise<Set<string>> {
  const { rows } = await pool.query<{ order_id: string; gateway_reference: string }>(
    `SELECT order_id, gateway_reference FROM reconciliation_findings WHERE action IN ('reported', 'refunding')`,
  );
  return new Set(rows.flatMap(({ order_id, gateway_reference }) => [order_id, gateway_reference]));
}

export async function readInstallationId(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM installation');
  if (!rows[0]) throw new Error('there is no installation id');
  return rows[0].id;
}
