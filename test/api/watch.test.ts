import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createWatch, type Watch } from '../../api/watch.js';
import { OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { reserveInventory } from '../../domain/inventory.js';
import { SILENT } from '../support/api.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const NEVER_MS = 600_000;
let t: TestDatabase;
const watches: Watch[] = [];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterAll(async () => {
  await Promise.all(watches.map((watch) => watch.stop()));
  await t.drop();
});

/** Listening, which it tells everybody who waits. */
async function listening(pollMs: number): Promise<Watch> {
  const watch = createWatch(t.url, SILENT, pollMs);
  watches.push(watch);
  await watch.news();
  return watch;
}

/** What a waiter has been told so far. */
function waitFor(watch: Watch, orderId?: string): { told: boolean; news: Promise<void> } {
  const waiter = { told: false, news: watch.news(orderId === undefined ? {} : { orderId }) };
  void waiter.news.then(() => {
    waiter.told = true;
  });
  return waiter;
}

/** Notifications come in the order of their commits: with this one, all earlier ones have come. */
async function allTold(watch: Watch): Promise<void> {
  const fence = randomUUID();
  const { news } = waitFor(watch, fence);
  await notify(fence);
  await news;
}

const notify = (orderId: string) => t.db.$queryRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, ${orderId})::text`;

describe('whoever waits', () => {
  test('for an order is told of that order, and not of others', async () => {
    const watch = await listening(NEVER_MS);
    const mine = await accept(t.db, { A: 1 });
    const other = await accept(t.db, { A: 1 });
    await allTold(watch);
    const waiter = waitFor(watch, mine.id);
    const twin = waitFor(watch, mine.id);
    const ofOther = waitFor(watch, other.id);
    const ofAll = waitFor(watch);
    await reserveInventory(t.db, other.id);
    await Promise.all([ofOther.news, ofAll.news]);
    expect([waiter.told, twin.told]).toEqual([false, false]);
    await reserveInventory(t.db, mine.id);
    await Promise.all([waiter.news, twin.news]);
  });

  test('looks all the same when no notification comes', async () => {
    const watch = await listening(50);
    await Promise.all([watch.news(), watch.news({ orderId: 'some' })]);
  });

  test('is told when a connection is made anew, since something may have been missed', async () => {
    const watch = await listening(NEVER_MS);
    const waiters = [waitFor(watch), waitFor(watch, 'some')];
    await t.db.$queryRaw`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'order-saga listener' AND datname = current_database()`;
    await Promise.all(waiters.map(({ news }) => news));
  });

  test('no longer waits once it has gone', async () => {
    const watch = await listening(NEVER_MS);
    const gone = new AbortController();
    const news = watch.news({ signal: gone.signal, orderId: 'some' });
    gone.abort();
    await news;
    await watch.news({ signal: gone.signal });
  });
});
