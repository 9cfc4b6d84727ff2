/** What the dispatcher tells of itself: what it has in hand, and whether it falls behind; and what it spares Temporal. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { v7 as uuidv7 } from 'uuid';
import { createSagaDispatcher, type SagaDispatcher } from '../../api/dispatcher.js';
import { orderIdOf } from '../../contracts/ids.js';
import type { UnstartedSaga } from '../../contracts/saga.js';
import { listUnstarted, markStarted } from '../../domain/acceptance.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { FIRST_RUN } from '../../domain/saga-log.js';
import { createSagaSlots, type SagaSlots } from '../../sagas/slots.js';
import { PATIENT, SILENT, startServer, startTestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
/** How long each start may take, in milliseconds; as many as Temporal was asked for. */
let limits: number[];
/** The orders whose sagas it was asked to start, in that order. */
let asked: string[];
/** How to end what a test has begun, answers included. */
let endings: (() => unknown)[];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
beforeEach(() => {
  limits = [];
  asked = [];
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

/** A dispatcher before a Temporal whose answers the test controls. @param slots of the worker in this process, where the sagas run */
function dispatcherBefore(answer: () => Promise<unknown>, slots?: SagaSlots, eagerlyStarted = slots !== undefined) {
  const client = {
    withDeadline: (deadline: number, work: () => Promise<unknown>) => {
      limits.push(deadline - Date.now());
      return work();
    },
    workflow: {
      start: async (_type: string, { workflowId }: { workflowId: string }) => {
        asked.push(orderIdOf(workflowId));
        await answer();
        return { eagerlyStarted };
      },
    },
  } as unknown as Client;
  const dispatcher = createSagaDispatcher({
    db: t.db,
    client: () => client,
    policy: PATIENT,
    logger: SILENT,
    ...(slots && { slots }),
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
  test('has orders in hand until they have left the sweep’s list, and is behind while many wait', async () => {
    const { dispatcher, answer } = dispatcherInSuspense();
    const orders = await someOrders();
    startAll(dispatcher, orders);
    expect(new Set(dispatcher.inHand)).toEqual(new Set(orders.map(({ id }) => id)));
    expect(dispatcher.isBehind()).toBe(true);

    answer();
    await eventually('none waits', () => dispatcher.queue().waiting === 0);
    expect(dispatcher.isBehind()).toBe(false);
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
    await eventually('none waits', () => dispatcher.queue().waiting === 0);
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

test('an API hears of the end of a saga that another process runs', async () => {
  const slots = createSagaSlots({ atWorkMax: 1, atWorkLimitMs: 60_000, heldLimitMs: 60_000 });
  const api = await startTestApi({ slots });
  endings.push(api.stop);
  await stock(api.db, 'A', 10);
  const { id } = await accept(api.db, { A: 1 });
  slots.take(id);
  await reserveInventory(api.db, id);
  expect(slots.isFree()).toBe(false);
  await recordCharge(api.db, id, 'pi_1', FIRST_RUN, { confirm: true });
  await eventually('its slot is free', () => slots.isFree());
});

describe('a dispatcher whose sagas run in its own process', () => {
  const AT_WORK = 3;
  const LONG_MS = 60_000;
  const threeSlots = () =>
    createSagaSlots({ atWorkMax: AT_WORK, heldMax: MANY, atWorkLimitMs: LONG_MS, heldLimitMs: LONG_MS });
  const succeed = async () => undefined;
  const idsOf = (orders: { id: string }[]) => orders.map(({ id }) => id);

  test('begins as many as may be at work; the others follow in the order of their acceptance, one for each that ends', async () => {
    const slots = threeSlots();
    const dispatcher = dispatcherBefore(succeed, slots);
    const orders = await someOrders(12);
    startAll(dispatcher, orders);
    for (const [ended, { id }] of orders.entries()) {
      const begun = Math.min(orders.length, ended + AT_WORK);
      expect(asked).toEqual(idsOf(orders.slice(0, begun)));
      expect(dispatcher.queue().waiting).toBe(orders.length - begun);
      slots.release(id);
    }
    expect(dispatcher.isBehind()).toBe(false);
    expect(slots.atWork()).toBe(0);
  });

  test('begins cancellations before orders that have waited for longer', async () => {
    const slots = threeSlots();
    const dispatcher = dispatcherBefore(succeed, slots);
    const orders = await someOrders(6);
    startAll(dispatcher, orders);
    const cancelled = await accept(t.db, { A: 1 });
    dispatcher.start({ ...cancelled, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(dispatcher.queue().waiting).toBe(4);
    slots.release(orders[0]?.id ?? '');
    await eventually('one more is asked for', () => asked.length === 4);
    expect(asked.at(-1)).toBe(cancelled.id);
    for (const { id } of [...orders, cancelled]) slots.release(id);
  });

  test('is not behind while a few wait', async () => {
    const dispatcher = dispatcherBefore(succeed, threeSlots());
    startAll(dispatcher, await someOrders(AT_WORK + 16));
    expect(dispatcher.queue().waiting).toBe(16);
    expect(dispatcher.isBehind()).toBe(false);
  });

  test('tells for how long the oldest that waits has waited', async () => {
    const slots = threeSlots();
    const dispatcher = dispatcherBefore(succeed, slots);
    const orders = await someOrders(AT_WORK + 1);
    startAll(dispatcher, orders.slice(0, AT_WORK));
    expect(dispatcher.queue()).toEqual({ waiting: 0, oldestMs: 0 });
    const from = performance.now();
    startAll(dispatcher, orders.slice(AT_WORK));
    await eventually('it has waited for a while', () => dispatcher.queue().oldestMs > 50);
    expect(dispatcher.queue().oldestMs).toBeLessThanOrEqual(performance.now() - from);
    for (const id of idsOf(orders)) slots.release(id);
    expect(dispatcher.queue()).toEqual({ waiting: 0, oldestMs: 0 });
  });

  test('holds up no order for a saga that another process runs, or that could not be started', async () => {
    const orders = await someOrders();
    startAll(dispatcherBefore(succeed, threeSlots(), false), orders);
    await eventually('all are started', () => asked.length === MANY);
    const failing = dispatcherBefore(() => Promise.reject(new Error('Temporal is away')), threeSlots());
    startAll(failing, orders);
    await eventually('none waits', () => failing.queue().waiting === 0);
  });

  test('starts none that the sweep of another process has started meanwhile', async () => {
    const slots = threeSlots();
    const dispatcher = dispatcherBefore(succeed, slots);
    const orders = await someOrders(AT_WORK + 2);
    startAll(dispatcher, orders);
    const [swept, last] = orders.slice(AT_WORK);
    if (!swept || !last) throw new Error('there are too few orders');
    await markStarted(t.db, [{ ...swept, kind: 'order' }]);
    await eventually('it is let go', () => !dispatcher.inHand.has(swept.id));
    for (const id of idsOf(orders)) slots.release(id);
    expect(asked).toEqual(idsOf([...orders.slice(0, AT_WORK), last]));
  });

  test('starts no more once it is stopped, and leaves what waits on the sweep’s list', async () => {
    const slots = threeSlots();
    const dispatcher = dispatcherBefore(succeed, slots);
    const orders = await someOrders(AT_WORK + 5);
    startAll(dispatcher, orders);
    await dispatcher.stop();
    for (const id of idsOf(orders)) slots.release(id);
    expect(asked).toHaveLength(AT_WORK);
    expect(new Set(idsOf(await listed(orders)))).toEqual(new Set(idsOf(orders.slice(AT_WORK))));
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
    queue: () => ({ waiting: 0, oldestMs: 0 }),
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
