/** What requests that wait cost Postgres. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { confirmOrder } from '../../../domain/confirmation.js';
import { reserveInventory } from '../../../domain/inventory.js';
import { recordCharge } from '../../../domain/payments.js';
import { type EventStream, startTestApi, type TestApi } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { accept, createTestDatabase, ordersOf, stock, type TestDatabase } from '../../support/database.js';
import { type CountedDatabase, countStatements } from './statements.js';

let t: TestDatabase;
let api: TestApi;
let statements: CountedDatabase;
const streams: EventStream[] = [];
beforeAll(async () => {
  t = await createTestDatabase();
  statements = countStatements(t.db);
  api = await startTestApi({ db: statements.db, databaseUrl: t.url });
  await stock(t.db, 'KEYBOARD', 1_000_000);
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await api.stop();
  await t.drop();
});

async function confirmed(): Promise<string> {
  const { id } = await accept(t.db, { KEYBOARD: 1 });
  await reserveInventory(t.db, id);
  await recordCharge(t.db, id, `pi_${id}`);
  await confirmOrder(t.db, id);
  return id;
}

async function open(count: number, path: (i: number) => string): Promise<EventStream[]> {
  const opened: EventStream[] = [];
  for (let i = 0; i < count; i += 50)
    opened.push(
      ...(await Promise.all(Array.from({ length: Math.min(50, count - i) }, (_, j) => api.stream(path(i + j))))),
    );
  streams.push(...opened);
  await eventually('all have what is stored', () => opened.every(({ events }) => events.length > 0), 45_000);
  return opened;
}

/** They answer when the test has gone on. */
async function wait(count: number, customerId: string) {
  const answers = Array.from({ length: count }, () => api.place({ customerId }, { prefer: 'wait=18' }));
  await eventually('all wait', async () => (await ordersOf(t.db, customerId)).length === count);
  return answers;
}

const WHILE_MS = 2_500;
/** Three polls twice a second. */
const IDLE_MAX = 7 * (WHILE_MS / 1_000);
/** Of two times, since the overview reads its figures every 15 s, whoever waits. */
const leastOfTwo = async (count: () => Promise<number>) => Math.min(await count(), await count());
const ofIdle = () => leastOfTwo(() => statements.during(WHILE_MS));

describe('requests that wait while nothing happens', () => {
  test('cost Postgres a few statements a second, however many they are', async () => {
    const orders = [await confirmed(), (await accept(t.db, { KEYBOARD: 1 })).id];
    await open(2, (i) => (i === 0 ? '/events' : `/orders/${orders[0]}/events`));
    const [one] = await wait(1, 'cus_one');
    const ofFew = await ofIdle();
    await open(298, (i) => (i % 3 === 0 ? '/events' : `/orders/${orders[i % 2]}/events`));
    const many = await wait(100, 'cus_many');
    const ofMany = await ofIdle();
    expect(ofFew).toBeLessThanOrEqual(IDLE_MAX);
    expect(ofMany).toBeLessThanOrEqual(IDLE_MAX);
    expect(ofMany).toBeLessThanOrEqual(ofFew + 3);
    expect((await Promise.all([one, ...many])).map((answer) => answer?.status)).toEqual(Array(101).fill(201));
  }, 90_000);

  test('cost nothing at all when there are none', async () => {
    await eventually('the server has heard that all have gone', async () => (await statements.during(WHILE_MS)) === 0);
  }, 30_000);
});

/** @returns how many statements `act` and what it brings about have taken, without the polls that may fall into its time */
async function beyondPolls(act: () => Promise<unknown>): Promise<number> {
  const began = Date.now();
  const asked = await statements.of(act);
  return asked - 3 * (1 + Math.ceil((Date.now() - began) / 500));
}

describe('a change', () => {
  test('of one order is looked up once for all streams that follow it, and not at all for those that do not', async () => {
    const { id } = await accept(t.db, { KEYBOARD: 1 });
    const others = await Promise.all(Array.from({ length: 20 }, () => accept(t.db, { KEYBOARD: 1 })));
    await open(100, (i) => `/orders/${others[i % 20]?.id}/events`);
    const mine = await open(100, () => `/orders/${id}/events`);
    const changes = [() => reserveInventory(t.db, id), () => recordCharge(t.db, id, `pi_${id}`)];
    const asked = await leastOfTwo(() =>
      beyondPolls(async () => {
        await changes.shift()?.();
        await eventually('all have it', () => mine.every(({ events }) => events.length === 3 - changes.length));
      }),
    );
    expect(asked).toBeLessThanOrEqual(1);
  }, 120_000);

  test('of many orders at once is read once for all streams of the feed', async () => {
    const feeds = await open(100, () => '/events');
    const asked = await leastOfTwo(() =>
      beyondPolls(async () => {
        const orders = new Set<string>();
        for (let i = 0; i < 50; i++) orders.add((await accept(t.db, { KEYBOARD: 1 })).id);
        // An event of before may arrive meanwhile: those that are waited for are told by their orders.
        await eventually('all have them', () =>
          feeds.every(({ events }) => events.filter(({ data }) => orders.has(data.subject)).length === 50),
        );
      }),
    );
    expect(asked).toBeLessThanOrEqual(50);
  }, 120_000);
});
