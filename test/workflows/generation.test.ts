/** A saga that an older release began is one that the older release can go on with after a rollback. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { NeedsOperator, translated } from '../../activities/failures.js';
import { BY_PROBER, RETRY_SIGNAL, sagaStart } from '../../contracts/saga.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { listedAsStuck, resolve } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

/** What each step or undo meets until it is mended: something that time does not mend. */
const inNeed = new Set<'chargePayment' | 'refundPayment'>();

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    activities: (real) => {
      const needing = <I, R>(name: 'chargePayment' | 'refundPayment', act: (input: I) => Promise<R>) => {
        return async (input: I): Promise<R> => {
          if (inNeed.has(name))
            await translated(() => Promise.reject(new NeedsOperator('an operator has to look', 'GatewayMismatch')));
          return act(input);
        };
      };
      return {
        ...real,
        chargePayment: needing('chargePayment', real.chargePayment),
        refundPayment: needing('refundPayment', real.refundPayment),
      };
    },
  });
  await stock(s.db, 'A', 100);
});
afterEach(() => {
  inNeed.clear();
  return s.heal();
});
afterAll(() => s.stop());

async function begin(isOld: boolean) {
  const order = await accept(s.db, { A: 1 });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, { ...PATIENT, stepRetryBudgetMs: 1_500 });
  const [input] = options.args;
  const { generation: _, ...before } = input;
  const saga = await s.client.workflow.start(type, { ...options, args: [isOld ? before : input] });
  return { order, saga, result: () => outcomeOf(saga) };
}
async function eventsOf(saga: WorkflowHandle) {
  return (await saga.fetchHistory()).events ?? [];
}
const patchesIn = async (saga: WorkflowHandle) =>
  (await eventsOf(saga)).filter(({ markerRecordedEventAttributes: marker }) => marker?.markerName === 'core_patch')
    .length;
/** How often it was marked, and unmarked, for lists. */
const marksIn = async (saga: WorkflowHandle) =>
  (await eventsOf(saga)).filter((event) => event.upsertWorkflowSearchAttributesEventAttributes).length;
/** Ordinary activities, beyond the first tries. */
const scheduledIn = async (saga: WorkflowHandle) =>
  (await eventsOf(saga)).filter((event) => event.activityTaskScheduledEventAttributes).length;

/** Parks, is decided on in vain, is tried again by a machine's and by an operator's word, and is confirmed. */
async function livedThrough(isOld: boolean) {
  await s.fault({ mode: 'down', route: 'charge' });
  const { order, saga, result } = await begin(isOld);
  await listedAsStuck(s.client, order.id);
  await s.heal();
  await resolve(saga, { action: 'retry' });
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  return patchesIn(saga);
}

test('it takes no patch of this release, whatever happens to it; one of today does', async () => {
  expect(await livedThrough(true)).toBe(0);
  expect(await livedThrough(false)).toBeGreaterThan(0);
});

/** Each of these was replayed on the code of before, and one of its making stands among the histories. */
describe('one that an older release began goes on as that would', () => {
  test('when the prober has it tried again: it leaves the list, and comes back', async () => {
    await s.fault({ mode: 'down', route: 'charge' });
    const { order, saga, result } = await begin(true);
    await listedAsStuck(s.client, order.id);
    const before = await marksIn(saga);
    await saga.signal(RETRY_SIGNAL, BY_PROBER);
    await eventually('it is unmarked, and marked again', async () => (await marksIn(saga)) === before + 2);
    await listedAsStuck(s.client, order.id);
    await s.heal();
    await saga.signal(RETRY_SIGNAL, BY_PROBER);
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await patchesIn(saga)).toBe(0);
    await recordHistory('older-and-probed', saga, s.env.address);
  });

  test('when the prober’s signal comes while it backs off, or is unwinding', async () => {
    await s.fault({ mode: 'down', route: 'all' });
    const { order, saga, result } = await begin(true);
    await eventually('it backs off', async () => (await scheduledIn(saga)) === 1);
    await saga.signal(RETRY_SIGNAL, BY_PROBER);
    await eventually('it is tried at once', async () => (await scheduledIn(saga)) === 2);
    await listedAsStuck(s.client, order.id);
    await resolve(saga, { action: 'compensate' });
    await eventually('an undo backs off', async () => (await scheduledIn(saga)) > 2);
    const before = await scheduledIn(saga);
    await saga.signal(RETRY_SIGNAL, BY_PROBER);
    await eventually('the undo is tried at once', async () => (await scheduledIn(saga)) > before);
    await s.heal();
    await saga.signal(RETRY_SIGNAL, BY_PROBER);
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    await recordHistory('older-and-probed-elsewhere', saga, s.env.address);
  });

  test('when a step, and then its undo, asks for an operator: it is tried once more before it waits', async () => {
    inNeed.add('chargePayment');
    inNeed.add('refundPayment');
    const { order, saga, result } = await begin(true);
    await listedAsStuck(s.client, order.id);
    expect(await scheduledIn(saga)).toBe(1);
    await resolve(saga, { action: 'compensate' });
    await eventually('its undo waits', async () => (await scheduledIn(saga)) === 2);
    await listedAsStuck(s.client, order.id);
    inNeed.clear();
    await resolve(saga, { action: 'retry' });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    await recordHistory('older-and-in-need', saga, s.env.address);
  });
});
