/** Many orders fail at once, for the receiver's own reasons: the others go on, and no order is held whose events are sound. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { listDeadLetters } from '../../domain/dead-letters.js';
import { deliverOnce } from '../../relay/deliveries.js';
import type { Publisher } from '../../relay/publishers/publisher.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { webhookTo } from '../support/relay.js';
import { beginAtTheEnd, someOrders, startTestRelay, type TestRelay } from './relays.js';

let t: TestDatabase;
let receiver: Receiver;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
});
beforeEach(async () => {
  await t.db.deadLetter.deleteMany();
  await beginAtTheEnd(t);
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());
afterAll(() => t.drop());

const startOne = (options = {}) => startTestRelay(t, webhookTo(receiver), { backoffMaxMs: 40, ...options });
const failFor = (orders: string[], status: number) => {
  const bad = new Set(orders);
  receiver.answer = (event) => (bad.has(event.subject) ? status : 204);
};
const deadLetters = () => listDeadLetters(t.db, {}, 1_000);
const owed = ({ backlogs }: TestRelay) =>
  [...backlogs.values()]
    .flatMap((backlog) => [...backlog.streams.values()])
    .reduce((sum, { events }) => sum + events.length, 0);
const haveArrived = (orders: string[]) => orders.every((id) => receiver.sequences(id).length === 2);

/** Rounds until the condition holds, as the loop would make them. */
const roundsUntil = (relay: TestRelay, what: string, condition: () => Promise<boolean> | boolean) =>
  eventually(what, async () => {
    await deliverOnce(relay).catch(() => undefined);
    return condition();
  });

/** Other orders that come and get through, as in a day's business, until the condition holds. */
async function wavesUntil(relay: TestRelay, condition: () => Promise<boolean>, wavesMax = 40): Promise<void> {
  for (let wave = 0; wave < wavesMax && !(await condition()); wave++) {
    const others = await someOrders(t, 4);
    await roundsUntil(relay, 'others arrive', () => haveArrived(others));
  }
  expect(await condition()).toBe(true);
}

describe('orders that fail', () => {
  test('stop no others, however many they are, and are held in the end', async () => {
    const bad = await someOrders(t, 260);
    failFor(bad, 500);
    const relay = await startOne();
    await roundsUntil(relay, 'all of it has been read', () => owed(relay) === 520);
    await wavesUntil(relay, async () => (await deadLetters()).length >= 20);
    const held = await deadLetters();
    expect(held.every(({ orderId }) => bad.includes(orderId))).toBe(true);
    expect(held[0]).toMatchObject({ cause: 'unavailable-for-this-event', sequence: 1 });
  });

  test('and fill the memory that they may have still let a few others through, so that rejections can be told from transient failures', async () => {
    const bad = await someOrders(t, 30);
    failFor(bad, 500);
    const relay = await startOne({ troubledMax: 20 });
    await roundsUntil(relay, 'they fail', () => owed(relay) === 60);
    const others = await someOrders(t, 10);
    await roundsUntil(relay, 'the others arrive', () => {
      relay.probedAtMs = Number.NEGATIVE_INFINITY; // a second has passed
      return haveArrived(others);
    });
    await wavesUntil(relay, async () => {
      relay.probedAtMs = Number.NEGATIVE_INFINITY;
      return (await deadLetters()).length > 0;
    });
  });

  test('because a receiver has more than it can take are not held', async () => {
    const taken = new Map<string, number>();
    let room = 0;
    const publisher: Publisher = {
      destination: 'webhook',
      publish: async (events) => {
        const stopped = new Set<string>();
        return events.map(({ subject }) => {
          if (stopped.has(subject)) return { outcome: 'not-sent' };
          if (room <= 0) {
            stopped.add(subject);
            return { outcome: 'unavailable', error: new Error('too much') };
          }
          room--;
          taken.set(subject, (taken.get(subject) ?? 0) + 1);
          return { outcome: 'taken' };
        });
      },
      close: async () => undefined,
    };
    const relay = await startTestRelay(t, publisher, { backoffMaxMs: 1 });
    const orders: string[] = [];
    for (let round = 0; round < 30; round++) {
      orders.push(...(await someOrders(t, 6)));
      room = 10; // of twelve
      await deliverOnce(relay).catch(() => undefined);
      expect(await deadLetters()).toEqual([]);
    }
    room = Number.POSITIVE_INFINITY;
    await roundsUntil(relay, 'all arrive', () => orders.every((id) => taken.get(id) === 2));
  });

  test('because the receiver is always too busy for this one only are held as well, later', async () => {
    const bad = await someOrders(t, 1);
    failFor(bad, 503);
    const relay = await startOne({ backoffMaxMs: 1 });
    await wavesUntil(relay, async () => (await deadLetters()).length > 0, 60);
    const [deadLetter] = await deadLetters();
    expect(deadLetter).toMatchObject({ orderId: bad[0], cause: 'unavailable-for-this-event' });
    expect(deadLetter?.attempts).toBeGreaterThanOrEqual(20);
  });
});

describe('a replay of many dead letters', () => {
  test('delays neither fresh events nor other dead letters while it fails, and its dead letters are held again', async () => {
    const orders = await someOrders(t, 120);
    await beginAtTheEnd(t);
    const [bad, good] = [orders.slice(0, 110), orders.slice(110)];
    failFor(bad, 500);
    const deadLetter = { destination: 'webhook', sequence: 1, type: 'order.created', cause: 'rejected', error: '422' };
    const decision = { attempts: 3, state: 'REPLAYING', decidedBy: 'op-7' };
    for (const orderId of orders) await t.db.deadLetter.create({ data: { ...deadLetter, ...decision, orderId } });
    const relay = await startOne();
    const fresh = await someOrders(t, 5);
    await roundsUntil(relay, 'the fresh ones arrive', () => haveArrived(fresh));
    await roundsUntil(relay, 'the other dead letters are delivered', () => haveArrived(good));
    await wavesUntil(relay, async () => (await deadLetters()).some(({ state }) => state === 'PARKED'));
    const again = (await deadLetters()).filter(({ state }) => state === 'PARKED');
    expect(again[0]).toMatchObject({ cause: 'unavailable-for-this-event', sequence: 1 });
  });
});

describe('a discarded event', () => {
  test.each(['in hand when the relay is killed', 'closed when the relay is killed'])(
    'is never sent by the next relay, which begins before it: %s',
    async (when) => {
      const [id = ''] = await someOrders(t, 1);
      receiver.answer = ({ sequence }) => (sequence === 2 ? 422 : 204);
      const first = await startOne({ saveEveryMs: 60_000 });
      first.savedAtMs = performance.now(); // it will not have saved its cursors
      await roundsUntil(first, 'it is held', async () => (await deadLetters()).length === 1);
      receiver.answer = () => 204;
      await t.db.deadLetter.updateMany({ data: { state: 'DISCARDED', decidedBy: 'op-7', reason: 'not wanted' } });
      const isClosed = async () => (await t.db.deadLetter.count({ where: { closedAt: null } })) === 0;
      if (when.startsWith('closed')) await roundsUntil(first, 'it is closed', isClosed);
      await first.release();
      const second = await startOne();
      const others = await someOrders(t, 20);
      await roundsUntil(
        second,
        'it is closed, and others arrive',
        async () => haveArrived(others) && (await isClosed()),
      );
      expect(receiver.sequences(id)).not.toContain(2);
      expect(new Set(receiver.sequences(id))).toEqual(new Set([1]));
    },
  );
});
