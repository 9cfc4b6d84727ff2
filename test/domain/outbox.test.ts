import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { reserveInventory } from '../../domain/inventory.js';
import { FEED_START, type FeedPlace, readFeed } from '../../domain/outbox.js';
import { recordCharge } from '../../domain/payments.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let other: pg.Client;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
  other = new pg.Client({ connectionString: t.url });
  await other.connect();
});
afterAll(async () => {
  await other.end();
  await t.drop();
});

const names = (events: { orderId: string; sequence: number }[]) => events.map((e) => `${e.orderId}-${e.sequence}`);

test('an event that takes its place early and commits late is delivered, and nothing behind it is seen before', async () => {
  const early = await accept(t.db, { A: 1 });
  await feedShowsAll(t.db);
  let place: FeedPlace = FEED_START;
  for (const event of await readFeed(t.db, place, 1_000)) place = event;

  await other.query('BEGIN');
  await other.query(
    `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
     VALUES ($1, 2, 'inventory.reserved', '{}', 'c', pg_current_xact_id()::text::bigint)`,
    [early.id],
  );
  const later = await accept(t.db, { A: 1 });
  expect(await readFeed(t.db, place, 1_000)).toEqual([]);
  await other.query('COMMIT');
  await feedShowsAll(t.db);
  expect(names(await readFeed(t.db, place, 1_000))).toEqual([`${early.id}-2`, `${later.id}-1`]);
});

test('an order’s events keep their sequence in the feed even if its transactions took their ids the other way round', async () => {
  const order = await accept(t.db, { A: 1 });
  await t.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT pg_current_xact_id()::text`; // takes the earlier id, but comes to the order's row only later
    await reserveInventory(t.db, order.id);
    expect(await recordCharge(tx, order.id, `pi_${order.id}`)).toEqual({ outcome: 'done' });
  });
  await feedShowsAll(t.db);
  const feed = await readFeed(t.db, FEED_START, 1_000);
  expect(feed.filter((e) => e.orderId === order.id).map((e) => e.sequence)).toEqual([1, 2, 3]);
});

test('pages of the feed, of any size, are the whole feed', async () => {
  await Promise.all(Array.from({ length: 21 }, () => accept(t.db, { A: 1 })));
  await feedShowsAll(t.db);
  const whole = names(await readFeed(t.db, FEED_START, 10_000));
  const paged: string[] = [];
  let place: FeedPlace = FEED_START;
  for (;;) {
    const events = await readFeed(t.db, place, 3);
    const last = events.at(-1);
    if (!last) break;
    paged.push(...names(events));
    place = last;
  }
  expect(paged).toEqual(whole);
  expect(whole.length).toBeGreaterThan(20);
});
