/**
 * The plan, carried out: a shop that wraps gifts has a step of its own in the midst of ours, and one after the pivot.
 * What the plan says holds without a word of the workflows, and orders of before go on without what they never had.
 */

import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { PLAN, PLAN_VERSION, STEPS, stepsOf } from '../../contracts/plan.js';
import { sagaStart } from '../../contracts/saga.js';
import { readOrder, readOrderState, requestCancellation } from '../../domain/orders.js';
import { readSagaLog } from '../../domain/saga-log.js';
import { FROM_THE_BEGINNING, superviseOnce } from '../../relay/open-orders.js';
import { findStuck } from '../../sagas/stuck.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Courier, createGifts, giftActivities } from './gifts/activities.js';
import { GIFT_PLAN } from './gifts/plan.js';

const courier: Courier = { isDown: false, isDeaf: false };
let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    workflowsPath: join(process.cwd(), 'test/workflows/gifts/workflows.ts'),
    activities: (real, db) => giftActivities(real, db, courier),
  });
  await createGifts(s.db);
  await stock(s.db, 'A', 100);
});
afterEach(() => {
  Object.assign(courier, { isDown: false, isDeaf: false });
});
afterAll(() => s.stop());

const DECLINED = 'pm_card_chargeDeclined';
type Placing = Partial<typeof PATIENT> & { planVersion?: number; paymentMethod?: string };

/** Of the plan that wraps gifts. */
const NEXT = PLAN_VERSION + 1;
/** An order of today's acceptance, placed by a build that knows the plan that wraps gifts. */
async function place({ planVersion = NEXT, paymentMethod = 'pm_card_visa', ...policy }: Placing = {}) {
  const order = await accept(s.db, { A: 1 }, { paymentMethod });
  await s.db.order.update({ where: { id: order.id }, data: { planVersion } });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, { ...PATIENT, ...policy });
  const [input] = options.args;
  const saga = await s.client.workflow.start(type, { ...options, args: [{ ...input, planVersion }] });
  await s.db.order.update({ where: { id: order.id }, data: { sagaStartedAt: new Date() } });
  return { order, saga };
}
const giftOf = async (orderId: string) =>
  (await s.db.$queryRaw<{ state: string }[]>`SELECT state FROM gifts WHERE order_id = ${orderId}::uuid`)[0]?.state;
const logOf = async (orderId: string) => readSagaLog(s.db, (await readOrder(s.db, orderId)) as Order, GIFT_PLAN);
const statuses = async (saga: Parameters<typeof progressOf>[0]) =>
  Object.fromEntries((await progressOf(saga)).steps.map(({ name, status }) => [name, status]));

describe('a step of the plan', () => {
  test('is carried out in its place, on either side of the pivot', async () => {
    const { order, saga } = await place();
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(await giftOf(order.id)).toBe('ON_ITS_WAY');
    const { state, steps } = await progressOf(saga);
    expect(state).toBe('COMPLETED');
    const [first, ...others] = STEPS;
    expect(steps.map(({ name, status }) => [name, status])).toEqual(
      [first, 'wrapGift', ...others, 'callCourier'].map((name) => [name, 'completed']),
    );
    expect(await readOrderState(s.db, order.id)).toMatchObject({ status: 'CONFIRMED', forwardDue: false });
  });

  test('is undone with the others, newest first, though the unwinding does not name it', async () => {
    const { order, saga } = await place({ paymentMethod: DECLINED });
    expect(await saga.result()).toEqual({ status: 'CANCELLED', reason: 'PAYMENT_DECLINED' });
    expect(await giftOf(order.id)).toBe('UNWRAPPED');
    const undos = (await progressOf(saga)).steps.filter(({ kind }) => kind === 'undo');
    // By itself, and not by the function that the unwinding goes by: that one may be wrong.
    const ofOurs = stepsOf(PLAN)
      .toReversed()
      .flatMap(({ undo }) => (typeof undo === 'string' ? [undo] : []));
    expect(undos.map(({ name }) => name)).toEqual([
      ...ofOurs.slice(0, -1),
      'unwrapGift',
      ...ofOurs.slice(-1),
      'cancelOrder',
    ]);
  });

  test('that its undo leaves behind keeps the order from being cancelled, and the saga is listed', async () => {
    courier.isDeaf = true;
    const { order, saga } = await place({ paymentMethod: DECLINED, compensationAttentionAfterMs: 500 });
    await listedAsStuck(s.client, order.id);
    expect((await readOrder(s.db, order.id))?.status).toBe('PENDING');
    expect((await progressOf(saga)).steps.at(-1)).toMatchObject({
      name: 'cancelOrder',
      lastError: expect.stringMatching(/still holding gifts/),
    });
    await s.db.$executeRaw`UPDATE gifts SET state = 'UNWRAPPED' WHERE order_id = ${order.id}::uuid`;
    await saga.signal('retry');
    expect(await saga.result()).toMatchObject({ status: 'CANCELLED' });
  });

  test('is taken back by the cancellation of a confirmed order', async () => {
    const { order, saga } = await place();
    await saga.result();
    await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    const { type, options } = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, PATIENT);
    const [input] = options.args;
    const second = await s.client.workflow.start(type, { ...options, args: [{ ...input, planVersion: NEXT }] });
    expect(await second.result()).toMatchObject({ status: 'CANCELLED' });
    expect(await giftOf(order.id)).toBe('UNWRAPPED');
  });
});

