/**
 * The moments of accepting and delivering at which a process, or its connection to Postgres, is lost and no client can know
 * what has committed. What a client asks again under its key is one order; what was accepted is finished by the processes
 * that are left; what was delivered but not noted is delivered again, in order.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Order } from '../../clients/typescript/client.js';
import { freePort } from '../../local/processes/ports.js';
import type { Running } from '../../local/processes/program.js';
import { LEASE_MS } from '../../relay/deliveries.js';
import { eventually } from '../support/conditions.js';
import { stock, ordersOf } from '../support/database.js';
import { type Loss, type PostgresProxy, startPostgresProxy } from '../support/postgres-proxy.js';
import { isServing, kill, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

const ACCEPTING = 'INSERT INTO orders';
const NOTING = 'UPDATE relay_cursors c SET feed_xid';
/** What PRODUCT promises of an order that was accepted by a process that died of it. */
const SWEEP_LIMIT_MS = 5_000;
const FINAL_LIMIT_MS = 30_000;
const LIMIT_MS = 120_000;

let around: Surroundings;
let proxy: PostgresProxy;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 1_000);
  proxy = await startPostgresProxy(around.database.url);
}, LIMIT_MS);
afterAll(async () => {
  await proxy?.stop();
  await around?.stop();
}, 60_000);

const running: Running[] = [];
let customer: string;
let customers = 0;
beforeEach(() => {
  customer = `cus_${++customers}`;
});
afterEach(async () => {
  for (const service of running.splice(0)) await kill(service);
});

/** All roles, as on one machine. */
async function startService(databaseUrl: string, more: Record<string, string> = {}) {
  const port = await freePort();
  const api = `http://127.0.0.1:${port}`;
  const variables = {
    ROLE: 'all',
    PORT: `${port}`,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: around.temporal.address,
    PAYMENTS_URL: around.sandbox.url,
    ...more,
  };
  const service = await around.start(variables, () => isServing(api));
  running.push(service);
  return { ...service, api };
}

const place = (api: string, key: string) => orderOne(api, key, customer);

const ordersOfCustomer = async () => {
  const { db } = around.database;
  const ids = (await ordersOf(db, customer)).map(({ id }) => id);
  return db.order.findMany({ where: { id: { in: ids } } });
};

/** The customer's one order, once it is confirmed. */
const confirmed = () =>
  eventually(
    'the one order is confirmed',
    async () => {
      const orders = await ordersOfCustomer();
      if (orders.length > 1) throw new Error(`there are ${orders.length} orders`);
      return orders[0]?.status === 'CONFIRMED' && orders[0];
    },
    FINAL_LIMIT_MS,
  );

/** Whoever is asked for an order loses that statement, or its answer, and is killed before the client hears of it. */
async function dieAccepting(key: string, loss: Loss): Promise<void> {
  const doomed = await startService(proxy.url);
  const lost = proxy.lose(ACCEPTING, loss);
  const asked = place(doomed.api, key).catch(() => 'no answer');
  await lost;
  await kill(doomed);
  expect(await asked).toBe('no answer');
}

test(
  'killed before an order has reached Postgres: nothing was accepted, and the same request makes it',
  async () => {
    await dieAccepting('never-reached', 'keep');
    expect(await ordersOfCustomer()).toEqual([]);

    const successor = await startService(around.database.url);
    const answer = await place(successor.api, 'never-reached');
    expect([answer.status, answer.headers.get('idempotent-replayed')]).toEqual([201, null]);
    expect((await confirmed()).id).toBe(((await answer.json()) as Order).id);
  },
  LIMIT_MS,
);

test(
  'killed when an order was durable, before any client heard of it: its saga starts by itself, and a client that asks again gets it',
  async () => {
    await dieAccepting('never-heard', 'mute');
    const [accepted] = await ordersOfCustomer();
    expect(accepted).toMatchObject({ status: 'PENDING', sagaStartedAt: null });

    const successor = await startService(around.database.url);
    await eventually('its saga starts', async () => (await ordersOfCustomer())[0]?.sagaStartedAt, SWEEP_LIMIT_MS);
    const answer = await place(successor.api, 'never-heard');
    expect([answer.status, answer.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
    expect(await answer.json()).toMatchObject({ id: accepted?.id, status: 'PENDING' });
    expect((await confirmed()).id).toBe(accepted?.id);
  },
  LIMIT_MS,
);

test(
  'without its connection when the order was durable: the client is asked to try again, and gets that one order',
  async () => {
    const service = await startService(proxy.url);
    const lost = proxy.lose(ACCEPTING, 'cut');
    const first = await place(service.api, 'unknown');
    await lost;
    expect(first.status).toBe(503);
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/);
    const [accepted] = await ordersOfCustomer();

    const again = await place(service.api, 'unknown');
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
    expect(await again.json()).toMatchObject({ id: accepted?.id });
    expect((await confirmed()).id).toBe(accepted?.id);
  },
  LIMIT_MS,
);

test(
  'killed when events were delivered, before that was noted: they come again, and each order’s in sequence',
  async () => {
    const { receiver, webhook } = around;
    const doomed = await startService(proxy.url, webhook());
    const lost = proxy.lose(NOTING, 'keep');
    await place(doomed.api, 'delivered');
    const { id } = await confirmed();
    await lost;
    await kill(doomed);
    const before = receiver.received.length;
    expect(before).toBeGreaterThan(0);

    const successor = await startService(around.database.url, webhook());
    await place(successor.api, 'delivered');
    await eventually('they come again', () => receiver.received.length > before, LEASE_MS + FINAL_LIMIT_MS);
    await eventually('all of them have come', () => receiver.sequences(id).length === 4);
    expect(receiver.sequences(id)).toEqual([1, 2, 3, 4]);
    const ids = receiver.received.map((event) => event.id);
    expect(ids.length).toBeGreaterThan(new Set(ids).size);
  },
  LIMIT_MS,
);

test('and all ledgers together are right', () => around.expectRight(customers - 1));
