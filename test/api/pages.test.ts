/** Pages of every list: bounded in bytes as well as in rows, whole when followed to their end, and no more read than given. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { recordCalls } from '../../domain/audit/calls.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { PAGE_BYTES_MAX } from '../../api/http/pages.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';

type Rows = Record<string, unknown>[];
type Page = { next: string | null; [list: string]: unknown };

const ORDERS = 900;
const LINES = 100;
const SKUS = `'SKU-WITH-A-LONG-NAME-' || line`;
/** Orders as they are accepted, each of as many lines as there can be. */
const FILL = [
  `INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available)
   SELECT ${SKUS}, 'Thing ' || line, 100, 'USD', 1000000, 1000000 FROM generate_series(1, ${LINES}) AS line`,
  `INSERT INTO orders (id, customer_id, currency, total_amount, payment_method, correlation_id, event_count, event_xid)
   SELECT uuidv7(n * interval '1 s'), 'cus_large', 'USD', ${LINES * 100}, 'pm_card_visa', 'c-' || n, 1, 1 FROM generate_series(1, ${ORDERS}) AS n`,
  `INSERT INTO order_lines (order_id, sku, line_no, quantity, unit_price)
   SELECT id, ${SKUS}, line, 1, 100 FROM orders, generate_series(1, ${LINES}) AS line`,
  `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
   SELECT o.id, 1, 'order.created', jsonb_build_object('orderId', o.id, 'customerId', o.customer_id,
     'items', (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price)) FROM order_lines WHERE order_id = o.id),
     'total', jsonb_build_object('amount', o.total_amount, 'currency', o.currency)), o.correlation_id, 1 FROM orders o ORDER BY o.id`,
];

let database: TestDatabase;
let api: TestApi;
/** Whose pages hold one row of whatever size, or some small ones. */
let narrow: TestApi;
const NARROW_BYTES = 2_000;
/** Rows of orders that have been read by `api`. */
let read = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  for (const statement of FILL) await database.db.$executeRawUnsafe(statement);
  const counting = database.db.$extends({
    query: {
      $queryRaw: async ({ args, query }) => {
        const rows = (await query(args)) as Rows;
        read += rows.filter((row) => 'lines' in row).length;
        return rows;
      },
    },
  }) as unknown as Database;
  api = await startTestApi({ db: counting, databaseUrl: database.url });
  narrow = await startTestApi({ db: database.db, databaseUrl: database.url, pageBytesMax: NARROW_BYTES });
});
afterAll(async () => {
  await Promise.all([api.stop(), narrow.stop()]);
  await database.drop();
});

/** A list, followed by `cursor` until `next` is null, or by `after` until it stays. */
async function follow(from: TestApi, path: string, list: string): Promise<{ pages: Rows[]; bytes: number[] }> {
  const pages: Rows[] = [];
  const bytes: number[] = [];
  for (let query = ''; pages.length < 2_000; ) {
    const { status, text, body } = await from.get<Page>(`${path}${query}`);
    expect(status).toBe(200);
    const rows = body[list] as Rows;
    if (path.startsWith('/events') || path.startsWith('/admin/audit')) {
      if (query.endsWith(`&after=${body.next}`)) return { pages, bytes };
      query = `&after=${body.next}`;
    } else query = `&cursor=${body.next}`;
    pages.push(rows);
    bytes.push(text.length);
    if (body.next === null) return { pages, bytes };
  }
  throw new Error('the list has no end');
}

