/** Where a destination begins that is new: DESTINATIONS_BEGIN. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { readBacklog } from '../../domain/cursors.js';
import { reserveInventory } from '../../domain/inventory.js';
import { PARTITIONS } from '../../domain/outbox.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay, webhookTo } from '../support/relay.js';
import { deliverAll, someOrders, startTestRelay } from './relays.js';

const MINUTE_MS = 60_000;
let t: TestDatabase;
let receiver: Receiver;
let other: pg.Client;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
  other = new pg.Client({ connectionString: t.url });
  await other.connect();
});
beforeEach(async () => {
  await t.db.event.deleteMany();
  await t.db.relayMember.deleteMany();
  await t.db.relayDestination.deleteMany();
  await t.db.relayCursor.deleteMany();
  receiver = await startReceiver();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await receiver.stop();
});
afterAll(async () => {
  await other.end();
  await t.drop();
});

const startOne = (begin: 'oldest' | 'now') => startTestRelay(t, webhookTo(receiver), { begin });
const sequences = (orders: string[]) => orders.map((id) => receiver.sequences(id));
const cursors = async () => {
  const rows = await t.db.relayCursor.findMany();
  return rows.map(({ feedXid, feedPosition }) => `${feedXid}/${feedPosition}`);
};
/** Makes all events so far older than any that a destination which begins now is to get. */
async function ageAll(ageMs = MINUTE_MS): Promise<void> {
  await t.db.event.updateMany({ data: { occurredAt: new Date(Date.now() - ageMs) } });
}

test('begun now, it gets what comes from then on: fresh orders whole, and of those under way the rest, without a gap', async () => {
  const past = await someOrders(t, 5);
  const underWay = await Promise.all(Array.from({ length: 5 }, async () => (await accept(t.db, { A: 1 })).id));
  await feedShowsAll(t.db);
  await ageAll();
  const stop = runRelay(t, receiver, 'now');
  try {
    await eventually('it has begun', async () => (await t.db.relayCursor.count()) === PARTITIONS);
    await Promise.all(underWay.map((id) => reserveInventory(t.db, id)));
    const fresh = await someOrders(t, 5);
    await eventually('all that is owed arrives', async () => (await readBacklog(t.db))[0]?.events === 0);
    expect(sequences(fresh)).toEqual(fresh.map(() => [1, 2]));
    expect(sequences(underWay)).toEqual(underWay.map(() => [2]));
    expect(sequences(past)).toEqual(past.map(() => []));
  } finally {
    await stop();
  }
});

test('begun now, it misses nothing that was written before its start and commits after it', async () => {
  const early = await accept(t.db, { A: 1 });
  await ageAll();
  await feedShowsAll(t.db);
  await other.query('BEGIN');
  await other.query(
    `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid, occurred_at)
     VALUES ($1, 2, 'inventory.released', '{"orderId":"${early.id}","items":[]}', 'c', pg_current_xact_id()::text::bigint, now() - interval '1 minute')`,
    [early.id],
  );
  await accept(t.db, { A: 1 });
  await ageAll(); // … so that only the open transaction keeps the cursor before it
  const relay = await startOne('now');
  await other.query('COMMIT');
  await feedShowsAll(t.db);
  await deliverAll(relay);
  expect(receiver.sequences(early.id)).toEqual([2]);
});

test('begun now, it also gets what came while the database did not answer it', async () => {
  const [before = ''] = await someOrders(t, 1);
  await ageAll(3 * MINUTE_MS);
  const [meanwhile = ''] = await someOrders(t, 1);
  const occurredAt = new Date(Date.now() - MINUTE_MS);
  await t.db.event.updateMany({ where: { orderId: meanwhile }, data: { occurredAt } });
  const startedAt = performance.now();
  const firstAnswerAt = startedAt + 2 * MINUTE_MS;
  const clock = jest.spyOn(performance, 'now').mockReturnValueOnce(startedAt).mockReturnValueOnce(firstAnswerAt);
  const relay = await startOne('now');
  clock.mockRestore();
  await deliverAll(relay);
  expect(sequences([before, meanwhile])).toEqual([[], [1, 2]]);
});

test('begun now, what came a moment before its start is not missed', async () => {
  const orders = await someOrders(t, 3);
  await deliverAll(await startOne('now'));
  expect(sequences(orders)).toEqual(orders.map(() => [1, 2]));
});

test('where it begins is asked once: a destination that was served before goes on where it was', async () => {
  const first = await startOne('oldest');
  await first.release();
  const orders = await someOrders(t, 3);
  await ageAll();
  const second = await startOne('now');
  await deliverAll(second);
  expect(sequences(orders)).toEqual(orders.map(() => [1, 2]));
  await second.release();

  await t.db.relayCursor.deleteMany(); // another destination, as it were
  const skipped = receiver.received.length;
  await (await startOne('now')).release();
  await deliverAll(await startOne('oldest'));
  expect(receiver.received).toHaveLength(skipped);
});

test('several relays that start at once begin at one place', async () => {
  await someOrders(t, 3);
  await ageAll();
  await other.query('BEGIN');
  await other.query(`INSERT INTO relay_cursors (destination, partition) VALUES ('webhook', 0)`); // has them wait
  const starting = Promise.all([startOne('now'), startOne('oldest'), startOne('now')]);
  await eventually('they wait for each other', async () => {
    const waiting = await t.db.$queryRaw<unknown[]>`
      SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return waiting.length === 3;
  });
  await other.query('ROLLBACK');
  const relays = await starting;
  const places = await cursors();
  expect(places).toHaveLength(PARTITIONS);
  expect(new Set(places).size).toBe(1);
  await Promise.all(relays.map((relay) => relay.release()));
});
