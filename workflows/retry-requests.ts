/** Requests to try again at once: which has an effect, and when. They come from operators, from a machine and from the prober. */
import { workflowInfo } from '@temporalio/workflow';
import type { RetryRequest } from '../contracts/saga.js';
import { isTransient } from './attention.js';
import { isCounted } from './generation.js';
import type { Saga } from './saga.js';
import type { StepLine } from './state/progress.js';

/** Ends the waiting of a step that is parked or backing off. */
export async function tryAgainNow(saga: Saga, by: 'operator' | 'machine'): Promise<void> {
  const { retries, progress, pending } = saga;
  const no = retries.add(by);
  if (by === 'operator' && progress.current && isWaiting(saga)) {
    retries.keepOperatorRequest({ step: progress.current.name, id: `${workflowInfo().runId}/${no}` });
  }
  await pending.interrupt();
}

/**
 * The prober's request: one try of a step that is parked by what time may mend. Whatever else the saga is doing goes first: an
 * operator's decision, another request, the unwinding. Code of before knows no prober: to it this is a request like any other, so
 * that a saga that it began goes on as it would.
 */
export async function probe(saga: Saga): Promise<void> {
  if (!isCounted(saga.input)) return tryAgainNow(saga, 'machine');
  const { retries, decisions, direction } = saga;
  if (!retries.parkedFor || !isTransient(retries.parkedFor)) return;
  if (decisions.inHand !== undefined || retries.wokenBy !== undefined || direction.unwindRequest !== undefined) return;
  retries.add('prober' satisfies RetryRequest['by']);
}

/** Parked, backing off, or an undo that has given up for the moment; not a step that is being turned away from. */
export const isWaiting = ({ progress: { current, state }, pending, direction }: Saga): boolean =>
  current !== undefined &&
  (pending.isRunning || state === 'NEEDS_ATTENTION') &&
  !(current.kind === 'step' && direction.unwindRequest !== undefined);

/** Has the step that waits recorded as done by hand. */
export function skip(saga: Saga, step: StepLine, operator: string): Promise<void> {
  saga.decisions.vouch(step, operator);
  return tryAgainNow(saga, 'machine');
}