describe('a step after the pivot that fails', () => {
  test('beyond the deadline is never given up: it is listed, and carried out once its cause is mended', async () => {
    courier.isDown = true;
    const policy = { stepRetryBudgetMs: 500, sagaDeadlineMs: 1_500, compensationAttentionAfterMs: 500 };
    const { order, saga } = await place(policy);
    await listedAsStuck(s.client, order.id);
    await eventually('the deadline has passed', async () => Date.now() > Date.parse(order.createdAt) + 2_500);
    const { state, steps } = await progressOf(saga);
    expect(state).toBe('NEEDS_ATTENTION');
    expect(steps.at(-1)).toMatchObject({ name: 'callCourier', lastError: 'the courier is down' });
    expect(['retrying', 'parked']).toContain(steps.at(-1)?.status);
    expect(await readOrderState(s.db, order.id)).toMatchObject({ status: 'CONFIRMED', forwardDue: true });
    const { sagas } = await findStuck(s.db, s.client, { ...PATIENT, ...policy });
    expect(sagas).toMatchObject([
      { orderId: order.id, step: 'callCourier', failure: 'StepFailing', status: 'CONFIRMED' },
    ]);
    const log = await logOf(order.id);
    expect([log.state, log.steps.at(-1)?.status]).toEqual(['RUNNING', 'pending']);

    courier.isDown = false;
    await resolve(saga, { action: 'retry' });
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(await giftOf(order.id)).toBe('ON_ITS_WAY');
  });

  test('is not unwound by this saga, whatever is asked of it: the order is confirmed', async () => {
    courier.isDown = true;
    const { saga } = await place();
    await eventually('it is being retried', async () => (await statuses(saga))['callCourier'] === 'retrying');
    await expect(resolve(saga, { action: 'compensate' })).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/confirmed first/) },
    });
    await saga.cancel(); // from the Web UI
    courier.isDown = false;
    await saga.signal('retry');
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(statusOf(await progressOf(saga), 'callCourier')).toBe('completed');
  });

  test('can be skipped by an operator who has done it by hand', async () => {
    courier.isDown = true;
    const { order, saga } = await place();
    await eventually('it is being retried', async () => (await statuses(saga))['callCourier'] === 'retrying');
    await resolve(saga, { action: 'skip' });
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(statusOf(await progressOf(saga), 'callCourier')).toBe('skipped');
    expect(await readOrderState(s.db, order.id)).toMatchObject({ forwardDue: false });
  });

  test('ends as refused when the order is taken back meanwhile, which is the second saga’s', async () => {
    courier.isDown = true;
    const { order, saga } = await place();
    await eventually('it is being retried', async () => (await statuses(saga))['callCourier'] === 'retrying');
    await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await saga.signal('retry');
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(statusOf(await progressOf(saga), 'callCourier')).toBe('refused');
  });

  test('is not lost with its saga: one that is terminated is restarted', async () => {
    courier.isDown = true;
    const { order, saga } = await place();
    await eventually('it is being retried', async () => (await statuses(saga))['callCourier'] === 'retrying');
    await saga.terminate('by mistake');
    courier.isDown = false;
    const state = { afterId: FROM_THE_BEGINNING, seen: new Map() };
    const openFor = { pendingMs: 0, unwindingMs: 0 };
    // The relay is of today's build, which does not know the next version of the plan.
    const supervise = () =>
      superviseOnce({ db: s.db, client: s.client, policy: PATIENT, state, openFor, logger: SILENT });
    await expect(supervise()).resolves.toMatchObject({
      errors: [expect.objectContaining({ message: expect.stringMatching(/takes a newer build/) })],
    });
    await s.db.order.update({ where: { id: order.id }, data: { planVersion: PLAN_VERSION } });
    state.seen.clear();
    expect(await supervise()).toMatchObject({ restarted: 1, errors: [] });
  });
});

describe('an order that was accepted before the step was in the plan', () => {
  test('goes on without it, and shows none', async () => {
    const { order, saga } = await place({ planVersion: PLAN_VERSION });
    expect(await saga.result()).toEqual({ status: 'CONFIRMED' });
    expect(await giftOf(order.id)).toBeUndefined();
    const names = (await progressOf(saga)).steps.map(({ name }) => name);
    expect(names).toEqual(STEPS);
    expect((await logOf(order.id)).steps.map(({ name }) => name)).toEqual(names);
  });
});

describe('an order that was accepted under a plan that this build does not know', () => {
  test('is not restarted', async () => {
    const order = await accept(s.db, { A: 1 });
    expect(() => sagaStart({ ...order, kind: 'order', planVersion: 99 }, PATIENT)).toThrow(/takes a newer build/);
  });

  test('is not carried out: its workflow task fails until a newer build takes it', async () => {
    const { saga, order } = await place({ planVersion: 99 });
    await eventually('its workflow task has failed', async () => {
      const { events } = await saga.fetchHistory();
      return events?.some(({ workflowTaskFailedEventAttributes: failed }) =>
        failed?.failure?.message?.includes('takes a newer build'),
      );
    });
    expect(await s.db.reservation.count({ where: { orderId: order.id } })).toBe(0);
    await saga.terminate('seen');
  });
});
