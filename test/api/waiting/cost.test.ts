/** What requests that wait cost Postgres, as Postgres counts it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { confirmOrder } from '../../../domain/confirmation.js';
import { reserveInventory } from '../../../domain/inventory.js';
import { recordCharge } from '../../../domain/payments.js';
import { type EventStream, startTestApi, type TestApi } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { accept, stock } from '../../support/database.js';
import { countTransactions } from './statements.js';

let api: TestApi;
let transactions: Awaited<ReturnType<typeof countTransactions>>;
const streams: EventStream[] = [];
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000_000);
  transactions = await countTransactions(api.databaseUrl);
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await transactions.close();
  await api.stop();
});

async function confirmed(): Promise<string> {
  const { id } = await accept(api.db, { KEYBOARD: 1 });
  await reserveInventory(api.db, id);
  await recordCharge(api.db, id, `pi_${id}`);
  await confirmOrder(api.db, id);
  return id;
}

async function open(count: number, path: (i: number) => string): Promise<EventStream[]> {
  const opened: EventStream[] = [];
  for (let i = 0; i < count; i += 50)
    opened.push(
      ...(await Promise.all(Array.from({ length: Math.min(50, count - i) }, (_, j) => api.stream(path(i + j))))),
    );
  streams.push(...opened);
  await eventually('all have what is stored', () => opened.every(({ events }) => events.length > 0));
  return opened;
}

/** They answer when the test has gone on. */
async function wait(count: number, customerId: string) {
  const answers = Array.from({ length: count }, () => api.place({ customerId }, { prefer: 'wait=30' }));
  await eventually('all wait', async () => (await api.db.order.count({ where: { customerId } })) === count);
  return answers;
}

const WHILE_MS = 4_000;
/** Three polls twice a second. */
const IDLE_MAX = 7 * (WHILE_MS / 1_000 + 3);

describe('requests that wait while nothing happens', () => {
  test('cost Postgres a few statements a second, however many they are', async () => {
    const orders = [await confirmed(), (await accept(api.db, { KEYBOARD: 1 })).id];
    await open(2, (i) => (i === 0 ? '/events' : `/orders/${orders[0]}/events`));
    const [one] = await wait(1, 'cus_one');
    const ofFew = await transactions.during(WHILE_MS);
    await open(298, (i) => (i % 3 === 0 ? '/events' : `/orders/${orders[i % 2]}/events`));
    const many = await wait(100, 'cus_many');
    const ofMany = await transactions.during(WHILE_MS);
    expect(ofFew).toBeLessThanOrEqual(IDLE_MAX);
    expect(ofMany).toBeLessThanOrEqual(IDLE_MAX);
    expect(ofMany).toBeLessThanOrEqual(1.3 * ofFew);
    expect((await Promise.all([one, ...many])).map((answer) => answer?.status)).toEqual(Array(101).fill(201));
  }, 90_000);

  test('cost nothing at all when there are none', async () => {
    expect(await transactions.during(WHILE_MS)).toBeLessThanOrEqual(3); // the listener's own sign of life
  }, 30_000);
});

describe('a change', () => {
  test('of one order is looked up once for all streams that follow it, and not at all for those that do not', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const others = await Promise.all(Array.from({ length: 20 }, () => accept(api.db, { KEYBOARD: 1 })));
    await open(100, (i) => `/orders/${others[i % 20]?.id}/events`);
    const mine = await open(100, () => `/orders/${id}/events`);
    const idle = await transactions.during(1_000);
    const changed = await transactions.of(async () => {
      await reserveInventory(api.db, id);
      await eventually('all have it', () => mine.every(({ events }) => events.length === 2));
    });
    expect(changed - idle).toBeLessThanOrEqual(15); // the change itself, and some polls more or less
  }, 60_000);

  test('of many orders at once is read once for all streams of the feed', async () => {
    const feeds = await open(100, () => '/events');
    const before = feeds[0]?.events.length ?? 0;
    const idle = await transactions.during(1_000);
    const changed = await transactions.of(async () => {
      for (let i = 0; i < 50; i++) await accept(api.db, { KEYBOARD: 1 });
      await eventually('all have them', () => feeds.every(({ events }) => events.length === before + 50));
    });
    // Two statements of ours per order, and fewer reads than orders.
    expect(changed - idle).toBeLessThanOrEqual(3 * 50);
  }, 60_000);
});
