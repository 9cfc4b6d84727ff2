/** Sagas that do not move and cannot say so are found from outside: by what waits, and for how long. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { orderSagaId, TASK_QUEUE } from '../../contracts/ids.js';
import { markStarted } from '../../domain/acceptance.js';
import { findStuck } from '../../sagas/stuck.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

/** From the first order that does not move. */
const SEEN_WITHIN_MS = 60_000;
const LIMIT_MS = 150_000;
/** While the others go on: hundreds of them would show nothing more. */
const ORDER_EVERY_MS = 500;
/** STARTED and PAUSE_REQUESTED of temporal.api.enums.v1.PendingActivityState. */
const TRYING = new Set<number>([2, 5]);

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 1_000);
}, 60_000);
afterEach(() => s.heal());
afterAll(() => s.stop());

const failureOf = async (orderId: string, patience = PATIENT) =>
  (await findStuck(s.db, s.client, patience)).sagas.find((saga) => saga.orderId === orderId)?.failure;
const seenAs = (failure: string, orderId: string, meanwhile: () => Promise<unknown> = async () => undefined) =>
  eventually(
    `order ${orderId} is listed as ${failure}`,
    async () => {
      await meanwhile();
      const seen = await failureOf(orderId);
      if (seen !== failure) throw new Error(`it is ${seen}`);
      return true;
    },
    SEEN_WITHIN_MS,
  );
/** An order whose saga is of a kind that the worker's release does not know: each of its workflow tasks fails. */
async function placeIncompatible() {
  const order = await accept(s.db, { A: 1 });
  const workflowId = orderSagaId(order.id);
  await s.client.workflow.start('SagaOfAnotherRelease', { workflowId, taskQueue: TASK_QUEUE, args: [] });
  await markStarted(s.db, [{ id: order.id, kind: 'order' }]);
  return order;
}

test(
  'a saga whose code fails is listed within a minute, while others go on; an order under way for long, once it is too long',
  async () => {
    const broken = await placeIncompatible();
    await seenAs('WORKFLOW_TASK_FAILING', broken.id, async () => {
      await (await s.place({ A: 1 })).result();
      await pause(ORDER_EVERY_MS);
    });
    const { sagas } = await findStuck(s.db, s.client, PATIENT);
    expect(sagas.map(({ orderId }) => orderId)).toEqual([broken.id]);

    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga } = await s.place({ A: 1 }); // tries for a minute
    // Its first step notes when its saga began, if nobody has yet.
    await s.db.$executeRaw`
      UPDATE orders SET created_at = now() - interval '13 min', saga_started_at = now() - interval '13 min' WHERE id = ${order.id}::uuid`;
    expect(await failureOf(order.id)).toBe('OPEN_TOO_LONG');
    expect(await failureOf(order.id, { ...PATIENT, sagaDeadlineMs: 3_600_000 })).toBeUndefined();
    await s.heal();
    await saga.signal('retry');
    await saga.result();
    expect(await failureOf(order.id)).toBeUndefined();
  },
  LIMIT_MS,
);

test(
  'orders whose activity an operator has paused are listed as such within a minute; unpausing or `ops retry` lets them go on',
  async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const policy = { stepRetryBudgetMs: 2 * SEEN_WITHIN_MS };
    const [unpaused, retried] = [await s.place({ A: 1 }, { policy }), await s.place({ A: 1 }, { policy })];
    const activity = ({ order }: typeof unpaused) => ({
      namespace: s.client.options.namespace,
      execution: { workflowId: orderSagaId(order.id) },
      type: 'chargePayment',
    });
    const charges = async ({ saga }: typeof unpaused) => (await saga.describe()).raw.pendingActivities ?? [];
    for (const each of [unpaused, retried]) {
      await eventually('its charge is being retried', async () => (await charges(each)).length > 0);
      await s.client.workflowService.pauseActivity(activity(each));
    }
    // A try that was under way goes on, and would succeed once the gateway is well.
    for (const each of [unpaused, retried])
      await eventually('no try is under way', async () =>
        (await charges(each)).every(({ paused, state }) => paused && !TRYING.has(state ?? 0)),
      );
    await s.heal();
    for (const { order } of [unpaused, retried]) await seenAs('ACTIVITY_PAUSED', order.id);
    const { sagas } = await findStuck(s.db, s.client, PATIENT);
    expect(sagas.find(({ orderId }) => orderId === retried.order.id)).toMatchObject({ step: 'chargePayment' });
    await s.client.workflowService.unpauseActivity(activity(unpaused));
    const resolution = { action: 'retry', operator: 'op-1', reason: 'paused by mistake' };
    await retried.saga.executeUpdate('resolve', { args: [resolution] }); // as `ops retry` does
    for (const each of [unpaused, retried]) {
      expect(await each.result()).toMatchObject({ status: 'CONFIRMED' });
      expect(await failureOf(each.order.id)).toBeUndefined();
    }
  },
  LIMIT_MS,
);

test(
  'orders that no worker takes are listed within a minute, although Temporal still knows the dead one as a poller',
  async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order: amidStep } = await s.place({ A: 1 });
    await eventually('its charge is being retried', async () => {
      const { raw } = await s.client.workflow.getHandle(orderSagaId(amidStep.id)).describe();
      return (raw.pendingActivities ?? []).length > 0;
    });
    await s.dismiss();
    const { order: fresh } = await s.place({ A: 1 });
    expect(await failureOf(fresh.id)).toBeUndefined();
    await seenAs('NO_POLLERS', fresh.id);
    await seenAs('NO_POLLERS', amidStep.id);
    const { pollers } = await s.client.workflowService.describeTaskQueue({
      namespace: s.client.options.namespace,
      taskQueue: { name: TASK_QUEUE },
      taskQueueType: 1,
    });
    expect(pollers?.length).toBeGreaterThan(0);
    const { sagas } = await findStuck(s.db, s.client, PATIENT);
    expect(sagas.find(({ orderId }) => orderId === amidStep.id)).toMatchObject({ step: 'chargePayment' });
  },
  LIMIT_MS,
);
