/** What every hot statement asks of Postgres when the tables are full: indexes only, however many orders there were. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { addPastOrders } from '../../bench/past-orders.js';
import { acceptOrder, listOpen, listUnstarted, markStarted, readDueSaga } from '../../domain/acceptance.js';
import { readAttempts } from '../../domain/charge-attempts.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { advanceCursors, createCursors, renewLeases } from '../../domain/cursors.js';
import { lookupOf, readIdentityKey } from '../../domain/customers.js';
import { countDue, countFinal, readFeedEnd, readFeedHeldSeconds, readOpenOrders } from '../../domain/figures.js';
import { listDecided } from '../../domain/held-events.js';
import { earlierAnswer } from '../../domain/idempotency.js';
import { readPrices, releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { EXAMINED_MAX, findOrders } from '../../domain/order-finding.js';
import { beginUnwinding, cancelOrder, listOrders, readOrder } from '../../domain/orders.js';
import { FEED_START, readFeed, readOrderEvents, readPartitions } from '../../domain/outbox.js';
import { readPaymentDue, recordCharge, recordRefund, shutPayment } from '../../domain/payments.js';
import {
  listNewsOfRefunds,
  listOpenReferences,
  listUnseenCharges,
  readOrdersMoney,
} from '../../domain/reconciliation.js';
import { readNews } from '../../domain/reconciliation-findings.js';
import { purgeEvents } from '../../domain/retention.js';
import { readSagaLog } from '../../domain/saga-log.js';
import { searchOrders } from '../../domain/search.js';
import { countSlowOrders, listWaitingOrders } from '../../domain/stuck-sagas.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { type ExplainedDatabase, openExplainedDatabase, type Plan } from '../support/plans.js';

const PAST_ORDERS = process.env['FULL'] === '1' ? 200_000 : 20_000;
/** Everything that grows with the number of orders. The catalogue and the cursors do not. */
const GROWING = ['orders', 'order_lines', 'reservations', 'payments', 'outbox', 'saga_log', 'idempotency_keys'];
/** Accepted and waiting, as after an hour without Temporal. */
const BACKLOG = 5_000;
/** A page of a list with its lines; a backlog has thousands. */
const SORTED_MAX = 500;
/** One order's rows and the indexes above them; a list's page has a hundred times the rows. */
const PAGES_MAX = 250;
const LIST_PAGES_MAX = 1_000;
/** Each order that is looked through costs a look into its lines' key, where those that fit are far back. */
const LOOK_PAGES_MAX = 3 * EXAMINED_MAX;
const PATIENCE = { sagaDeadlineMs: 3_600_000, compensationAttentionAfterMs: 60_000 };

let t: TestDatabase;
let explained: ExplainedDatabase;
let recent: string[];

beforeAll(async () => {
  t = await createTestDatabase();
  const client = new pg.Client({ connectionString: t.url });
  await client.connect();
  await addPastOrders(client, PAST_ORDERS);
  await client.query(
    `INSERT INTO orders (id, customer_id, currency, total_amount, payment_method, correlation_id, event_count, event_xid, created_at)
     SELECT uuidv7(), 'cus_waiting', 'USD', 1000, 'pm_card_visa', 'c', 1, 1, now() - n * interval '1 s' FROM generate_series(1, $1::int) AS n`,
    [BACKLOG],
  );
  const key = await readIdentityKey(t.db);
  await client.query(
    `WITH known AS (INSERT INTO customers (reference, lookup, client_id) VALUES (gen_random_uuid(), $1, 'cus_7') RETURNING reference)
     UPDATE orders SET customer_id = (SELECT reference FROM known) WHERE customer_id = 'cus_7'`,
    [Buffer.from(lookupOf(key, 'cus_7'))],
  );
  await client.query('ANALYZE');
  await client.end();
  await stock(t.db, 'A', 1_000_000);
  await stock(t.db, 'B', 1_000_000);
  recent = [];
  for (let i = 0; i < 50; i++) recent.push((await accept(t.db, { A: 1, B: 2 })).id);
  explained = openExplainedDatabase(t.url);
}, 600_000);
afterAll(async () => {
  await explained?.close();
  await t?.drop();
});

