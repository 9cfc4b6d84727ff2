/** Cursors that are gone, or stand before where the relay left them: nothing that is kept is skipped, and nothing goes unsaid. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { describeDestinations, noteStanding } from '../../domain/destinations.js';
import { countUnservedPartitions } from '../../domain/figures.js';
import { FEED_START, PARTITIONS } from '../../domain/outbox.js';
import { confirmDestinations } from '../../domain/retention.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { webhookTo } from '../support/relay.js';
import { beginAtTheEnd, deliverAll, someOrders, startTestRelay } from './relays.js';

let t: TestDatabase;
let receiver: Receiver;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
});
beforeEach(async () => {
  await t.db.relayDestination.deleteMany();
  await beginAtTheEnd(t);
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());
afterAll(() => t.drop());

const startOne = (begin: 'oldest' | 'now' = 'oldest') => startTestRelay(t, webhookTo(receiver), { begin });
const times = (orders: string[], sequence: number) =>
  orders.map((id) => receiver.received.filter((event) => event.subject === id && event.sequence === sequence).length);
const each = (orders: string[], count: number) => orders.map(() => count);
/** As if the events had come long before any relay's start. */
const ageAll = () => t.db.event.updateMany({ data: { occurredAt: new Date(Date.now() - 60_000) } });
const setBack = () => t.db.relayCursor.updateMany({ data: FEED_START });

test('cursors that are removed under a relay are made anew with its next renewal, and all that is kept comes once more', async () => {
  const orders = await someOrders(t, 5);
  const relay = await startOne('now');
  await ageAll();
  await deliverAll(relay);
  expect(times(orders, 2)).toEqual(each(orders, 1));
  await t.db.relayCursor.deleteMany();
  await relay.renew();
  await deliverAll(relay);
  expect(await t.db.relayCursor.count()).toBe(PARTITIONS);
  expect(times(orders, 2)).toEqual(each(orders, 2));
});

test('a destination that has taken events and lost its cursors begins with the oldest, whatever DESTINATIONS_BEGIN says', async () => {
  const orders = await someOrders(t, 5);
  await ageAll();
  const { owner } = await startOne();
  const [takenAt, never] = [new Date(), null];
  await noteStanding(
    t.db,
    { destination: 'webhook', owner },
    { takenAt, failingSince: never, error: null, leftAloneUntil: never },
  );
  await t.db.relayCursor.deleteMany();
  await t.db.relayMember.deleteMany();
  await deliverAll(await startOne('now'));
  expect(times(orders, 1)).toEqual(each(orders, 1));
});

test('a configured destination without cursors counts as served by nobody, and is listed so', async () => {
  await confirmDestinations(t.db, ['webhook']);
  await startOne();
  expect(await countUnservedPartitions(t.db)).toBe(0);
  await t.db.relayCursor.deleteMany();
  expect(await countUnservedPartitions(t.db)).toBe(PARTITIONS);
  expect(await describeDestinations(t.db)).toMatchObject([
    { destination: 'webhook', partitions: PARTITIONS, served: 0, state: 'unserved', cursors: [] },
  ]);
});

test('cursors that were set back under a relay send what is kept once more from its next renewal on', async () => {
  const orders = await someOrders(t, 5);
  const relay = await startOne();
  await deliverAll(relay);
  await setBack();
  await relay.renew();
  await deliverAll(relay);
  expect(times(orders, 1)).toEqual(each(orders, 2));
});

test('a relay that has not noticed yet moves no cursor past what it has not read', async () => {
  const orders = await someOrders(t, 5);
  const relay = await startOne();
  await deliverAll(relay);
  await setBack();
  await someOrders(t, 20); // in all of these partitions, as good as
  await deliverAll(relay);
  await relay.renew();
  await deliverAll(relay);
  expect(times(orders, 1)).toEqual(each(orders, 2));
});

test('what was read from another server is forgotten: the one that answers now may have other events at that place', async () => {
  const orders = await someOrders(t, 5);
  const relay = await startOne();
  receiver.answer = () => 503; // read, and not taken: the cursor stays before it
  await deliverAll(relay).catch(() => undefined);
  for (const { lease } of relay.backlogs.values()) lease.serverSince = '0';
  const before = [...relay.backlogs.values()];
  receiver.answer = () => 204;
  await relay.renew();
  await deliverAll(relay);
  expect([...relay.backlogs.values()].filter((backlog) => before.includes(backlog))).toEqual([]);
  expect(times(orders, 1).every((count) => count >= 1)).toBe(true);
});

test('whoever renews a lease that has lapsed is a new owner: what it had in hand before counts no more', async () => {
  const relay = await startOne();
  await deliverAll(relay);
  const epochs = async () => (await t.db.relayCursor.findMany()).map(({ leaseEpoch }) => leaseEpoch);
  const [before] = await epochs();
  await relay.renew();
  expect(await epochs()).toEqual(Array(PARTITIONS).fill(before));
  await t.db.relayCursor.updateMany({ data: { leaseUntil: new Date(Date.now() - 1_000) } });
  await relay.renew();
  expect(await epochs()).toEqual(Array(PARTITIONS).fill((before ?? 0n) + 1n));
});
