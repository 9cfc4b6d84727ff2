/**
 * Deciding on a saga that has ended although its order is not final: it is begun anew only for whoever has seen that it ended, or says
 * nothing of what they have seen. What somebody saw parked, and somebody else has ended since, was ended for a reason that they do not know.
 */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { Resolution, SagaStanding } from '../contracts/saga.js';
import { endedFromOutside, isEndedFromOutside } from './execution.js';
import { NO_SAGA, NOT_STARTED } from './stuck.js';

/** @returns whether what a saga was listed as stuck for says that none worked for the order */
export const saysEnded = (failure: string | null): boolean =>
  failure !== null && (isEndedFromOutside(failure) || failure === NO_SAGA || failure === NOT_STARTED);

/** @param saga null = Temporal knows none. @returns where it stands, in the words that the list of stuck sagas has for it */
export const standingOfEnded = (saga: WorkflowExecutionDescription | null): SagaStanding => ({
  state: 'NEEDS_ATTENTION',
  step: null,
  failure: (saga && endedFromOutside(saga.status.name)) ?? NO_SAGA,
});

/** A step that is expected beside how it ended is the one at which it ended: that is as it was seen. */
export function isSeenEnded(
  { expectedStep, expectedFailure }: Pick<Resolution, 'expectedStep' | 'expectedFailure'>,
  { failure }: SagaStanding,
): boolean {
  if (expectedFailure === undefined) return expectedStep === undefined;
  if (failure === NO_SAGA) return expectedFailure === NO_SAGA || expectedFailure === NOT_STARTED;
  return expectedFailure === failure;
}
