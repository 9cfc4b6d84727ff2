/** Cancelling orders and deciding stuck sagas over HTTP, on sagas that really run. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ORDER_SAGA, orderSagaId, TASK_QUEUE } from '../../contracts/ids.js';
import type { Order } from '../../contracts/orders.js';
import { LAST_UNDO, PLAN, STEPS, stepsOf, undosOf } from '../../contracts/plan.js';
import type { SagaProgress } from '../../contracts/saga.js';
import { beginUnwinding, readOrder } from '../../domain/orders.js';
import { type RunningRelay, startRelay } from '../../relay/relay.js';
import { describeRun } from '../../sagas/describe.js';
import { expectProblem, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { expectRight } from '../support/invariants.js';
import { ledgersOf, readCharges, readFacts } from '../support/ledgers.js';
import { NO_CHANGES } from '../support/changes.js';
import { eventually } from '../support/conditions.js';
import { accept, assertStockConserved, eventTypes, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { ALL_DONE, ALL_UNDONE } from '../../verification/stories.js';

let s: SagaStack;
let api: TestApi;
let relay: RunningRelay;
const policy = { ...PATIENT, stepRetryBudgetMs: 1_200 };

beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'PLENTY', 1_000);
  const temporal = {
    connected: new Promise<never>(() => undefined),
    client: () => s.client,
    namespace: 'default',
    close: async () => undefined,
  };
  const common = { db: s.db, temporal, policy, logger: SILENT };
  api = await startTestApi({ ...common, databaseUrl: s.databaseUrl });
  relay = startRelay({
    ...common,
    changes: NO_CHANGES,
    publishers: [],
    inHand: new Set(),
    deliveryBackoffMaxMs: 1_000,
    destinationsBegin: 'oldest',
    outboxRetentionMs: 86_400_000,
    erasuresLateAfterMs: 23 * 86_400_000,
  });
});
afterEach(() => s.heal());
afterAll(async () => {
  await api.stop();
  await relay.stop();
  await s.stop();
});

type Stuck = {
  sagas: { orderId: string; step: string; failure: string; total: unknown }[];
  groups: { step: string; count: number }[];
  next: string | null;
};
const place = async (paymentMethod = 'pm_card_visa') =>
  (
    await api.send<Order>('POST', '/orders', {
      customerId: 'cus_1',
      items: [{ sku: 'PLENTY', quantity: 1 }],
      paymentMethod,
    })
  ).body;
const statusOf = async (id: string) => (await readOrder(s.db, id))?.status;
const final = (id: string, status: string) =>
  eventually(`order ${id} is ${status}`, async () => (await statusOf(id)) === status);
const cancel = (id: string) =>
  api.send<Order & { code: string }>('POST', `/orders/${id}/cancel`, { reason: 'changed my mind' });
const sagaOf = async (id: string) => (await api.get<SagaProgress & { workflowId: string }>(`/orders/${id}/saga`)).body;
const stuckWith = (ids: string[]) =>
  eventually('all of them are listed as stuck', async () => {
    const { body } = await api.get<Stuck>('/admin/sagas');
    return ids.every((id) => body.sagas.some((saga) => saga.orderId === id)) && body;
  });
const resolve = (id: string, body: object) =>
  api.send<SagaProgress & { code: string; detail: string }>('POST', `/admin/sagas/${id}/resolve`, {
    operator: 'op-1',
    reason: 'by hand',
    ...body,
  });

describe('cancelling', () => {
  test('a confirmed order refunds it, gives the stock back, and may be repeated', async () => {
    const { id } = await place();
    await final(id, 'CONFIRMED');
    expect((await cancel(id)).status).toBe(202);
    expect((await cancel(id)).status).toBe(202);
    await final(id, 'CANCELLED');
    expect((await cancel(id)).status).toBe(202);
    expect((await api.get<Order>(`/orders/${id}`)).body.cancellation).toEqual({
      reason: 'CANCELLED_BY_CUSTOMER',
      message: 'changed my mind',
    });
    expect(await s.money(id)).toEqual({ net: 0, charges: 1 });
    expect((await eventTypes(s.db, id)).slice(-ALL_UNDONE.length)).toEqual(ALL_UNDONE);
    const saga = await sagaOf(id);
    expect(saga).toMatchObject({ state: 'COMPENSATED', workflowId: `order-${id}-cancel` });
    expect(saga.steps.map((step) => step.name)).toEqual([...STEPS, ...undosOf(stepsOf(PLAN)), LAST_UNDO]);
    await assertStockConserved(s.db);
  });

  test('a pending order whose gateway is down unwinds it at once', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'PENDING' } });
    await final(id, 'CANCELLED');
    expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
  });

  test('an order before its saga has started is honoured when it starts', async () => {
    const { id } = await accept(s.db, { PLENTY: 1 });
    expect((await cancel(id)).status).toBe(202);
    await final(id, 'CANCELLED');
    expect(await eventTypes(s.db, id)).toEqual(['order.created', 'order.cancelled']);
  });

  test('an order that was cancelled otherwise is refused, and says why', async () => {
    const { id } = await place('pm_card_chargeDeclined');
    await final(id, 'CANCELLED');
    const answer = await cancel(id);
    expect(answer).toMatchObject({ status: 409, body: { code: 'order-cancelled' } });
    expect(answer.text).toContain('PAYMENT_DECLINED');
  });

  test('races with the confirmation to one consistent end, whichever wins', async () => {
    const rounds = process.env['FULL'] === '1' ? 200 : 30;
    const ids: string[] = [];
    for (let i = 0; i < rounds; i++) {
      const { id } = await place();
      ids.push(id);
      // From at once to about when a saga confirms.
      await eventually(
        'some events are there',
        async () => (await s.db.event.count({ where: { orderId: id } })) > i % 4,
      );
      expect((await cancel(id)).status).toBe(202);
    }
    for (const id of ids) await final(id, 'CANCELLED');
    const facts = await readFacts((sql) => s.db.$queryRawUnsafe(sql));
    const ledgers = ledgersOf({ ...facts, charges: await readCharges(s.sandboxUrl) }, ids);
    expectRight(ledgers);
    // Whether the order was ever confirmed says which has won: over many orders, each has.
    const confirmed = ledgers.events.filter(({ type }) => type === 'order.confirmed').length;
    expect(confirmed).toBeGreaterThan(0);
    expect(confirmed).toBeLessThan(rounds);
    await assertStockConserved(s.db);
  }, 180_000);

  test.each([
    [{}],
    [{ reason: '' }],
    [{ reason: 'x'.repeat(201) }],
    [{ reason: 'x', more: 1 }],
    [{ reason: 'a\u0000b' }],
  ])('refuses a body like %j', async (body) => {
    const { id } = await accept(s.db, { PLENTY: 1 });
    expect((await api.send('POST', `/orders/${id}/cancel`, body)).status).toBe(400);
    await beginUnwinding(s.db, id, { reason: 'OPERATOR' });
  });
});

describe('stuck sagas', () => {
  test('are listed with their group, and retried, skipped or unwound one by one', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const [a, b, c] = [await place(), await place(), await place()].map((order) => order.id) as [
      string,
      string,
      string,
    ];
    const listed = await stuckWith([a, b, c]);
    expect(listed.groups[0]).toMatchObject({ step: 'chargePayment', failure: 'GatewayUnknown' });
    expect(listed.groups[0]?.count).toBeGreaterThanOrEqual(3);

    expect(await resolve(a, { action: 'compensate' })).toMatchObject({ status: 200 });
    await final(a, 'CANCELLED');
    const moved = expectProblem(await resolve(b, { action: 'skip', expectedStep: 'confirmOrder' }), 409, 'saga-moved');
    const standing = { state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' };
    expect(moved).toMatchObject({ saga: standing, detail: expect.stringContaining('not at confirmOrder') });
    const otherwise = { expectedStep: 'chargePayment', expectedFailure: 'DatabaseUnavailable' };
    expectProblem(await resolve(b, { action: 'skip', ...otherwise }), 409, 'saga-moved');
    expectProblem(await resolve(b, { action: 'skip', expectedStep: 'noStep' }), 400, 'invalid-request');
    const seen = { expectedStep: 'chargePayment', expectedFailure: 'GatewayUnknown' };
    expect(await resolve(b, { action: 'skip', ...seen })).toMatchObject({ status: 200 });
    await final(b, 'CONFIRMED');
    await s.heal();
    expect(await resolve(c, { action: 'retry' })).toMatchObject({ status: 200 });
    await final(c, 'CONFIRMED');
    expect(await s.money(b)).toEqual({ net: 0, charges: 0 });
    expect((await s.money(c)).charges).toBe(1);
    const after = (await api.get<Stuck>('/admin/sagas')).body.sagas.map((saga) => saga.orderId);
    expect([a, b, c].filter((id) => after.includes(id))).toEqual([]);
  });

  test('are decided once per Idempotency-Key, and the answer is given again', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    const body = { action: 'compensate', operator: 'op-1', reason: 'by hand' };
    const decide = () => api.send('POST', `/admin/sagas/${id}/resolve`, body, { 'idempotency-key': 'decision-1' });
    const first = await decide();
    await final(id, 'CANCELLED');
    const again = await decide(); // by itself it would be refused: the saga has ended
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([200, null]);
    expect([again.status, again.text, again.headers.get('idempotent-replayed')]).toEqual([200, first.text, 'true']);
  });

  test('are decided once per Idempotency-Key even if the answer was never kept: the saga itself knows the repetition', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    const body = { action: 'retry', operator: 'op-1', reason: 'by hand' };
    const decide = () => api.send('POST', `/admin/sagas/${id}/resolve`, body, { 'idempotency-key': 'decision-2' });
    expect((await decide()).status).toBe(200);
    await s.db.idempotencyKey.deleteMany({ where: { key: 'decision-2' } }); // as a crash before it leaves things
    expect((await decide()).status).toBe(200);
    expect(await s.db.sagaLogEntry.count({ where: { orderId: id, step: 'resolve' } })).toBe(1);
  });

  test('that have ended refuse to be resolved, and say so', async () => {
    const { id } = await place();
    await final(id, 'CONFIRMED');
    await eventually(
      'its workflow has ended',
      async () => (await s.client.workflow.getHandle(`order-${id}`).describe()).status.name === 'COMPLETED',
    );
    expect(await resolve(id, { action: 'retry' })).toMatchObject({ status: 409, body: { code: 'not-possible-now' } });
    expect((await resolve(id, { action: 'explode' })).status).toBe(400);
  });

  test('that were terminated from outside are listed, and restarted by `retry`', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    await s.client.workflow.getHandle(`order-${id}`).terminate('by mistake');
    const listed = await eventually('it is listed as terminated', async () => {
      const { body } = await api.get<Stuck>('/admin/sagas');
      return body.sagas.find((saga) => saga.orderId === id && saga.failure === 'TERMINATED');
    });
    expect(listed.total).toEqual({ amount: 1_000, currency: 'USD' });
    await s.heal();
    expect(await resolve(id, { action: 'compensate' })).toMatchObject({ status: 409 });
    expect(await resolve(id, { action: 'retry' })).toMatchObject({ status: 200 });
    await final(id, 'CONFIRMED');
    expect((await s.money(id)).charges).toBe(1);
    expect(await eventTypes(s.db, id)).toEqual(['order.created', ...ALL_DONE]);
  });

  test('that were terminated since they were seen at a step are not begun anew, until somebody has seen that', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    await s.client.workflow.getHandle(`order-${id}`).terminate('customer is a fraud');
    await s.heal();
    const ended = { state: 'NEEDS_ATTENTION', step: null, failure: 'TERMINATED' };
    for (const seen of [
      { expectedStep: 'refundPayment' },
      { expectedStep: 'chargePayment' },
      { expectedFailure: 'GatewayUnknown' },
      { expectedStep: 'chargePayment', expectedFailure: 'FAILED' },
    ])
      for (const action of ['retry', 'compensate']) {
        const moved = expectProblem(await resolve(id, { action, ...seen }), 409, 'saga-moved');
        expect(moved).toMatchObject({ saga: ended, detail: expect.stringContaining('has ended by now (TERMINATED)') });
      }
    expect(await statusOf(id)).toBe('PENDING');
    expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
    expect(await describeRun(s.client, `order-${id}`)).toMatchObject({ status: { name: 'TERMINATED' } });
    const listed = { expectedStep: 'chargePayment', expectedFailure: 'TERMINATED' };
    expect(await resolve(id, { action: 'retry', ...listed })).toMatchObject({ status: 200 });
    await final(id, 'CONFIRMED');
    expect((await s.money(id)).charges).toBe(1);
  });

  test('show the gateway’s reference of their charge, and a page goes on where the one before ended, resolved or not', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await place()).id);
    const { sagas } = await stuckWith(ids);
    const first = (await api.get<Stuck>('/admin/sagas?limit=2')).body;
    expect(first.sagas).toEqual(sagas.slice(0, 2));
    const last = first.sagas.at(-1)?.orderId ?? '';
    expect((await resolve(last, { action: 'compensate' })).status).toBe(200);
    await final(last, 'CANCELLED');
    await eventually('it is off the list', async () => {
      const { body } = await api.get<Stuck>('/admin/sagas');
      return body.sagas.every(({ orderId }) => orderId !== last);
    });
    const second = (await api.get<Stuck>(`/admin/sagas?limit=2&cursor=${first.next}`)).body;
    expect(second.sagas).toEqual(sagas.slice(2));
    expect(second.next).toBeNull();
    expect((await api.get('/admin/sagas?cursor=b3JkZXItMQ')).status).toBe(400);
    for (const id of ids) if (id !== last) await resolve(id, { action: 'compensate' });
  });

  test('whose order’s row another transaction has locked are answered 503, not 500', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { id } = await place();
    await stuckWith([id]);
    await s.heal();
    const holder = new pg.Client({ connectionString: s.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM orders WHERE id = $1 FOR UPDATE', [id]);
    const answer = await resolve(id, { action: 'compensate' });
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    await holder.query('ROLLBACK');
    await holder.end();
    // Either it was only late, and is carried out, or it was not taken, and is asked for again: a client cannot tell.
    await eventually(
      'it is cancelled',
      async () => (await statusOf(id)) === 'CANCELLED' || ((await resolve(id, { action: 'compensate' })) && false),
      60_000,
    );
  }, 120_000);

  test('that were completed from outside are listed as missing, and restarted by `retry`', async () => {
    const other = await place();
    await final(other.id, 'CONFIRMED');
    const order = await accept(s.db, { PLENTY: 1 });
    const workflowId = orderSagaId(order.id);
    const input = { orderId: other.id, policy };
    await s.client.workflow.execute(ORDER_SAGA, { workflowId, taskQueue: TASK_QUEUE, args: [input] });
    await s.db.$executeRaw`
      UPDATE orders SET created_at = now() - interval '2 min', saga_started_at = now() WHERE id = ${order.id}::uuid`;
    const { sagas } = await stuckWith([order.id]);
    expect(sagas.find(({ orderId }) => orderId === order.id)).toMatchObject({ failure: 'NO_SAGA' });
    expect((await resolve(order.id, { action: 'skip' })).status).toBe(409);
    expect((await resolve(order.id, { action: 'retry' })).status).toBe(200);
    await final(order.id, 'CONFIRMED');
    expect((await s.money(order.id)).charges).toBe(1);
  });
});

test('an order on its way back is recognized by its row, also when Temporal has forgotten its first saga', async () => {
  const { id } = await place();
  await final(id, 'CONFIRMED');
  await s.client.workflow.getHandle(orderSagaId(id)).result();
  const { namespace } = s.client.options;
  await s.client.workflowService.deleteWorkflowExecution({
    namespace,
    workflowExecution: { workflowId: orderSagaId(id) },
  });
  await eventually(
    'its first saga is forgotten',
    async () => (await describeRun(s.client, orderSagaId(id))) === null,
    60_000,
  );
  await s.fault({ route: 'refund', mode: 'down', count: null });
  expect((await cancel(id)).status).toBe(202);
  const saga = await eventually('its undo is under way', async () => {
    const told = await sagaOf(id);
    return told.steps.some(({ name, status }) => name === 'refundPayment' && status === 'retrying') && told;
  });
  expect(saga).toMatchObject({ state: 'COMPENSATING', workflowId: `order-${id}-cancel` });
  expect(saga.steps.slice(0, STEPS.length).map(({ name, status }) => `${name}: ${status}`)).toEqual(
    STEPS.map((name) => `${name}: completed`),
  );
  await s.heal();
  await final(id, 'CANCELLED');
  expect(await sagaOf(id)).toMatchObject({ state: 'COMPENSATED', workflowId: `order-${id}-cancel` });
}, 120_000);