const next = (): string => recent.pop() as string;

async function expectIndexesOnly(work: () => Promise<unknown>, pagesMax = PAGES_MAX): Promise<void> {
  const plans = await explained.plansOf(work);
  expect(plans.length).toBeGreaterThan(0);
  expect(plans.flatMap((plan) => complaintsAbout(plan, pagesMax))).toEqual([]);
}

function complaintsAbout({ statement, scanned, sorted, pages }: Plan, pagesMax: number): string[] {
  const scans = scanned.filter((table) => GROWING.includes(table)).map((table) => `reads all of ${table}`);
  const complaints = [
    ...scans,
    ...(sorted > SORTED_MAX ? [`sorts ${sorted} rows`] : []),
    ...(pages > pagesMax ? [`looks at ${pages} pages`] : []),
  ];
  return complaints.map((complaint) => `${complaint}: ${statement}`);
}

describe(`with ${PAST_ORDERS} finished orders in the tables, indexes alone lead to`, () => {
  test('accepting an order, with its key', async () => {
    const { db } = explained;
    const order = (await readOrder(t.db, recent[0] as string)) as NonNullable<Awaited<ReturnType<typeof readOrder>>>;
    const fresh = { ...order, id: crypto.randomUUID(), externalOrderId: 'web-1' };
    const claim = { caller: 'c', route: 'POST /orders', key: 'k', fingerprint: new Uint8Array(32), ttlMs: 60_000 };
    await expectIndexesOnly(async () => {
      await readPrices(db, ['A', 'B']);
      await earlierAnswer(db, claim);
      const accept = acceptOrder(db, { order: fresh, paymentMethod: 'pm_card_visa' }, { ...claim, response: '{}' });
      expect(await accept).toMatchObject({ outcome: 'accepted' });
      await markStarted(db, [{ id: fresh.id, kind: 'order' }]);
    });
  });

  test('every step of a confirmed order', async () => {
    const { db } = explained;
    const id = next();
    await expectIndexesOnly(async () => {
      expect(await reserveInventory(db, id)).toEqual({ outcome: 'done' });
      await readPaymentDue(db, id);
      expect(await recordCharge(db, id, `pi_${id}`)).toEqual({ outcome: 'done' });
      expect(await confirmOrder(db, id)).toEqual({ outcome: 'done' });
    });
  });

  test('charge and confirmation in one', async () => {
    const id = next();
    await reserveInventory(t.db, id);
    await expectIndexesOnly(async () => {
      const outcome = await recordCharge(explained.db, id, `pi_${id}`, undefined, { confirm: true });
      expect(outcome).toMatchObject({ confirmed: true });
    });
  });

  test('every undo of a cancelled order', async () => {
    const { db } = explained;
    const id = next();
    await reserveInventory(t.db, id);
    await recordCharge(t.db, id, `pi_${id}`);
    await expectIndexesOnly(async () => {
      await beginUnwinding(db, id, { reason: 'OPERATOR' });
      await shutPayment(db, id);
      await recordRefund(db, id, { charge: `pi_${id}`, refund: `re_${id}`, gaveBack: 1 });
      await releaseInventory(db, id);
      expect(await cancelOrder(db, id)).toBe('done');
    });
  });

  test('what the sweep looks for, and the supervision of open orders', async () => {
    const { db } = explained;
    await expectIndexesOnly(async () => {
      expect((await listUnstarted(db, 0, 200)).length).toBeGreaterThan(0);
      await readDueSaga(db, next());
    });
    await expectIndexesOnly(async () => {
      const openFor = { unwindingMs: 5_000, pendingMs: 60_000, overdueMs: 3_660_000 };
      await listOpen(db, openFor, { afterId: '00000000-0000-0000-0000-000000000000', limit: 200 });
    }, LIST_PAGES_MAX);
  });

  test('thousands that the sweep leaves out are looked up, not searched for one by one, whatever the values', async () => {
    const [{ statement = '' } = {}] = await explained.plansOf(() => listUnstarted(explained.db, 0, 200, [next()]));
    const client = new pg.Client({ connectionString: t.url });
    await client.connect();
    try {
      const { rows } = await client.query(`EXPLAIN (GENERIC_PLAN) ${statement}`);
      expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('hashed SubPlan');
    } finally {
      await client.end();
    }
  });

  test('the next page of the feed, from its beginning and from its end', async () => {
    const { db } = explained;
    await feedShowsAll(db);
    await expectIndexesOnly(async () => {
      expect(await readFeed(db, FEED_START, 500)).toHaveLength(500);
      await readFeed(db, { feedXid: 2n, feedPosition: 0n }, 500);
    });
  });

  test('what a relay sends next, in all partitions that it holds, and where its cursors go', async () => {
    const { db } = explained;
    const destination = 'webhook';
    await createCursors(t.db, [destination]);
    await expectIndexesOnly(async () => {
      const { leased } = await renewLeases(db, { destinations: [destination], owner: 'me', leaseMs: 60_000 });
      expect((await readPartitions(db, destination, leased, 30)).length).toBeGreaterThan(0);
      await listDecided(
        db,
        destination,
        leased.map(({ partition }) => partition),
        ['1'],
        100,
      );
      const moves = leased.map((cursor) => ({ ...cursor, from: FEED_START }));
      await advanceCursors(db, { destination, owner: 'me' }, moves);
    }, LIST_PAGES_MAX);
  });

  test('where a destination begins that begins now', async () => {
    await expectIndexesOnly(async () => {
      expect(await createCursors(explained.db, ['nats'], { agoMs: 10_000 })).toEqual([
        { destination: 'nats', again: false },
      ]);
    });
  });

  test('what retention looks at, and what a scrape of the metrics reads', async () => {
    const { db } = explained;
    await expectIndexesOnly(async () => {
      await purgeEvents(db, { olderThanMs: 1_000, limit: 100 });
      await readFeedEnd(db);
      await readFeedHeldSeconds(db);
      const end = (await readFeedEnd(db)) ?? FEED_START;
      await countFinal(db, { ...end, feedPosition: end.feedPosition - 20n }, end);
      await countDue(db, new Date(Date.now() - 5_000), new Date());
      await readOpenOrders(db);
    }, LIST_PAGES_MAX);
  });

  test('orders that wait', async () => {
    const { db } = explained;
    await expectIndexesOnly(() => listWaitingOrders(db, PATIENCE, 500), LIST_PAGES_MAX);
    await expectIndexesOnly(() => countSlowOrders(db, 500), LIST_PAGES_MAX);
  });

  test('one order with its events and its log', async () => {
    const { db } = explained;
    const id = next();
    await expectIndexesOnly(async () => {
      const order = await readOrder(db, id);
      await readOrderEvents(db, id, 0, 100);
      if (order) await readSagaLog(db, order);
    });
  });

  test.each([
    ['all', {}],
    ['pending', { status: 'PENDING' }],
    ['confirmed', { status: 'CONFIRMED' }],
    ['cancelled', { status: 'CANCELLED' }],
    ['a customer’s', { customerId: 'cus_7' }],
    ['a customer’s confirmed', { customerId: 'cus_7', status: 'CONFIRMED' }],
  ] as const)('a page of the list of %s orders, the first and a later one', async (_, filter) => {
    const { db } = explained;
    await expectIndexesOnly(async () => {
      const [first, ...older] = await listOrders(db, filter, 101);
      if ('customerId' in filter) expect(first).toMatchObject({ customerId: 'cus_7' });
      const beforeId = older.at(-1)?.id;
      if (beforeId !== undefined) await listOrders(db, { ...filter, beforeId }, 101);
    }, LIST_PAGES_MAX);
  });

  test('an order, by what a caller has of it', async () => {
    const order = (await readOrder(t.db, recent[1] as string)) as NonNullable<Awaited<ReturnType<typeof readOrder>>>;
    await t.db.order.update({ where: { id: order.id }, data: { externalOrderId: 'of-a-caller' } });
    const hour = { createdFromMs: Date.now() - 3_600_000, createdToMs: Date.now() };
    for (const filter of [
      { externalOrderId: 'of-a-caller' },
      { correlationId: order.correlationId },
      { gatewayReference: 'pi_of_a_caller' },
      { eventId: `${order.id}-1` },
      { customerId: order.customerId, ...hour },
    ])
      await expectIndexesOnly(() => listOrders(explained.db, filter, 26));
    await expectIndexesOnly(() => listOrders(explained.db, hour, 101), LIST_PAGES_MAX);
  });

  test('orders, by one text that may be anything', async () => {
    const order = (await readOrder(t.db, recent[1] as string)) as NonNullable<Awaited<ReturnType<typeof readOrder>>>;
    const texts = [
      order.id,
      `${order.id}-1`,
      order.correlationId,
      order.customer,
      'cus_7',
      'of-a-caller',
      'pi_nobodys',
    ];
    for (const text of texts) {
      await expectIndexesOnly(() => searchOrders(explained.db, text, 26), LIST_PAGES_MAX);
    }
  });

  test.each([
    ['are of a SKU', { sku: 'A' }],
    [
      'are of a SKU, and of an amount that most have',
      { sku: 'BENCH-PAST', amount: { currency: 'USD', from: 900, to: 1_100 } },
    ],
    ['hold a SKU’s stock', { heldSku: 'A' }],
    ['hold stock of a SKU that few hold', { heldSku: 'BENCH-PAST', status: 'PENDING' }],
    ['have an amount that few have', { amount: { currency: 'USD', from: 3_000, to: 3_000 } }],
    ['have an amount that nobody has', { amount: { currency: 'EUR', from: 1, to: 9_000 } }],
    ['have an amount that most have', { amount: { currency: 'USD', from: 900, to: 1_100 } }],
    ['were accepted in an hour', { createdFromMs: Date.now() - 3_600_000, createdToMs: Date.now() }],
  ] as const)('orders that %s, and the page after them', async (_, wanted) => {
    const { db } = explained;
    if ('heldSku' in wanted) for (const id of recent.slice(0, 20)) await reserveInventory(t.db, id);
    const look = (beforeId: string | undefined) => findOrders(db, { wanted, beforeId, limit: 8 });
    await expectIndexesOnly(
      async () => {
        const { orders } = await look(undefined);
        expect(orders.length).toBe(
          'status' in wanted || ('amount' in wanted && wanted.amount.currency === 'EUR') ? 0 : 8,
        );
        await look(orders.at(-1)?.id ?? next());
      },
      'sku' in wanted && 'amount' in wanted ? LOOK_PAGES_MAX : LIST_PAGES_MAX,
    );
  });

  test('what the reconciler compares', async () => {
    const { db } = explained;
    const references = recent.map((id) => `pi_${id}`);
    await expectIndexesOnly(async () => {
      await readOrdersMoney(
        db,
        recent.map((id) => ({ orderId: id, reference: `pi_${id}` })),
      );
      await listOpenReferences(db, references);
      const claims = references.flatMap((reference, i) => [
        { orderId: null, reference, says: 'taken' as const },
        { orderId: recent[i] ?? null, reference, says: 'disputed' as const },
      ]);
      expect((await readNews(db, claims)).length).toBeGreaterThan(0);
      await readAttempts(db, next());
      await listNewsOfRefunds(
        db,
        recent.map((id) => ({ reference: `re_${id}`, chargeReference: `pi_${id}`, orderId: id, isAlive: true })),
      );
      await listUnseenCharges(db, { from: new Date(Date.now() - 60_000), until: new Date() }, references, 20);
    }, LIST_PAGES_MAX);
  });
});

test('a statement that reads a whole table is noticed', async () => {
  const { db } = explained;
  const plans = await explained.plansOf(() => db.$queryRaw`SELECT * FROM orders WHERE payment_method = 'x'`);
  expect(plans.flatMap((plan) => complaintsAbout(plan, PAGES_MAX)).join('\n')).toContain('reads all of orders');
});
