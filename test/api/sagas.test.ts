import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CANCEL_ORDER_SAGA, cancelOrderSagaId, ORDER_SAGA, orderSagaId, TASK_QUEUE } from '../../contracts/ids.js';
import { PLAN_VERSION, STEPS } from '../../contracts/plan.js';
import type { Order } from '../../contracts/orders.js';
import type { SagaProgress } from '../../contracts/saga.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { requestCancellation } from '../../domain/orders.js';
import type { TemporalLink } from '../../runtime/temporal.js';
import { AWAY, lostTemporal, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

type Saga = SagaProgress & { workflowId: string; runId: string | null; webUrl: string | null; waitingFor?: string };
const UI = 'http://127.0.0.1:8233';

let s: SagaStack;
let link: TemporalLink;
let api: TestApi;
/** The same service, in a process that Temporal has never answered. */
let away: TestApi;
beforeAll(async () => {
  s = await startSagaStack();
  link = { ...AWAY, client: () => s.client };
  const common = { db: s.db, databaseUrl: s.databaseUrl, temporalUiUrl: UI };
  api = await startTestApi({ ...common, temporal: link, policy: { ...PATIENT, stepRetryBudgetMs: 1_200 } });
  away = await startTestApi(common);
  await stock(s.db, 'KEYBOARD', 1_000);
  await stock(s.db, 'NONE', 0);
});
afterEach(() => s.heal());
afterAll(async () => {
  await Promise.all([api.stop(), away.stop()]);
  await s.stop();
});

const sagaOf = async (id: string, from = api) => {
  const { status, body } = await from.get<Saga>(`/orders/${id}/saga`);
  expect(status).toBe(200);
  return body;
};
const summary = ({ steps }: Saga) => steps.map(({ kind, name, status }) => `${kind} ${name}: ${status}`);
const CONFIRMED = STEPS.map((name) => `step ${name}: completed`);
const PENDING = STEPS.map((name) => `step ${name}: pending`);
const wanted = { reason: 'CANCELLED_BY_CUSTOMER' } as const;

test('an order is confirmed by its saga within the wait, and every step of its saga is shown', async () => {
  const { headers, body: order } = await api.place({}, { prefer: 'wait=25' });
  expect([order.status, headers.get('preference-applied')]).toEqual(['CONFIRMED', 'wait=25']);
  expect((await api.get(`/orders/${order.id}`)).body).toEqual(order);
  const saga = await eventually('the saga has ended', async () => {
    const told = await sagaOf(order.id);
    return told.steps.every((step) => step.status === 'completed') && told;
  });
  expect(saga).toMatchObject({
    state: 'COMPLETED',
    workflowId: `order-${order.id}`,
    runId: expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  expect(saga.webUrl).toBe(`${UI}/namespaces/default/workflows/order-${order.id}/${saga.runId}/history`);
  expect(summary(saga)).toEqual(CONFIRMED);
  for (const step of saga.steps) {
    expect(step).toEqual({
      name: step.name,
      kind: 'step',
      status: 'completed',
      attempts: 1,
      startedAt: expect.any(String),
      finishedAt: expect.any(String),
      lastError: null,
    });
    expect(Date.parse(String(step.finishedAt))).toBeGreaterThanOrEqual(Date.parse(String(step.startedAt)));
  }
});

test('an order whose saga was started by the API leaves the sweep’s list', async () => {
  const { body: order } = await api.place({}, { prefer: 'wait=25' });
  await eventually(
    'it is off the list',
    async () => !(await listUnstarted(s.db, -60_000, 1_000)).some(({ id }) => id === order.id),
  );
});

test('the correlation id is in the workflow’s memo', async () => {
  const { body: order } = await api.place({}, { 'x-correlation-id': 'memo-1', prefer: 'wait=25' });
  expect((await s.client.workflow.getHandle(`order-${order.id}`).describe()).memo).toMatchObject({
    correlationId: 'memo-1',
  });
});

test('before its start a saga is running, without a run', async () => {
  const { body: order } = await away.place();
  for (const from of [away, api]) {
    const saga = await sagaOf(order.id, from);
    expect(saga).toMatchObject({ state: 'RUNNING', workflowId: `order-${order.id}`, runId: null });
    expect(summary(saga)).toEqual(STEPS.map((name) => `step ${name}: pending`));
  }
});

describe('a refused order', () => {
  test.each([
    ['for want of stock', { items: [{ sku: 'NONE', quantity: 1 }] }, 'OUT_OF_STOCK', 'step reserveInventory: refused'],
    ['by the gateway', { paymentMethod: 'pm_card_chargeDeclined' }, 'PAYMENT_DECLINED', 'step chargePayment: refused'],
  ])('%s is cancelled within the wait, its saga compensated', async (_, changed, reason, refused) => {
    const { body: order } = await api.place(changed, { prefer: 'wait=25' });
    expect(order).toMatchObject({ status: 'CANCELLED', cancellation: { reason, message: expect.any(String) } });
    const saga = await eventually('the saga has ended', async () => {
      const told = await sagaOf(order.id);
      return told.steps.some((step) => step.name === 'cancelOrder' && step.status === 'undone') && told;
    });
    expect(saga.state).toBe('COMPENSATED');
    expect(summary(saga)).toContain(refused);
    const kept = await sagaOf(order.id, away);
    expect(kept).toMatchObject({ state: 'COMPENSATED', runId: null });
    expect(summary(kept)).toEqual(expect.arrayContaining([refused, 'undo cancelOrder: undone']));
  });
});

test('a saga that is stuck says where and why, and completes once repaired', async () => {
  await s.fault({ route: 'all', mode: 'down' });
  const { body: order } = await api.place();
  const stuck = await eventually('the saga is parked', async () => {
    const told = await sagaOf(order.id);
    return told.state === 'NEEDS_ATTENTION' && told;
  });
  expect(stuck.steps.find((step) => step.name === 'chargePayment')).toMatchObject({
    status: 'parked',
    lastError: expect.stringContaining('payment gateway'),
  });
  expect((await api.get(`/orders/${order.id}`)).body).toMatchObject({ status: 'PENDING' });
  await s.heal();
  await s.client.workflow.getHandle(`order-${order.id}`).signal('retry');
  await eventually('the saga is completed', async () => (await sagaOf(order.id)).state === 'COMPLETED');
  expect((await api.get(`/orders/${order.id}`)).body).toMatchObject({ status: 'CONFIRMED' });
});

test('a saga that was completed from outside is not shown as ended before its order', async () => {
  const { body: other } = await api.place({}, { prefer: 'wait=25' });
  const order = await accept(s.db, { KEYBOARD: 1 });
  // As `temporal activity complete` leaves it: this order's saga has come to its end, and has done nothing for it.
  const completed = async (type: string, workflowId: string) =>
    (
      await s.client.workflow.start(type, {
        workflowId,
        taskQueue: TASK_QUEUE,
        args: [{ orderId: other.id, policy: PATIENT, planVersion: PLAN_VERSION }],
      })
    ).result();
  await completed(ORDER_SAGA, orderSagaId(order.id));
  const saga = await sagaOf(order.id);
  expect(saga.state).toBe('NEEDS_ATTENTION');
  expect(summary(saga)).toEqual(PENDING);

  const { body: confirmed } = await api.place({}, { prefer: 'wait=25' });
  await requestCancellation(s.db, other.id, wanted);
  await completed(CANCEL_ORDER_SAGA, cancelOrderSagaId(other.id));
  await requestCancellation(s.db, confirmed.id, wanted);
  await completed(CANCEL_ORDER_SAGA, cancelOrderSagaId(confirmed.id));
  expect((await sagaOf(other.id)).state).toBe('COMPENSATED');
  const cancellation = await sagaOf(confirmed.id);
  expect(cancellation).toMatchObject({ state: 'NEEDS_ATTENTION', workflowId: cancelOrderSagaId(confirmed.id) });
  expect(summary(cancellation)).toEqual(CONFIRMED);
}, 60_000);

test('what has happened is read from Postgres while Temporal is away or lost', async () => {
  const { body: order } = await api.place({}, { prefer: 'wait=25' });
  const temporal = await lostTemporal();
  const lost = await startTestApi({ db: s.db, databaseUrl: s.databaseUrl, temporal });
  for (const from of [away, lost]) {
    const saga = await sagaOf(order.id, from);
    expect(saga).toMatchObject({ state: 'COMPLETED', workflowId: `order-${order.id}`, runId: null });
    expect(summary(saga)).toEqual(CONFIRMED);
  }
  expect((await sagaOf(order.id, lost)).webUrl).toBeNull();
  await lost.stop();
  await temporal.close();
});

test('however many watch a saga, and however often, a worker is asked a few times; of one that has ended, never', async () => {
  const asked: string[] = [];
  const { workflow } = s.client;
  const handleOf = workflow.getHandle.bind(workflow);
  workflow.getHandle = ((...args: Parameters<typeof handleOf>) => {
    const handle = handleOf(...args);
    const query = handle.query.bind(handle);
    handle.query = ((...of: Parameters<typeof query>) => {
      asked.push(args[0]);
      return query(...of);
    }) as typeof handle.query;
    return handle;
  }) as typeof workflow.getHandle;
  const watch = (id: string) => Promise.all(Array.from({ length: 40 }, () => sagaOf(id)));
  try {
    const { body: ended } = await api.place({}, { prefer: 'wait=25' });
    await s.fault({ route: 'all', mode: 'down' });
    const { body: stuck } = await api.place();
    await eventually('it is parked', async () => (await sagaOf(stuck.id)).state === 'NEEDS_ATTENTION');
    asked.length = 0;
    const all = [await watch(ended.id), await watch(ended.id), await watch(stuck.id)];
    expect(all.map((sagas) => new Set(sagas.map(({ state }) => state)))).toEqual([
      new Set(['COMPLETED']),
      new Set(['COMPLETED']),
      new Set(['NEEDS_ATTENTION']),
    ]);
    for (const saga of all.flat()) expect(saga.runId).not.toBeNull();
    expect(asked.every((workflowId) => workflowId === orderSagaId(stuck.id))).toBe(true);
    expect(asked.length).toBeLessThan(10);
    // What has been committed since is never older than the order, whatever was shared a moment before.
    await api.send('POST', `/orders/${stuck.id}/cancel`, { reason: 'enough' });
    await s.heal();
    const final = await eventually('it is cancelled', async () => {
      const [{ body: order }, saga] = [await api.get<Order>(`/orders/${stuck.id}`), await sagaOf(stuck.id)];
      return order.status === 'CANCELLED' && saga;
    });
    expect(final.state).toBe('COMPENSATED');
  } finally {
    workflow.getHandle = handleOf;
  }
}, 60_000);

/** The last one here: the worker is gone after it. */
test('a saga that no worker works on is shown as waiting for one, with what it has done', async () => {
  const { body: before } = await api.place({}, { prefer: 'wait=25' });
  expect(await sagaOf(before.id)).not.toHaveProperty('waitingFor');
  await s.dismiss();
  const { body: order } = await api.place();
  const saga = () => sagaOf(order.id);
  expect(await saga()).not.toHaveProperty('waitingFor'); // it may be its turn in a moment
  await eventually('it is said', async () => (await saga()).waitingFor === 'worker', 60_000);
  expect(await saga()).toMatchObject({ state: 'RUNNING', runId: expect.any(String), workflowId: `order-${order.id}` });
  expect(await sagaOf(before.id)).not.toHaveProperty('waitingFor');
}, 90_000);
