/** No order hangs for ever: what is unwinding, overdue or without a saga is found, however long ago it began. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, ServiceError } from '@temporalio/client';
import { ORDER_SAGA, orderSagaId, TASK_QUEUE } from '../../contracts/ids.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { markStarted } from '../../domain/acceptance.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { type RunningRelay, startRelay } from '../../relay/relay.js';
import { FROM_THE_BEGINNING, type SupervisionState, superviseOnce } from '../../relay/open-orders.js';
import { AWAY, SILENT } from '../support/api.js';
import { keepLog } from '../support/log.js';
import { NO_CHANGES } from '../support/changes.js';
import { eventually } from '../support/conditions.js';
import { accept, assertStockConserved, createTestDatabase, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

let s: SagaStack;
let relay: RunningRelay | undefined;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 1_000);
});
afterEach(async () => {
  await relay?.stop();
  relay = undefined;
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const policy = { stepRetryBudgetMs: 1_200 };
const fresh = (): SupervisionState => ({ afterId: FROM_THE_BEGINNING, seen: new Map() });
const supervise = () => superviseOnce({ db: s.db, client: s.client, policy: PATIENT, state: fresh(), logger: SILENT });
const statusOf = async (id: string) => (await readOrder(s.db, id))?.status;
const begin = () => {
  relay = startRelay({
    db: s.db,
    changes: NO_CHANGES,
    temporal: { ...AWAY, client: () => s.client },
    policy: PATIENT,
    publishers: [],
    inHand: new Set(),
    deliveryBackoffMaxMs: 1_000,
    destinationsBegin: 'oldest',
    outboxRetentionMs: 86_400_000,
    erasuresLateAfterMs: 23 * 86_400_000,
    logger: SILENT,
  });
};
/** All that the row says of times is so much older than it is. */
const age = (id: string, minutes: number) => s.db.$executeRaw`
  UPDATE orders SET created_at = created_at - ${minutes}::int * interval '1 min',
    updated_at = updated_at - ${minutes}::int * interval '1 min',
    saga_started_at = coalesce(saga_started_at, now()) - ${minutes}::int * interval '1 min'
  WHERE id = ${id}::uuid`;
const cancelled = (id: string, reason: string) =>
  eventually(
    `order ${id} is cancelled`,
    async () => (await readOrder(s.db, id))?.cancellation?.reason === reason,
    30_000,
  );

/** Parked: its saga waits for an operator. */
async function park() {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga } = await s.place({ A: 1 }, { policy });
  await markStarted(s.db, [{ id: order.id, kind: 'order' }]);
  await eventually(
    'it is parked',
    async () => ((await saga.query('progress')) as { state: string }).state === 'NEEDS_ATTENTION',
    30_000,
  );
  await s.heal();
  return { id: order.id, saga };
}
const wanted = { reason: 'CANCELLED_BY_CUSTOMER' } as const;

test('a parked order that was cancelled while Temporal was away is cancelled, also if that is long ago', async () => {
  const { id } = await park();
  await requestCancellation(s.db, id, wanted); // the API's own signal to the saga was lost
  await age(id, 11);
  begin();
  await cancelled(id, wanted.reason);
  expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
}, 90_000);

test('a cancelled order whose saga was terminated, or deleted, is cancelled all the same', async () => {
  const [terminated, deleted] = [await park(), await park()];
  await terminated.saga.terminate('by mistake');
  const { namespace } = s.client.options;
  const workflowExecution = { workflowId: deleted.saga.workflowId };
  await s.client.workflowService.deleteWorkflowExecution({ namespace, workflowExecution });
  for (const { id } of [terminated, deleted]) {
    await requestCancellation(s.db, id, wanted);
    await age(id, 11);
  }
  begin();
  for (const { id } of [terminated, deleted]) await cancelled(id, wanted.reason);
}, 90_000);

test('a saga that an operator terminated is left to the operator until its deadline, then its order unwinds', async () => {
  const { id, saga } = await park();
  await saga.terminate('on purpose');
  await age(id, 2);
  expect(await supervise()).toEqual({ woken: 0, restarted: 0, errors: [] });
  expect(await statusOf(id)).toBe('PENDING');
  await age(id, 60);
  begin();
  await cancelled(id, 'DEADLINE_EXCEEDED');
}, 90_000);

test('an order whose saga Temporal has lost gets a new one, and comes to its end', async () => {
  const order = await accept(s.db, { A: 1 });
  await markStarted(s.db, [{ id: order.id, kind: 'order' }]);
  await age(order.id, 2);
  begin();
  await eventually('it is confirmed', async () => (await statusOf(order.id)) === 'CONFIRMED', 30_000);
  expect((await s.money(order.id)).charges).toBe(1);
}, 60_000);

test('a confirmed order on its way back gets there, although its cancellation was terminated', async () => {
  const { order, result } = await s.place({ A: 1 });
  await result();
  await s.fault({ route: 'refund', mode: 'down', count: null });
  await requestCancellation(s.db, order.id, wanted);
  begin();
  const saga = s.client.workflow.getHandle(`${orderSagaId(order.id)}-cancel`);
  await eventually(
    'it has begun',
    async () => (await s.db.order.findUniqueOrThrow({ where: { id: order.id } })).sagaStartedAt !== null,
  );
  await saga.terminate('by mistake');
  await age(order.id, 11);
  await s.heal();
  await cancelled(order.id, wanted.reason);
  expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
}, 90_000);

