import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createCursors } from '../../domain/cursors.js';
import { reserveInventory } from '../../domain/inventory.js';
import { FEED_START, readFeed, readOrderEvents } from '../../domain/outbox.js';
import { purgeOnce, type Retention, startRetention } from '../../relay/retention.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, eventTypes, feedShowsAll, stock, type TestDatabase } from '../support/database.js';

const DAY_MS = 86_400_000;
let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
});
beforeEach(async () => {
  await t.db.event.deleteMany();
  await t.db.relayCursor.deleteMany();
  await t.db.deadLetter.deleteMany();
  await t.db.relayDestination.deleteMany();
  await t.db.idempotencyKey.deleteMany();
});
afterAll(() => t.drop());

const retention = (destinations: string[] = []): Retention => ({
  db: t.db,
  destinations,
  eventsOlderThanMs: 30 * DAY_MS,
});

/** Orders of two events each, all of them as old as that. */
async function ordersOf(count: number, ageMs: number): Promise<string[]> {
  const orders = await Promise.all(Array.from({ length: count }, () => accept(t.db, { A: 1 })));
  const ids = orders.map(({ id }) => id);
  await Promise.all(ids.map((id) => reserveInventory(t.db, id)));
  await t.db.event.updateMany({
    where: { orderId: { in: ids } },
    data: { occurredAt: new Date(Date.now() - ageMs) },
  });
  await feedShowsAll(t.db);
  return ids;
}

/** Until a pass has come to its end. @returns how many events and keys went */
async function purgeAll(r = retention(), batchMax = 7): Promise<{ events: number; keys: number }> {
  const sum = { events: 0, keys: 0 };
  for (;;) {
    const { events, keys, more } = await purgeOnce(r, batchMax);
    sum.events += events;
    sum.keys += keys;
    if (!more) return sum;
  }
}

const left = async () => (await t.db.event.findMany()).map((e) => `${e.orderId}-${e.sequence}`).sort();
const both = (ids: string[]) => ids.flatMap((id) => [`${id}-1`, `${id}-2`]).sort();

async function cursorAt(destination: string, index: number): Promise<void> {
  const event = (await readFeed(t.db, FEED_START, 1_000))[index];
  if (!event) throw new Error(`the feed has no event ${index}`);
  const { feedXid, feedPosition } = event;
  await createCursors(t.db, [destination]);
  await t.db.relayCursor.updateMany({ where: { destination }, data: { feedXid, feedPosition } });
}

