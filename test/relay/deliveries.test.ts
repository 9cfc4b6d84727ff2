import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { CloudEvent } from '../../contracts/events.js';
import { advanceCursors, readBacklog } from '../../domain/cursors.js';
import { type Database, withAnnouncer } from '../../domain/database.js';
import { reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { FEED_START } from '../../domain/outbox.js';
import { deliverOnce, saveCursors } from '../../relay/deliveries.js';
import type { Publisher } from '../../relay/publishers/publisher.js';
import { createWebhookPublisher } from '../../relay/publishers/webhook.js';
import { startRelay } from '../../relay/relay.js';
import type { Channel } from '../../runtime/channel.js';
import { openDatabase } from '../../runtime/database.js';
import { AWAY } from '../support/api.js';
import { changesOf } from '../support/changes.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { beginAtTheEnd, deliverAll, someOrders, startTestRelay } from './relays.js';

let t: TestDatabase;
let receiver: Receiver;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
  await stock(t.db, 'B', 1_000_000);
});
beforeEach(async () => {
  await beginAtTheEnd(t);
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());
afterAll(() => t.drop());

const publisher = () => createWebhookPublisher({ url: receiver.url, secret: receiver.secret, allowPrivate: true });
const startOne = (options = {}) => startTestRelay(t, publisher(), options);
const expectInSequence = (orders: string[]) => {
  expect(orders.length).toBeGreaterThan(0);
  for (const id of orders) expect([id, receiver.sequences(id)]).toEqual([id, [1, 2]]);
};

describe('a destination', () => {
  test('gets every event once, signed, each order’s in sequence', async () => {
    const orders = await someOrders(t, 40);
    const relay = await startOne();
    await deliverAll(relay);
    expectInSequence(orders);
    expect(receiver.rejected).toBe(0);
    const before = receiver.received.length;
    await deliverAll(relay);
    expect(receiver.received).toHaveLength(before);
    expect(await readBacklog(t.db)).toEqual([{ destination: 'webhook', events: 0, oldestAt: null }]);
  });

  test('that fails for one order gets the others meanwhile, and that one later, in sequence, and nothing twice', async () => {
    const orders = await someOrders(t, 20);
    const [unlucky = ''] = orders;
    receiver.answer = (event) => (event.subject === unlucky && event.sequence === 1 ? 503 : 204);
    const relay = await startOne();
    await deliverAll(relay);
    expect(receiver.sequences(unlucky)).toEqual([]);
    expectInSequence(orders.slice(1));
    // Not only those that were read with it: the partition of the unlucky one is read on.
    const later = await someOrders(t, 40);
    await deliverAll(relay);
    expectInSequence(later);
    receiver.answer = () => 204;
    await eventually('the unlucky one is served', async () => {
      await deliverAll(relay);
      return receiver.sequences(unlucky).length === 2;
    });
    expectInSequence([...orders, ...later]);
    expect(receiver.received).toHaveLength(new Set(receiver.received.map((event) => event.id)).size);
  });

  test('that is down loses nothing and has nothing held, and a relay that starts afresh begins where the last one ended', async () => {
    await receiver.stop();
    const orders = await someOrders(t, 30);
    const relay = await startOne();
    for (let tries = 0; tries < 25; tries++) await expect(deliverOnce(relay)).rejects.toThrow('ECONNREFUSED');
    const [backlog] = await readBacklog(t.db);
    expect(backlog).toEqual({ destination: 'webhook', events: 60, oldestAt: expect.any(Date) });
    await relay.release();
    await receiver.start();
    await deliverAll(await startOne());
    expectInSequence(orders);
    expect(await t.db.deadLetter.count()).toBe(0);
  });

  test('that answers half of the time gets everything in the end, and nothing is held', async () => {
    const orders = await someOrders(t, 30);
    let turn = 0;
    receiver.answer = () => (turn++ % 2 === 0 ? 503 : 204);
    const relay = await startOne({ backoffMaxMs: 50 });
    await eventually('all arrive', async () => {
      await deliverOnce(relay).catch(() => undefined);
      return orders.every((id) => receiver.sequences(id).length === 2);
    });
    expectInSequence(orders);
    expect(await t.db.deadLetter.count()).toBe(0);
  });

  test('that asks to be left alone is left alone, no longer than the backoff allows', async () => {
    await someOrders(t, 1);
    receiver.answer = () => 429;
    receiver.headers = { 'retry-after': '3600' };
    const relay = await startOne({ backoffMaxMs: 400 });
    await deliverOnce(relay);
    const asked = receiver.asked;
    const from = performance.now();
    await deliverOnce(relay);
    expect(receiver.asked).toBe(asked);
    await eventually('it is asked again', async () => {
      await deliverOnce(relay).catch(() => undefined);
      return receiver.asked > asked;
    });
    expect(performance.now() - from).toBeGreaterThan(200);
    expect(performance.now() - from).toBeLessThan(5_000);
  });

  test('gets an event whose transaction took its place early and committed late, before those that came after it', async () => {
    const late = await accept(t.db, { A: 1 });
    await feedShowsAll(t.db);
    const relay = await startOne();
    await deliverAll(relay);
    const other = openDatabase(t.url, 2);
    try {
      const others: string[] = [];
      await other.$transaction(async (tx) => {
        await reserveInventory(tx, late.id);
        // Elsewhere orders go on; the relay must not run past the one that is still open.
        others.push((await accept(t.db, { B: 1 })).id, (await accept(t.db, { B: 1 })).id);
        await deliverAll(relay);
        expect(receiver.sequences(late.id)).toEqual([1]);
        const [backlog] = await readBacklog(t.db);
        expect(backlog?.events).toBe(2);
      });
      await feedShowsAll(t.db);
      await deliverAll(relay);
      expect(receiver.sequences(late.id)).toEqual([1, 2]);
      for (const id of others) expect(receiver.sequences(id)).toEqual([1]);
    } finally {
      await other.$disconnect();
    }
  });
});

describe('relays', () => {
  test('share a destination, give back what is beyond their share, and take over what another leaves', async () => {
    const heldBy = async () =>
      (await t.db.relayCursor.groupBy({ by: ['leaseOwner'], _count: true })).map((group) => group._count).sort();
    const first = await startOne();
    expect(await heldBy()).toEqual([16]);
    const second = await startOne();
    expect(await heldBy()).toEqual([16]);
    await first.renew();
    await second.renew();
    expect(await heldBy()).toEqual([8, 8]);

    const orders = await someOrders(t, 60);
    const delivered = [await deliverAll(first), await deliverAll(second)];
    expect(Math.min(...delivered)).toBeGreaterThan(0);
    expectInSequence(orders);
    expect(receiver.received.filter((event) => orders.includes(event.subject))).toHaveLength(120);

    await first.release();
    await second.renew();
    expect(await heldBy()).toEqual([16]);
    const more = await someOrders(t, 30);
    expect(await deliverAll(first)).toBe(0);
    await deliverAll(second);
    expectInSequence(more);
  });

  test('that lose their lease while they send move no cursor', async () => {
    await someOrders(t, 20);
    const relay = await startOne();
    const places = async () =>
      (await t.db.relayCursor.findMany({ orderBy: { partition: 'asc' } })).map(({ feedPosition }) => feedPosition);
    const before = await places();
    receiver.whenAsked = async () => {
      receiver.whenAsked = undefined;
      await t.db.relayCursor.updateMany({ data: { leaseEpoch: 99n } });
    };
    expect((await deliverOnce(relay)).delivered).toBe(40);
    expect(await places()).toEqual(before);
    expect(relay.backlogs.size).toBe(16 - new Set(receiver.received.map((event) => event.subject.at(-1))).size);
  });

  test('that sleep through the end of their lease repeat what another has sent, in sequence, and take nothing from it', async () => {
    const orders = await someOrders(t, 20);
    const sleeper = await startOne();
    // It has read and sent, but falls asleep before it can say so; then its leases run out.
    receiver.whenAsked = async () => {
      receiver.whenAsked = undefined;
      await t.db.relayCursor.updateMany({ data: { leaseUntil: new Date(0) } });
      await t.db.relayMember.updateMany({ data: { aliveUntil: new Date(0) } });
      await deliverAll(await startOne());
    };
    await deliverAll(sleeper);
    const cursors = await t.db.relayCursor.findMany({ orderBy: { partition: 'asc' } });
    expect(new Set(cursors.map((cursor) => cursor.leaseEpoch))).toEqual(new Set([2n]));
    await sleeper.renew();
    await deliverAll(sleeper);
    expect(await t.db.relayCursor.findMany({ orderBy: { partition: 'asc' } })).toEqual(cursors);
    expectInSequence(orders);
  });

  test('never move a cursor back, and keep the partition', async () => {
    await someOrders(t, 20);
    const relay = await startOne();
    await deliverAll(relay);
    const cursors = () => t.db.relayCursor.findMany({ orderBy: { partition: 'asc' } });
    const before = await cursors();
    const back = [...relay.backlogs.values()].map(({ lease }) => ({ ...lease, ...FEED_START, from: FEED_START }));
    expect(await advanceCursors(t.db, { destination: 'webhook', owner: relay.owner }, back)).toHaveLength(16);
    expect(await cursors()).toEqual(before);
  });

  test('hold nothing once their leases may have run out unnoticed', async () => {
    await someOrders(t, 1);
    const relay = await startOne({ leaseMs: 1 });
    await eventually('the lease is over', async () => (await deliverOnce(relay)).delivered === 0);
    expect(relay.backlogs.size).toBe(0);
  });
});

describe('the relay', () => {
  let elsewhere: Channel;
  beforeAll(() => {
    elsewhere = changesOf(t);
  });
  afterAll(() => elsewhere.stop());
  beforeEach(() => t.db.relayCursor.deleteMany({ where: { destination: { not: 'webhook' } } }));
  const startIt = (publishers: Publisher[]) => {
    const changes = changesOf(t);
    const relay = startRelay({
      db: t.db,
      changes,
      temporal: AWAY,
      publishers,
      inHand: new Set(),
      policy: { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 },
      deliveryBackoffMaxMs: 1_000,
      destinationsBegin: 'oldest',
      outboxRetentionMs: 86_400_000,
      erasuresLateAfterMs: 23 * 86_400_000,
      logger: pino({ level: 'silent' }),
    });
    return async () => {
      await relay.stop();
      await changes.stop();
    };
  };

  test.each([
    ['by the statement', () => t.db],
    ['by another process', () => withAnnouncer(t.db, elsewhere)],
    ['not at all, since the process that wrote it has died', () => withAnnouncer(t.db, { announce: () => undefined })],
  ])('delivers within the idle lag after a commit, notified %s', async (_, writer) => {
    const stop = startIt([publisher()]);
    try {
      const db = writer();
      const { id } = await accept(db, { A: 1 });
      await beginUnwinding(db, id, { reason: 'OPERATOR' });
      await cancelOrder(db, id);
      await eventually('both events arrive', () => receiver.sequences(id).length === 2, 4_000);
      expect(receiver.received.at(-1)).toMatchObject({
        type: 'order.cancelled',
        subject: id,
        data: { reason: 'OPERATOR' },
        specversion: '1.0',
      });
    } finally {
      await stop();
    }
    expect(await readBacklog(t.db)).toEqual([{ destination: 'webhook', events: 0, oldestAt: null }]);
    expect(await t.db.relayCursor.count({ where: { leaseOwner: { not: null } } })).toBe(0);
  });

  test('serves each destination at its own pace: one that is down holds back no other', async () => {
    const arrived: CloudEvent[] = [];
    const down: Publisher = {
      destination: 'down',
      publish: async (events) => events.map(() => ({ outcome: 'unavailable', error: new Error('down') })),
      close: async () => undefined,
    };
    const up: Publisher = {
      destination: 'up',
      publish: async (events) => {
        arrived.push(...events);
        return events.map(() => ({ outcome: 'taken' }));
      },
      close: async () => undefined,
    };
    const stop = startIt([down, up]);
    try {
      await eventually('all has arrived where it is up', async () => {
        const [behind, done] = await readBacklog(t.db);
        return done?.destination === 'up' && done.events === 0 && (behind?.events ?? 0) > 0;
      });
      const orders = await someOrders(t, 10);
      const isThere = (id: string) => arrived.filter((event) => event.subject === id).length === 2;
      await eventually('fresh events arrive in time', () => orders.every(isThere), 2_000);
      const backlog = await readBacklog(t.db);
      expect(backlog[0]).toMatchObject({ destination: 'down', events: await t.db.event.count() });
    } finally {
      await stop();
    }
  });

  test('saves cursors once for many events, and writes nothing when there is nothing to send', async () => {
    const writes: string[] = [];
    const watched = t.db.$extends({
      query: {
        $allOperations: ({ args, query }) => {
          const { sql = '' } = args as { sql?: string };
          if (/INSERT|UPDATE|DELETE/.test(sql)) writes.push(sql);
          return query(args);
        },
      },
    }) as unknown as Database;
    const relay = await startOne({ db: watched, saveEveryMs: 60_000 });
    for (let round = 0; round < 5; round++) {
      await someOrders(t, 10);
      await deliverAll(relay);
    }
    expect(receiver.received).toHaveLength(100);
    expect(writes).toHaveLength(1);
    await saveCursors(relay);
    expect(writes).toHaveLength(2);
    await deliverAll(relay);
    await saveCursors(relay);
    expect(writes).toHaveLength(2);
    expect(await readBacklog(t.db)).toEqual([{ destination: 'webhook', events: 0, oldestAt: null }]);
  });
});
