/**
 * A flight: an ordinary activity that runs or backs off, or the wait before one, in a scope of its own, so that whoever has
 * something to say can end the waiting. A try that is under way is waited for.
 */
import { CancellationScope, isCancellation, patched, proxyLocalActivities } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import type { SagaActivities } from '../contracts/steps.js';
import { attemptsOf } from './failures.js';
import { isOfToday } from './generation.js';
import type { Flight, Saga } from './saga.js';

/** One that is cancelled from outside, with its workflow, has begun in all likelihood. */
export const openFlight = (activity?: Flight['activity']): Flight => ({
  scope: new CancellationScope(),
  activity,
  tries: activity === undefined ? 0 : 1,
});

export async function inFlight<T>(saga: Saga, flight: Flight, run: () => Promise<T>): Promise<T> {
  saga.inFlight = flight;
  try {
    return await flight.scope.run(run);
  } finally {
    if (saga.inFlight === flight) saga.inFlight = undefined;
  }
}

/** @returns how often the activity was tried that ended so */
export const triesOf = (flight: Flight, err: unknown): number => (isCancellation(err) ? flight.tries : attemptsOf(err));

/** Ends the waiting; what has been tried so far is counted first, since a cancelled activity takes that with it. */
export async function interrupt(saga: Saga): Promise<void> {
  const flight = saga.inFlight;
  if (!flight) return;
  const { activity } = flight;
  if (activity !== undefined && isOfToday(saga) && patched('count-tries')) {
    const { countTries } = proxyLocalActivities<SagaActivities>({
      startToCloseTimeout: '2s',
      retry: { maximumAttempts: 1 },
    });
    // Only a count: whoever wants another try gets it also without.
    const tries = await CancellationScope.nonCancellable(() => countTries({ activity })).catch(() => null);
    flight.tries = tries ?? flight.tries;
  }
  if (saga.inFlight === flight) flight.scope.cancel();
}

/** Turns the saga around at its next decision; the first reason given stands. An undo is left alone: it is the way back. */
export async function requestUnwinding(saga: Saga, reason: CancellationReason): Promise<void> {
  if (saga.isPastPivot) return; // the order's row has decided
  saga.unwindRequest ??= reason;
  if (saga.current?.kind === 'step') await interrupt(saga);
}