describe('events', () => {
  test('leave after the retention, in batches, and younger ones stay', async () => {
    await ordersOf(20, 31 * DAY_MS);
    const young = await ordersOf(5, 29 * DAY_MS);
    expect(await purgeAll()).toEqual({ events: 40, keys: 0 });
    expect(await left()).toEqual(both(young));
    expect(await purgeAll()).toEqual({ events: 0, keys: 0 });
  });

  test('that a destination has not taken yet stay however old, and leave when it has', async () => {
    const orders = await ordersOf(6, 400 * DAY_MS);
    await ordersOf(1, 0);
    await cursorAt('webhook', 4);
    expect((await purgeAll(retention(['webhook']))).events).toBe(5);
    expect((await left()).length).toBe(2 * orders.length + 2 - 5);
    await cursorAt('webhook', 6);
    expect((await purgeAll(retention(['webhook']))).events).toBe(7);
  });

  test('stay for the slowest of several destinations, and for one that has not begun', async () => {
    await ordersOf(4, 31 * DAY_MS);
    await ordersOf(1, 0);
    await cursorAt('webhook', 7);
    await cursorAt('kafka', 1);
    expect((await purgeAll(retention(['webhook', 'kafka', 'nats']))).events).toBe(0);
    expect((await purgeAll(retention(['webhook']))).events).toBe(0); // another relay has the others configured
    await t.db.relayDestination.delete({ where: { destination: 'nats' } });
    expect((await purgeAll(retention(['webhook']))).events).toBe(2);
  });

  test('of an order that a dead letter holds stay: they wait behind it', async () => {
    const [held = '', ...others] = await ordersOf(3, 31 * DAY_MS);
    const [young = ''] = await ordersOf(1, 0);
    await cursorAt('webhook', 7);
    const letter = await t.db.deadLetter.create({
      data: {
        destination: 'webhook',
        orderId: held,
        sequence: 1,
        type: 'order.created',
        cause: 'rejected',
        error: 'the webhook receiver answered 422',
        attempts: 3,
      },
    });
    expect((await purgeAll(retention(['webhook']))).events).toBe(2 * others.length);
    expect(await left()).toEqual(both([held, young]));
    await t.db.deadLetter.update({ where: { id: letter.id }, data: { state: 'DELIVERED', closedAt: new Date() } });
    expect((await purgeAll(retention(['webhook']))).events).toBe(2);
  });

  test('are not held by a destination that no relay has had configured for 30 days', async () => {
    await ordersOf(3, 31 * DAY_MS);
    await ordersOf(1, 0);
    await cursorAt('given-up', 0);
    await purgeOnce(retention(['given-up']));
    const since = (days: number) =>
      t.db.relayDestination.updateMany({ data: { configuredAt: new Date(Date.now() - days * DAY_MS) } });
    await since(29);
    expect((await purgeAll()).events).toBe(0);
    await since(31);
    expect((await purgeAll()).events).toBe(5);
  });

  test('leave the newest of the feed behind: the feed’s clock is read from it', async () => {
    await ordersOf(3, 31 * DAY_MS);
    const newest = (await readFeed(t.db, FEED_START, 100)).at(-1);
    expect((await purgeAll()).events).toBe(5);
    expect(await left()).toEqual([`${newest?.orderId}-${newest?.sequence}`]);
  });

  test('of an order may leave before its last ones, which keep their sequence; new ones go on counting', async () => {
    const [id = ''] = await ordersOf(1, 31 * DAY_MS);
    await t.db.event.update({
      where: { orderId_sequence: { orderId: id, sequence: 2 } },
      data: { occurredAt: new Date() },
    });
    await ordersOf(1, 0);
    expect((await purgeAll()).events).toBe(1);
    expect((await readOrderEvents(t.db, id, 0, 10)).map(({ sequence }) => sequence)).toEqual([2]);
    expect(await t.db.order.findUnique({ where: { id } })).toMatchObject({ eventCount: 2 });
  });
});

test('expired Idempotency-Keys leave, others stay', async () => {
  const key = (name: string, inMs: number) => ({
    caller: 'c',
    route: 'POST /orders',
    key: name,
    fingerprint: Buffer.from('f'),
    orderId: '01a1fc4b-2622-70f0-8b6b-725674f9c1d0',
    response: '{}',
    expiresAt: new Date(Date.now() + inMs),
  });
  const expired = Array.from({ length: 20 }, (_, i) => key(`old-${i}`, -DAY_MS));
  await t.db.idempotencyKey.createMany({ data: [...expired, key('new', DAY_MS)] });
  expect(await purgeAll()).toEqual({ events: 0, keys: 20 });
  expect(await t.db.idempotencyKey.findMany()).toMatchObject([{ key: 'new' }]);
});

test('relays that purge side by side remove each event once, and readers of the feed meet no error', async () => {
  await ordersOf(60, 31 * DAY_MS);
  const [young = ''] = await ordersOf(1, 0);
  const reading = eventually('a reader sees the young order', async () =>
    (await readFeed(t.db, FEED_START, 1_000)).some((event) => event.orderId === young),
  );
  const sums = await Promise.all([purgeAll(), purgeAll(), purgeAll()]);
  await reading;
  expect(sums.reduce((sum, { events }) => sum + events, 0)).toBe(120);
  expect(await left()).toEqual(both([young]));
});

test('the loop goes through all batches by itself, and stops when asked to', async () => {
  await ordersOf(3, 31 * DAY_MS);
  const [young = ''] = await ordersOf(1, 0);
  const stop = startRetention(retention(), pino({ level: 'silent' }));
  await eventually('the old ones are gone', async () => (await left()).length === 2);
  await stop();
  expect(await eventTypes(t.db, young)).toEqual(['order.created', 'inventory.reserved']);
});
