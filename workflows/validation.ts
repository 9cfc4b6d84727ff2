/** What a running saga refuses to be asked, before anything is done or written to its history. */
import { ApplicationFailure } from '@temporalio/workflow';
import { personalFormIn, refusalOf } from '../contracts/personal-data.js';
import {
  type CancelRequest,
  NOT_AS_SEEN,
  REASON_LENGTH_MAX,
  type Resolution,
  type SagaStanding,
  SUBJECT,
} from '../contracts/saga.js';
import { TEXT, TEXT_RULE } from '../contracts/texts.js';
import { isWaiting } from './retry-requests.js';
import type { Saga } from './saga.js';

export function validateResolution(saga: Saga, resolution: Resolution): void {
  if (!['retry', 'skip', 'compensate'].includes(resolution?.action)) {
    refuse(`action must be "retry", "skip" or "compensate", got another`, 'InvalidArgument');
  }
  requireSubject('operator', resolution.operator);
  requireReason(resolution.reason);
  requireUndecided(saga);
  requireAsSeen(saga, resolution);
  requireNoneInHand(saga, resolution.action);
  const isAsking = resolution.action === 'retry' && saga.direction.question !== undefined;
  if (resolution.action !== 'compensate' && !isWaiting(saga) && !isAsking) {
    refuse(`order ${saga.orderId} has no step that waits; there is nothing to ${resolution.action}`, 'NotWaiting');
  }
  if (resolution.action === 'compensate' && saga.direction.isPastPivot) refuseAsConfirmed(saga);
  if (resolution.action === 'compensate' && isUnwinding(saga)) {
    refuse(`order ${saga.orderId} is being unwound already`, 'AlreadyUnwinding');
  }
}

export function validateCancel(saga: Saga, request: CancelRequest): void {
  requireSubject('requestedBy', request?.requestedBy);
  requireReason(request.reason);
  requireUndecided(saga);
  if (saga.direction.isPastPivot) refuseAsConfirmed(saga);
}

/**
 * What an operator has decided is decided of what they saw: a step that came after it is another matter. The handler begins with no other
 * thing in between, and has the decision refused if the step ends before it takes effect (decisions).
 */
function requireAsSeen(saga: Saga, { expectedStep, expectedFailure }: Resolution): void {
  const now = standingOf(saga);
  const isSame = (expected: string | undefined, found: string | null) => expected === undefined || expected === found;
  if (isSame(expectedStep, now.step) && isSame(expectedFailure, now.failure)) return;
  if (now.step !== null && now.failure === null && isSame(expectedStep, now.step))
    refuse(
      `order ${saga.orderId} is being tried again at ${now.step} by now (somebody has had it tried): nothing was decided`,
      NOT_AS_SEEN,
      now,
    );
  const at = ({ step, failure }: Pick<SagaStanding, 'step' | 'failure'>) =>
    `${step ?? 'no step'}${failure === null ? '' : ` (${failure})`}`;
  const seen = { step: expectedStep ?? now.step, failure: expectedFailure ?? null };
  refuse(`order ${saga.orderId} is at ${at(now)} by now, not at ${at(seen)}: nothing was decided`, NOT_AS_SEEN, now);
}

function standingOf({ progress, direction }: Saga): SagaStanding {
  const step = progress.current?.name ?? direction.question?.name ?? null;
  return { state: progress.state, step, failure: progress.markedAs ?? null };
}

function requireUndecided({ orderId, progress: { state } }: Saga): void {
  if (state === 'COMPLETED') refuse(`order ${orderId} is confirmed; the saga has ended`, 'AlreadyConfirmed');
  if (state === 'COMPENSATED') refuse(`order ${orderId} is cancelled; the saga has ended`, 'AlreadyCancelled');
}

const isUnwinding = ({ progress: { state, steps }, direction }: Saga): boolean =>
  state === 'COMPENSATING' || direction.unwindRequest !== undefined || steps.some(({ kind }) => kind === 'undo');

function requireSubject(field: string, value: unknown): void {
  if (typeof value !== 'string' || !SUBJECT.test(value)) {
    refuse(`${field} must be an opaque subject id of at most 128 characters`, 'InvalidArgument');
  }
}

function requireReason(value: unknown): void {
  if (typeof value !== 'string' || value.length > REASON_LENGTH_MAX || !TEXT.test(value)) {
    const range = `1 to ${REASON_LENGTH_MAX} characters`;
    refuse(`reason must be ${range}, ${TEXT_RULE}, and no personal data`, 'InvalidArgument');
  }
  // Kept in the history, the log and the audit trail. An update that was accepted before is not validated again at a replay.
  const form = personalFormIn(value);
  if (form !== undefined) refuse(`reason ${refusalOf(form)}`, 'InvalidArgument');
}

export function requireNoneInHand({ orderId, decisions, progress }: Saga, action?: Resolution['action']): void {
  const { inHand } = decisions;
  if (inHand)
    refuse(`order ${orderId} has a decision in hand: ${inHand.action}, by ${inHand.operator}`, 'DecisionInHand');
  const skippedBy = decisions.skippedBy(progress.current);
  if (action === 'skip' && skippedBy !== undefined) {
    refuse(
      `order ${orderId} has ${progress.current?.name} being recorded as done by hand, for ${skippedBy}`,
      'DecisionInHand',
    );
  }
}

export function refuseAsConfirmed({ orderId }: Saga): never {
  refuse(`order ${orderId} was confirmed first`, 'AlreadyConfirmed');
}

export function refuse(message: string, type: string, ...details: unknown[]): never {
  throw ApplicationFailure.nonRetryable(message, type, ...details);
}
