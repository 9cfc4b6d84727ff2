/** What the dispatcher tells of itself: what it has in hand, and whether it falls behind; and what it spares Temporal. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { v7 as uuidv7 } from 'uuid';
import { createSagaDispatcher, type SagaDispatcher } from '../../api/dispatcher.js';
import type { UnstartedSaga } from '../../contracts/saga.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { FIRST_RUN } from '../../domain/saga-log.js';
import { PATIENT, SILENT, startServer, startTestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
/** How long each start may take, in milliseconds; as many as Temporal was asked for. */
let limits: number[];
/** How to end what a test has begun, answers included. */
let endings: (() => unknown)[];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
beforeEach(() => {
  limits = [];
  endings = [];
});
afterEach(async () => {
  for (const end of endings) await end();
});
afterAll(() => t.drop());

/** More than a dispatcher starts at a time. */
const MANY = 50;
const someOrders = (count = MANY) => Promise.all(Array.from({ length: count }, () => accept(t.db, { A: 1 })));
const startAll = (dispatcher: SagaDispatcher, orders: Awaited<ReturnType<typeof someOrders>>) => {
  for (const order of orders) dispatcher.start({ ...order, kind: 'order' });
};
/** Those of the orders that the sweep would start. */
const listed = async (orders: { id: string }[]) => {
  const all = new Set((await listUnstarted(t.db, -60_000, 1_000)).map(({ id }) => id));
  return orders.filter(({ id }) => all.has(id));
};

/** A dispatcher before a Temporal whose answers the test controls. */
function dispatcherBefore(answer: () => Promise<unknown>) {
  const client = {
    withDeadline: (deadline: number, work: () => Promise<unknown>) => {
      limits.push(deadline - Date.now());
      return work();
    },
    workflow: { start: answer },
  } as unknown as Client;
  const dispatcher = createSagaDispatcher({
    db: t.db,
    client: () => client,
    policy: PATIENT,
    eager: false,
    logger: SILENT,
  });
  endings.push(() => dispatcher.stop());
  return dispatcher;
}
/** A dispatcher before a Temporal that says nothing yet. */
function dispatcherInSuspense() {
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  endings.push(answer);
  return { dispatcher: dispatcherBefore(() => answered), answer };
}

describe('a dispatcher that Temporal keeps waiting', () => {
  test('has orders in hand until they have left the sweep’s list, and is behind while some wait', async () => {
    const { dispatcher, answer } = dispatcherInSuspense();
    const orders = await someOrders();
    startAll(dispatcher, orders);
    expect(new Set(dispatcher.inHand)).toEqual(new Set(orders.map(({ id }) => id)));
    expect(dispatcher.isBehind()).toBe(true);

    answer();
    await eventually('none waits', () => !dispatcher.isBehind());
    const letGoTooEarly = new Set<string>();
    await eventually('nothing is in hand', async () => {
      const letGo = orders.filter(({ id }) => !dispatcher.inHand.has(id)); // before it is seen what is listed
      for (const { id } of await listed(letGo)) letGoTooEarly.add(id);
      return dispatcher.inHand.size === 0;
    });
    expect(letGoTooEarly).toEqual(new Set());
    expect(await listed(orders)).toEqual([]);
  });

  test('asks it for several at a time, but not for all, and waits for none of them without limit', async () => {
    const { dispatcher, answer } = dispatcherInSuspense();
    startAll(dispatcher, await someOrders());
    await eventually('it is asked', () => limits.length > 1);
    expect(limits.length).toBeLessThan(MANY / 2);
    answer();
    await eventually('none waits', () => !dispatcher.isBehind());
    expect(limits).toHaveLength(MANY);
    expect(Math.max(...limits)).toBeLessThan(5_000);
  });

  test('leaves to the sweep whatever is more than its memory is for', async () => {
    const { dispatcher } = dispatcherInSuspense();
    const [order] = await someOrders(1);
    if (!order) throw new Error('there is no order');
    for (let n = 0; n < 10_000; n++) dispatcher.start({ ...order, id: uuidv7(), kind: 'order' });
    expect(dispatcher.inHand.size).toBeGreaterThan(1_000);
    expect(dispatcher.inHand.size).toBeLessThan(6_000);
  });
});

describe('when Temporal fails, a dispatcher', () => {
  test('has nothing in hand, and is not behind', async () => {
    const dispatcher = dispatcherBefore(() => Promise.reject(new Error('Temporal is away')));
    startAll(dispatcher, await someOrders());
    await eventually('nothing is in hand', () => dispatcher.inHand.size === 0);
    expect(dispatcher.isBehind()).toBe(false);
  });

  test('lets the others go without asking, and asks again soon', async () => {
    const dispatcher = dispatcherBefore(() => Promise.reject(new Error('Temporal is away')));
    startAll(dispatcher, await someOrders());
    await eventually('nothing is in hand', () => dispatcher.inHand.size === 0);
    const asked = limits.length;
    expect(asked).toBeLessThan(MANY / 2);
    const [order] = await someOrders(1);
    if (!order) throw new Error('there is no order');
    await eventually('it asks again', () => {
      startAll(dispatcher, [order]);
      return limits.length > asked;
    });
  });
});

test('a dispatcher that is stopped leaves to the sweep nothing that it has started', async () => {
  const dispatcher = dispatcherBefore(async () => undefined);
  const orders = await someOrders(3);
  startAll(dispatcher, orders);
  await dispatcher.stop();
  expect(await listed(orders)).toEqual([]);
});

test('the cancellation of a confirmed order has the undos of the plan under which the order was accepted', async () => {
  const api = await startTestApi();
  endings.push(api.stop);
  const dispatched: UnstartedSaga[] = [];
  const dispatcher: SagaDispatcher = {
    start: (saga) => void dispatched.push(saga),
    inHand: new Set(),
    isBehind: () => false,
    stop: async () => undefined,
  };
  const server = await startServer(api, { dispatcher });
  endings.unshift(server.stop);
  await stock(api.db, 'A', 10);
  const { id } = await accept(api.db, { A: 1 });
  await reserveInventory(api.db, id);
  await recordCharge(api.db, id, 'pi_1', FIRST_RUN, { confirm: true });
  await api.db.order.update({ where: { id }, data: { planVersion: 7 } }); // another build has accepted it
  const { status } = await server.client.send('POST', `/orders/${id}/cancel`, { reason: 'changed my mind' });
  expect(status).toBe(202);
  expect(dispatched).toMatchObject([{ id, kind: 'cancellation', planVersion: 7 }]);
});
