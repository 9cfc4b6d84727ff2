/** What an activity's failure says, whichever way it came: bare, wrapped, or hidden behind the timeout of a whole budget. */
import { defaultFailureConverter, defaultPayloadConverter } from '@temporalio/common';
import { ActivityFailure, ApplicationFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import { NEEDS_OPERATOR, type Need, REFUSAL, type Refusal } from '../contracts/refusals.js';
import type { StepResult } from '../contracts/steps.js';

/** `type` is for grouping, `message` for reading; `needsOperator` = time does not mend it. */
export type Failure = { type: string; message: string; needsOperator?: true };

/** A local activity's ApplicationFailure arrives bare, an ordinary activity's wrapped in an ActivityFailure. */
const causeOf = (err: unknown): unknown => (err instanceof ActivityFailure ? err.cause : err);

/**
 * The last real error: a timeout of the whole budget hides it one deeper. The SDK drops the cause of a timeout when it makes an
 * error of it (temporal's sdk-typescript 1.24, failure-converter.ts), but keeps what the server has said.
 */
function realCauseOf(err: unknown): unknown {
  const cause = causeOf(err);
  if (!(cause instanceof TimeoutFailure)) return cause;
  const said = cause.failure?.cause;
  return cause.cause ?? (said ? defaultFailureConverter.failureToError(said, defaultPayloadConverter) : cause);
}

export function refusalOf(err: unknown): Refusal | undefined {
  const cause = causeOf(err);
  if (!(cause instanceof ApplicationFailure) || cause.type !== REFUSAL) return undefined;
  return cause.details?.[0] as Refusal;
}

/** @returns how often an activity that ended badly was tried, as far as its last failure says */
export function attemptsOf(err: unknown): number {
  const cause = realCauseOf(err);
  // One that hung, or whose worker died, was cut off before it could say anything.
  if (cause instanceof TimeoutFailure && cause.timeoutType === 'START_TO_CLOSE') return 1;
  if (!(cause instanceof ApplicationFailure)) return 0;
  const [result] = (cause.details ?? []) as [Partial<StepResult>?];
  return result?.attempt ?? 1;
}

/** A budget that ends before a try does says nothing: what the try before met is what an operator must know. */
export const saysMoreThanTimeout = (err: unknown): boolean => !(realCauseOf(err) instanceof TimeoutFailure);

/** @returns what the last try met. That the time was up is no cause, unless no other is known. */
export function lastErrorAfter({ lastError }: { lastError: string | null }, err: unknown): string | null {
  if (isCancellation(err) || !(saysMoreThanTimeout(err) || lastError === null)) return lastError;
  return describeFailure(err).message;
}

/** The activity came to its end with a failure that another try might not have: the server saw no room for one. */
export function isCutShort(err: unknown): boolean {
  const cause = causeOf(err);
  return cause instanceof ApplicationFailure && cause.nonRetryable !== true;
}

/** Waiting does not help: an operator has to do something first. */
export function needsOperator(err: unknown): boolean {
  const cause = realCauseOf(err);
  return cause instanceof ApplicationFailure && cause.type === NEEDS_OPERATOR;
}

export function describeFailure(err: unknown): Failure {
  const cause = realCauseOf(err);
  if (cause instanceof ApplicationFailure && cause.type === NEEDS_OPERATOR) {
    const [need] = (cause.details ?? []) as [Need?];
    return { type: need?.kind ?? NEEDS_OPERATOR, message: cause.message, needsOperator: true };
  }
  if (cause instanceof ApplicationFailure) return { type: cause.type ?? 'Error', message: cause.message };
  return cause instanceof Error
    ? { type: cause.name, message: cause.message }
    : { type: 'Error', message: String(cause) };
}