describe('900 orders of 100 lines', () => {
  test('are 6 MB of pages that hold what may be in one, each order once, in order', async () => {
    const { pages, bytes } = await follow(api, '/orders?limit=1000', 'orders');
    const ids = pages.flat().map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort().reverse());
    expect(ids).toHaveLength(ORDERS);
    for (const { items } of pages.flat() as unknown as Order[]) expect(items).toHaveLength(LINES);
    expect(bytes.reduce((sum, size) => sum + size)).toBeGreaterThan(5_000_000);
    for (const size of bytes) expect(size).toBeLessThan(PAGE_BYTES_MAX + 100);
    // Nor are they small without need.
    for (const size of bytes.slice(0, -1)) expect(size).toBeGreaterThan(PAGE_BYTES_MAX * 0.95);
  });

  test('are read as far as they are given, and a piece more', async () => {
    read = 0;
    const { body } = await api.get<{ orders: Order[] }>('/orders?limit=1000');
    expect(read).toBeLessThan(body.orders.length + 10);
    read = 0;
    await api.get('/orders?limit=3');
    expect(read).toBe(4);
  });

  test('come one to a page where a single one is larger than a page may be', async () => {
    const { body } = await narrow.get<{ orders: Order[]; next: string }>('/orders?limit=1000');
    expect(body.orders).toHaveLength(1);
    expect(body.orders[0]?.items).toHaveLength(LINES);
    const { body: second } = await narrow.get<{ orders: Order[] }>(`/orders?limit=1000&cursor=${body.next}`);
    const { body: both } = await api.get<{ orders: Order[] }>('/orders?limit=2');
    expect([...body.orders, ...second.orders]).toEqual(both.orders);
  });

  test('have a feed whose pages are as bounded, and lose nothing', async () => {
    await feedShowsAll(database.db);
    const { pages, bytes } = await follow(api, '/events?limit=1000', 'events');
    expect(new Set(pages.flat().map(({ subject }) => subject)).size).toBe(ORDERS);
    expect(pages.flat()).toHaveLength(ORDERS);
    for (const size of bytes) expect(size).toBeLessThan(PAGE_BYTES_MAX + 100);
    expect(pages.length).toBeGreaterThan(10);
  });
});

