import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { deliverOnce } from '../../relay/deliveries.js';
import { createWebhookPublisher } from '../../relay/publishers/webhook.js';
import { startRelay } from '../../relay/relay.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

let t: TestDatabase;
let receiver: Receiver;
let owner: string;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
});
beforeEach(async () => {
  await t.db.relayCursor.deleteMany();
  owner = randomUUID();
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());
afterAll(() => t.drop());

const publisher = () => createWebhookPublisher({ url: receiver.url, secret: receiver.secret, allowPrivate: true });
const delivery = (as = owner, leaseMs = 15_000) => ({
  db: t.db,
  publisher: publisher(),
  owner: as,
  leaseMs,
  taken: new Set<string>(),
});

/** Two events each: enough to see an order's sequence. */
async function someOrders(count: number): Promise<string[]> {
  const orders = await Promise.all(Array.from({ length: count }, () => accept(t.db, { A: 1 })));
  await Promise.all(orders.map((order) => reserveInventory(t.db, order.id)));
  await feedShowsAll(t.db);
  return orders.map((order) => order.id);
}

async function deliverAll(d = delivery()): Promise<void> {
  while ((await deliverOnce(d)).more) {
    // one batch after the other
  }
}

describe('a destination', () => {
  test('gets every event once, signed, each order’s in sequence', async () => {
    const orders = await someOrders(40);
    await deliverAll();
    for (const id of orders) expect(receiver.sequences(id)).toEqual([1, 2]);
    expect(receiver.rejected).toBe(0);
    const before = receiver.received.length;
    await deliverAll();
    expect(receiver.received).toHaveLength(before);
  });

  test('that refuses some gets them later, still in sequence, and the others not twice', async () => {
    const orders = await someOrders(20);
    const [unlucky] = orders;
    receiver.answer = (event) => (event.subject === unlucky && event.sequence === 1 ? 503 : 204);
    const d = delivery();
    await expect(deliverAll(d)).rejects.toThrow('answered 503');
    expect(receiver.sequences(unlucky ?? '')).toEqual([]);
    const others = receiver.received.length;
    expect(others).toBeGreaterThan(0);
    receiver.answer = () => 204;
    await deliverAll(d);
    expect(receiver.sequences(unlucky ?? '')).toEqual([1, 2]);
    for (const id of orders) expect(receiver.sequences(id)).toEqual([1, 2]);
  });

  test('that is down loses nothing: a relay that starts afresh begins where the last one ended', async () => {
    await deliverAll();
    await receiver.stop();
    const orders = await someOrders(5);
    await expect(deliverAll()).rejects.toThrow();
    await t.db.relayCursor.updateMany({ data: { leaseOwner: null } });
    await receiver.start();
    await deliverAll(delivery(randomUUID()));
    for (const id of orders) expect(receiver.sequences(id)).toEqual([1, 2]);
  });

  test('is served by one relay at a time, and by another once the lease has run out', async () => {
    const orders = await someOrders(3);
    await deliverOnce(delivery('first'));
    const count = receiver.received.length;
    const more = await someOrders(1);
    expect(await deliverOnce(delivery('second'))).toEqual({ delivered: 0, owed: 0, more: false });
    expect(receiver.received).toHaveLength(count);
    await t.db.relayCursor.updateMany({ data: { leaseUntil: new Date(0) } });
    await deliverOnce(delivery('second'));
    for (const id of [...orders, ...more]) expect(receiver.sequences(id)).toEqual([1, 2]);
  });

  test('that takes longer for a batch than a lease lasts stays with its relay, and is served once', async () => {
    const orders = await someOrders(60);
    receiver.delayMs = 300;
    const leaseMs = 1_500;
    let done = false;
    const first = deliverAll(delivery('first', leaseMs)).finally(() => {
      done = true;
    });
    await eventually('the first relay has begun', () => receiver.received.length > 0);
    // Another relay tries all the while.
    await eventually('the first has finished', async () => {
      if (!done) await deliverOnce(delivery('second', leaseMs));
      return done;
    });
    await first;
    for (const id of orders)
      expect(receiver.received.filter((e) => e.subject === id).map((e) => e.sequence)).toEqual([1, 2]);
  });

  test('with a private address is refused unless that is allowed', async () => {
    const strict = createWebhookPublisher({
      url: 'https://127.0.0.1:1/hook',
      secret: receiver.secret,
      allowPrivate: false,
    });
    await someOrders(1);
    await expect(deliverOnce({ ...delivery(), publisher: strict })).rejects.toThrow('private address');
    expect(() =>
      createWebhookPublisher({ url: 'http://example.com/hook', secret: receiver.secret, allowPrivate: false }),
    ).toThrow('must be https');
  });
});

describe('the relay', () => {
  test('delivers within the idle lag after a commit, woken or polling', async () => {
    const temporal = {
      connected: new Promise<never>(() => undefined),
      client: () => undefined,
      namespace: 'default',
      close: async () => undefined,
    };
    const stop = startRelay({
      db: t.db,
      databaseUrl: t.url,
      temporal,
      publishers: [publisher()],
      policy: { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 },
      deliveryBackoffMaxMs: 1_000,
      outboxRetentionMs: 86_400_000,
      logger: pino({ level: 'silent' }),
    });
    try {
      const { id } = await accept(t.db, { A: 1 });
      await beginUnwinding(t.db, id, { reason: 'OPERATOR' });
      await cancelOrder(t.db, id);
      await eventually('both events arrive', () => receiver.sequences(id).length === 2, 2_000);
      expect(receiver.received.at(-1)).toMatchObject({
        type: 'order.cancelled',
        subject: id,
        data: { reason: 'OPERATOR' },
        specversion: '1.0',
      });
    } finally {
      await stop();
    }
  });
});