test('an order whose saga was completed by hand gets a new one once it is cancelled', async () => {
  const { order: other, result } = await s.place({ A: 1 });
  await result();
  const order = await accept(s.db, { A: 1 });
  // As `temporal activity complete` leaves it: this order's saga has come to its end, and has done nothing for it.
  const saga = await s.client.workflow.start(ORDER_SAGA, {
    workflowId: orderSagaId(order.id),
    taskQueue: TASK_QUEUE,
    args: [{ orderId: other.id, policy: PATIENT, planVersion: PLAN_VERSION }],
  });
  await saga.result();
  await markStarted(s.db, [{ id: order.id, kind: 'order' }]);
  await age(order.id, 2);
  expect(await supervise()).toMatchObject({ restarted: 0 });
  await requestCancellation(s.db, order.id, wanted);
  await age(order.id, 2);
  begin();
  await cancelled(order.id, wanted.reason);
}, 60_000);

test('a saga that does not know of the cancellation is woken, and one that does is left alone, however long its undo fails', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga } = await s.place({ A: 1 }, { policy, paymentMethod: 'pm_sandbox_error_after_charge' });
  await markStarted(s.db, [{ id: order.id, kind: 'order' }]);
  const progress = async () => (await saga.query('progress')) as { state: string };
  await eventually('it is parked', async () => (await progress()).state === 'NEEDS_ATTENTION', 30_000);
  await s.heal();
  await s.fault({ route: 'refund', mode: 'down', count: null });
  await s.fault({ route: 'lookup', mode: 'down', count: null });
  await requestCancellation(s.db, order.id, wanted);
  await age(order.id, 2);
  expect(await supervise()).toMatchObject({ woken: 1 });
  await eventually('it is on its way back', async () => (await progress()).state === 'COMPENSATING', 30_000);
  await age(order.id, 2);
  expect(await supervise()).toEqual({ woken: 0, restarted: 0, errors: [] });
  await s.heal();
  await cancelled(order.id, wanted.reason);
}, 90_000);

test('the saga of an unwinding order that does not begin to unwind is woken again and again, every five minutes at the latest', async () => {
  const t = await createTestDatabase();
  try {
    await stock(t.db, 'A', 10);
    const order = await accept(t.db, { A: 1 });
    await t.db.$executeRaw`
      UPDATE orders SET saga_started_at = now(), updated_at = now() - interval '1 h', unwinding_reason = 'OPERATOR'`;
    let wakings = 0;
    const saga = {
      describe: async () => ({ status: { name: 'RUNNING' }, typedSearchAttributes: { get: () => undefined } }),
      signal: async () => {
        wakings++;
      },
    };
    const client = {
      withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
      workflow: { getHandle: () => saga },
    } as unknown as Client;
    const state = fresh();
    const { logger, lines } = keepLog();
    for (let look = 1; look <= 20; look++) {
      expect(await superviseOnce({ db: t.db, client, policy: PATIENT, state, logger })).toEqual({
        woken: 1,
        restarted: 0,
        errors: [],
      });
      expect(wakings).toBe(look);
      for (const entry of state.seen.values()) entry.nextLookAtMs -= 300_000; // so much time passes
    }
    expect(lines).toHaveLength(20);
    const msg = 'saga woken by the supervision of open orders';
    expect(lines[0]).toMatchObject({ msg, orderId: order.id, correlationId: order.correlationId });
  } finally {
    await t.drop();
  }
}, 60_000);

describe('orders whose sagas cannot be looked at', () => {
  const refusal = (code: number) =>
    new ServiceError('no', { cause: Object.assign(new Error(`${code}`), { code, details: '', metadata: {} }) });

  test('do not keep the others waiting, and are not asked about time and again; when Temporal is away, all are kept', async () => {
    const t = await createTestDatabase();
    try {
      await stock(t.db, 'A', 1_000);
      const ids: string[] = [];
      for (let i = 0; i < 230; i++) ids.push((await accept(t.db, { A: 1 })).id);
      await t.db.$executeRaw`
        UPDATE orders SET saga_started_at = now(), created_at = now() - interval '1 h', updated_at = now() - interval '1 h',
          unwinding_reason = 'OPERATOR'`;
      let code = 3; // INVALID_ARGUMENT
      const asked: string[] = [];
      const client = {
        withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
        workflow: {
          getHandle: (workflowId: string) => ({
            describe: async () => {
              asked.push(workflowId);
              throw refusal(code);
            },
          }),
        },
      } as unknown as Client;
      const state = fresh();
      const round = () => superviseOnce({ db: t.db, client, policy: PATIENT, state, logger: SILENT });
      expect((await round()).errors).toHaveLength(200);
      expect((await round()).errors).toHaveLength(30);
      expect(new Set(asked)).toEqual(new Set(ids.map(orderSagaId)));
      expect(await round()).toEqual({ woken: 0, restarted: 0, errors: [] });
      expect(asked).toHaveLength(230);

      for (const entry of state.seen.values()) entry.nextLookAtMs = 0;
      code = 14; // UNAVAILABLE
      await expect(round()).rejects.toThrow('no');
      expect(asked.length).toBeLessThanOrEqual(230 + 16);
      code = 3;
      for (const entry of state.seen.values()) entry.nextLookAtMs = 0;
      await round();
      await round();
      expect(asked.slice(-230).sort()).toEqual(ids.map(orderSagaId).sort());
    } finally {
      await t.drop();
    }
  }, 60_000);
});
