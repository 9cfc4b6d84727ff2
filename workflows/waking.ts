/** Trying again at once: who may ask for it, when it has an effect, and what is said of it to the step. */
import { patched, workflowInfo } from '@temporalio/workflow';
import type { StepProgress, Waking } from '../contracts/saga.js';
import { isTransient } from './attention.js';
import { interrupt } from './flight.js';
import { isOfToday } from './generation.js';
import type { Saga } from './saga.js';

/** Ends the waiting of a step that is parked or backing off. */
export async function tryAgainNow(saga: Saga, by: 'operator' | 'machine'): Promise<void> {
  saga.retries++;
  saga.wokenBy = by;
  if (by === 'operator' && saga.current && isWaiting(saga)) {
    saga.word = { step: saga.current.name, id: `${workflowInfo().runId}/${saga.retries}` };
  }
  await interrupt(saga);
}

/**
 * The prober's wish: one try of a step that is parked by what time may mend. Whatever else the saga is doing goes first: somebody's
 * decision, somebody's wake-up, the way back. Code of before knows no prober: to it this is a wish like any other, so that a saga
 * that it began goes on as it would.
 */
export async function probe(saga: Saga): Promise<void> {
  if (!isOfToday(saga) || !patched('probe')) return tryAgainNow(saga, 'machine');
  const { parkedFor, inHand, wokenBy, unwindRequest } = saga;
  if (!parkedFor || !isTransient(parkedFor)) return;
  if (inHand !== undefined || wokenBy !== undefined || unwindRequest !== undefined) return;
  saga.wokenBy = 'prober' satisfies Waking['by'];
  saga.retries++;
}

/** Parked, backing off, or an undo that has given up for the moment; not a step that is being turned away from. */
export const isWaiting = ({ current, inFlight, state, unwindRequest }: Saga): boolean =>
  current !== undefined &&
  (inFlight !== undefined || state === 'NEEDS_ATTENTION') &&
  !(current.kind === 'step' && unwindRequest !== undefined);

/** Has the step that waits recorded as done by hand. */
export function skip(saga: Saga, step: StepProgress, operator: string): Promise<void> {
  saga.skipped = { step, operator };
  return tryAgainNow(saga, 'machine');
}

/** Given again to the try after one that was cancelled: an operator's wish outlives a machine's. */
export const wordFor = ({ word }: Saga, { name }: StepProgress): { word?: string } =>
  word?.step === name ? { word: word.id } : {};

/** A try that was begun for this word has come to something, good or bad: the next one is not the operator's any more. */
export function forgetWord(saga: Saga, word: string | undefined): void {
  if (saga.word?.id === word) saga.word = undefined;
}
