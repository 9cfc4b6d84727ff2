import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOrderChanges, type OrderChanges } from '../../api/order-changes.js';
import { OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { reserveInventory } from '../../domain/inventory.js';
import { SILENT } from '../support/api.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const NEVER_MS = 600_000;
let t: TestDatabase;
const opened: OrderChanges[] = [];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterAll(async () => {
  await Promise.all(opened.map((orderChanges) => orderChanges.stop()));
  await t.drop();
});

/** Listening: its first notification is that it does. */
async function listening(pollMs: number): Promise<OrderChanges> {
  const orderChanges = createOrderChanges(t.url, SILENT, pollMs);
  opened.push(orderChanges);
  await orderChanges.next();
  return orderChanges;
}

function waitFor(orderChanges: OrderChanges, orderId?: string): { told: boolean; change: Promise<void> } {
  const waiter = { told: false, change: orderChanges.next(orderId === undefined ? {} : { orderId }) };
  void waiter.change.then(() => {
    waiter.told = true;
  });
  return waiter;
}

/** Notifications come in the order of their commits: with this one, all earlier ones have come. */
async function allWoken(orderChanges: OrderChanges): Promise<void> {
  const fence = randomUUID();
  const { change } = waitFor(orderChanges, fence);
  await notify(fence);
  await change;
}

const notify = (orderId: string) => t.db.$queryRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, ${orderId})::text`;

describe('a request that waits', () => {
  test('for an order is woken for that order, and not for others', async () => {
    const orderChanges = await listening(NEVER_MS);
    const mine = await accept(t.db, { A: 1 });
    const other = await accept(t.db, { A: 1 });
    await allWoken(orderChanges);
    const waiter = waitFor(orderChanges, mine.id);
    const twin = waitFor(orderChanges, mine.id);
    const ofOther = waitFor(orderChanges, other.id);
    const ofAll = waitFor(orderChanges);
    await reserveInventory(t.db, other.id);
    await Promise.all([ofOther.change, ofAll.change]);
    expect([waiter.told, twin.told]).toEqual([false, false]);
    await reserveInventory(t.db, mine.id);
    await Promise.all([waiter.change, twin.change]);
  });

  test('looks all the same when no notification comes', async () => {
    const orderChanges = await listening(50);
    await Promise.all([orderChanges.next(), orderChanges.next({ orderId: 'some' })]);
  });

  test('is woken when the connection is replaced, since a notification may have been missed', async () => {
    const orderChanges = await listening(NEVER_MS);
    const waiters = [waitFor(orderChanges), waitFor(orderChanges, 'some')];
    await t.db.$queryRaw`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'order-saga listener' AND datname = current_database()`;
    await Promise.all(waiters.map(({ change }) => change));
  });

  test('no longer waits once its client has gone', async () => {
    const orderChanges = await listening(NEVER_MS);
    const gone = new AbortController();
    const change = orderChanges.next({ signal: gone.signal, orderId: 'some' });
    gone.abort();
    await change;
    await orderChanges.next({ signal: gone.signal });
  });
});