describe('of small rows, too, a page holds no more bytes than it may:', () => {
  test.each([
    ['/inventory?limit=1000', 'items', LINES],
    ['/admin/audit?limit=1000', 'entries', 50],
    ['/admin/dead-letters?limit=1000', 'deadLetters', 40],
  ])('%s', async (path, list, count) => {
    await fill[list]?.();
    const { pages, bytes } = await follow(narrow, path, list);
    expect(pages.flat().length).toBe(count);
    expect(new Set(pages.flat().map((row) => JSON.stringify(row))).size).toBe(count);
    expect(pages.length).toBeGreaterThan(3);
    for (const size of bytes) expect(size).toBeLessThan(NARROW_BYTES + 1_000);
  });

  test('an order’s events', async () => {
    const [row] = await database.db.$queryRaw<{ id: string }[]>`
      WITH chosen AS (SELECT id FROM orders ORDER BY id LIMIT 1), told AS (
        INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
        SELECT id, n, 'inventory.reserved', jsonb_build_object('orderId', id, 'items', '[]'::jsonb), 'c', 1
        FROM chosen, generate_series(2, 30) AS n)
      UPDATE orders o SET event_count = 30 FROM chosen WHERE o.id = chosen.id RETURNING o.id`;
    const { pages } = await follow(narrow, `/orders/${row?.id}/events?limit=1000`, 'events');
    expect(pages.flat().map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(pages.length).toBeGreaterThan(3);
  });

  const fill: Record<string, () => Promise<unknown>> = {
    entries: () =>
      recordCalls(
        database.db,
        auditKeys(['a key of this test, 32 characters']),
        Array.from({ length: 50 }, (_, i) => ({
          kind: 'refused' as const,
          subject: `op-${i}`,
          route: 'PUT /inventory/:sku',
          resource: 'KEYBOARD',
          status: 403,
          correlationId: `c-${i}`,
          source: null,
        })),
      ),
    deadLetters: () =>
      database.db.$executeRaw`
        INSERT INTO dead_letters (destination, order_id, sequence, type, cause, error, attempts)
        SELECT 'webhook', id, 1, 'order.created', 'rejected', 'it will not', 1 FROM orders ORDER BY id LIMIT 40`,
  };
});

test('a page that is exactly as long as the list is its last, whatever bounds it', async () => {
  await stock(database.db, 'Z-1', 1);
  const { body: all } = await api.get<Page>('/inventory?limit=1000');
  const count = (all['items'] as Rows).length;
  expect((await api.get<Page>(`/inventory?limit=${count}`)).body).toEqual(all);
  expect((await api.get<Page>(`/inventory?limit=${count - 1}`)).body.next).toEqual(expect.any(String));
  expect(all.next).toBeNull();
});

describe('of what retention has removed,', () => {
  const feed = (query = '') =>
    api.get<{ events: { subject: string; sequence: number }[]; next: string }>(`/events?limit=5${query}`);
  test('a reader that has read it goes on, one that has not is told of the gap', async () => {
    const early = (await feed()).body.next;
    const late = (await feed(`&after=${early}`)).body.next;
    // The ten that the two have read, but one in their midst, which a destination still owes.
    await database.db.$executeRaw`
      DELETE FROM outbox WHERE feed_position IN (SELECT feed_position FROM outbox ORDER BY feed_xid, feed_position LIMIT 10)
        AND feed_position <> (SELECT feed_position FROM outbox ORDER BY feed_xid, feed_position OFFSET 2 LIMIT 1)`;
    expect((await feed(`&after=${late}`)).status).toBe(200);
    const refused = await feed(`&after=${early}`);
    expectProblem(refused, 410, 'events-gone');
    const { oldest, gap } = refused.body as unknown as { oldest: string; gap: { after: string; until: string } };
    expect(gap).toEqual({ after: early, until: expect.stringMatching(/Z$/) });
    const resumed = await feed(`&after=${oldest}`);
    expect([resumed.status, resumed.body]).toEqual([200, (await feed(`&after=${late}`)).body]);

    // Who begins without a place is told of none, although it stands before it for a while.
    const begun = await api.get<Page>('/events?limit=1');
    const onwards = await api.get<Page>(`/events?limit=4&after=${begun.body.next}`);
    expect([begun.status, onwards.status]).toEqual([200, 200]);
    expect((onwards.body['events'] as Rows).map(({ id }) => id)).toEqual(
      resumed.body.events.slice(0, 4).map((event) => (event as unknown as { id: string }).id),
    );
    // But of what leaves from then on.
    await database.db.$executeRaw`
      DELETE FROM outbox WHERE feed_position IN (SELECT feed_position FROM outbox ORDER BY feed_xid, feed_position OFFSET 1 LIMIT 3)`;
    expectProblem(await api.get(`/events?limit=4&after=${begun.body.next}`), 410, 'events-gone');
  });

  test('an order’s reader is told, too, and goes on with what is left', async () => {
    const [row] = await database.db.$queryRaw<{ id: string }[]>`SELECT order_id AS id FROM outbox WHERE sequence = 30`;
    const path = `/orders/${row?.id}/events`;
    const { body: first } = await api.get<Page>(`${path}?limit=2`);
    expect((await api.get(`${path}?limit=2&cursor=${first.next}`)).status).toBe(200);
    await database.db.$executeRaw`DELETE FROM outbox WHERE order_id = ${row?.id}::uuid AND sequence <= 5`;
    const refused = await api.get<{ oldest: string }>(`${path}?limit=2&cursor=${first.next}`);
    expectProblem(refused, 410, 'events-gone');
    const { body } = await api.get<Page>(`${path}?limit=2&cursor=${refused.body.oldest}`);
    expect((body['events'] as Rows).map(({ sequence }) => sequence)).toEqual([6, 7]);
    await database.db.$executeRaw`DELETE FROM outbox WHERE order_id = ${row?.id}::uuid`;
    expectProblem(await api.get(`${path}?cursor=${refused.body.oldest}`), 410, 'events-gone');
  });
});
