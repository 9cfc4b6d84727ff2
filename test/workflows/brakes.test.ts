/** A saga whose charge a brake holds: it waits without a deadline, and has what was left of it when it is let go. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { CHARGING_HELD } from '../../contracts/brakes.js';
import { BY_PROBER, RETRY_SIGNAL, SAGA_FAILURE, sagaStart } from '../../contracts/saga.js';
import { engageBrake, releaseBrake } from '../../domain/brakes.js';
import { eventually } from '../support/conditions.js';
import { accept, assertStockConserved, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

const DEADLINE_MS = 3_000;
const POLICY = { ...PATIENT, stepRetryBudgetMs: 1_000, sagaDeadlineMs: DEADLINE_MS };

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
});
afterEach(async () => {
  await release();
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const word = { brake: 'charging', operator: 'op-7', reason: 'ticket 4711' } as const;
const engage = () => engageBrake(s.db, word);
const release = () => releaseBrake(s.db, word);

/** @param generation of the code that began it; undefined = this one */
async function held(generation?: number) {
  await engage();
  const order = await accept(s.db, { A: 1 });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, POLICY);
  const [input] = options.args;
  const given = generation === undefined ? input : { ...input, generation };
  const saga = await s.client.workflow.start(type, { ...options, args: [given] });
  await listedAsStuck(s.client, order.id);
  return { order, saga, result: () => outcomeOf(saga), begunAt: Date.now() };
}
const failureOf = async (saga: WorkflowHandle) => (await saga.describe()).typedSearchAttributes.get(SAGA_FAILURE);
const triesOf = async (saga: WorkflowHandle) =>
  (await progressOf(saga)).steps.find(({ name }) => name === 'chargePayment')?.attempts ?? 0;
const pastDeadline = (begunAt: number) =>
  eventually('its deadline would be over', () => Date.now() > begunAt + DEADLINE_MS + 500);

test('it outlives its deadline, asks nothing of the gateway, and is confirmed when it is let go', async () => {
  const { order, saga, result, begunAt } = await held();
  expect(await failureOf(saga)).toBe(CHARGING_HELD);
  expect(await triesOf(saga)).toBe(1);
  await pastDeadline(begunAt);
  expect((await saga.describe()).status.name).toBe('RUNNING');
  const { counts } = (await (await fetch(`${s.sandboxUrl}/sandbox/requests`)).json()) as { counts: object };
  expect(counts).toEqual({});
  expect(await s.db.chargeAttempt.count({ where: { orderId: order.id, endedAt: { not: null } } })).toBe(1); // when it was held
  await release();
  await saga.signal(RETRY_SIGNAL, BY_PROBER);
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  await recordHistory('held-and-let-go', saga, s.env.address);
});

test('woken while it is still held, it waits on; and is given up by an operator all the same', async () => {
  const { saga, result, begunAt } = await held();
  await pastDeadline(begunAt);
  await saga.signal(RETRY_SIGNAL);
  await eventually('it was tried, and is held again', async () => {
    const { state } = await progressOf(saga);
    return state === 'NEEDS_ATTENTION' && (await triesOf(saga)) === 2;
  });
  expect(await failureOf(saga)).toBe(CHARGING_HELD);
  await resolve(saga, { action: 'compensate' });
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
  await recordHistory('held-and-given-up', saga, s.env.address);
});

test('let go while the gateway is away, it has what was left of its deadline, and unwinds then', async () => {
  const { saga, result, begunAt } = await held();
  await pastDeadline(begunAt);
  await s.fault({ mode: 'down', route: 'charge' });
  await release();
  await saga.signal(RETRY_SIGNAL, BY_PROBER);
  await eventually('it waits for the gateway', async () => (await failureOf(saga)) === 'GatewayUnknown');
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
  await recordHistory('held-then-too-late', saga, s.env.address);
});

test('one that a release without brakes began is held until its own deadline, as that release would have it', async () => {
  const { saga, result } = await held(2);
  expect(await failureOf(saga)).toBe(CHARGING_HELD);
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
});
