/**
 * The one place where what went wrong becomes a Temporal failure. A refusal is final and BENIGN: nothing is broken, no
 * operator is paged. Everything else is a transient failure: the caller retries it, and its message says what an operator sees.
 */
import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory, TemporalFailure } from '@temporalio/common';
import { CHARGING_HELD } from '../contracts/brakes.js';
import type { CancellationReason } from '../contracts/orders.js';
import { NEEDS_OPERATOR, type Need, REFUSAL, type Refusal } from '../contracts/refusals.js';
import { STEP_PAUSE_MAX_MS, UNDO_PAUSE_MAX_MS } from '../contracts/retry-after.js';
import { DATABASE_UNAVAILABLE, LOCKED } from '../contracts/saga.js';
import type { StepInput, StepResult, UndoResult } from '../contracts/steps.js';
import { isLockTimeout, isNotNow } from '../domain/database.js';
import { HoldingLost } from '../domain/holdings.js';
import type { StepOutcome, UndoOutcome } from '../domain/orders.js';
import type { Run } from '../domain/saga-log.js';
import { GatewayUnknown } from '../gateways/payments.js';
import { isError, sentenceOf } from '../runtime/errors/facts.js';

/**
 * Thrown by a step or an undo that time will not mend. Its saga is marked at once, with `kind` where sagas are listed by
 * failure and `message` where it is read; it is tried again when an operator says so, and now and then in case that the cause
 * has gone. The message says what is to be done; no personal data.
 */
export class NeedsOperator extends Error {
  override name = NEEDS_OPERATOR;
  constructor(
    message: string,
    readonly kind: string = NEEDS_OPERATOR,
  ) {
    super(message);
  }
}

/** Thrown by a charge that a brake holds: nothing was asked of the gateway. It is tried again when the brake lets it. */
export class ChargingHeld extends Error {
  override name = CHARGING_HELD;
}

/** Makes an activity of a step: `done` is its result, `refused` its refusal. */
export function step(work: (orderId: string, run: Run, input: StepInput) => Promise<StepOutcome>) {
  return async (input: StepInput): Promise<StepResult> => {
    const run = runOf(input);
    const outcome = await translated(() => work(input.orderId, run, input), STEP_PAUSE_MAX_MS);
    if (outcome.outcome === 'refused') throw refusal(outcome.reason);
    // Only to a caller that asked for it: saga code of before would ignore it, and its history must not say what it ignored.
    return { attempt: activityInfo().attempt, ...(input.confirm && outcome.confirmed && { confirmed: true }) };
  };
}

/** Makes an activity of an undo. */
export function undo(work: (orderId: string, run: Run, input: StepInput) => Promise<UndoOutcome>) {
  return async (input: StepInput): Promise<UndoResult> => ({
    undone: await translated(() => work(input.orderId, runOf(input), input)),
    attempt: activityInfo().attempt,
  });
}

function runOf({ skippedBy, wokenBy, triedBefore = 0 }: StepInput): Run {
  return {
    attempts: triedBefore + activityInfo().attempt,
    ...(skippedBy !== undefined && { skippedBy }),
    ...(wokenBy !== undefined && { wokenBy }),
  };
}

/**
 * Runs `work`; whatever it throws leaves as an ApplicationFailure that names its kind and says what may be said of it.
 * @param pauseMaxMs the longest that a neighbour may have us wait before the next try: no longer than we would by ourselves
 */
export async function translated<T>(work: () => Promise<T>, pauseMaxMs = UNDO_PAUSE_MAX_MS): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (err instanceof TemporalFailure) throw err; // it has been translated
    if (err instanceof HoldingLost) throw need({ kind: err.name, message: err.message });
    if (err instanceof ChargingHeld) throw held(err);
    throw err instanceof NeedsOperator ? need(err) : transientFailure(err, pauseMaxMs);
  }
}

function refusal(reason: CancellationReason): ApplicationFailure {
  return ApplicationFailure.create({
    type: REFUSAL,
    message: `Refused: ${reason}`,
    nonRetryable: true,
    category: ApplicationFailureCategory.BENIGN,
    details: [{ reason } satisfies Refusal],
  });
}

function need({ kind, message }: Pick<NeedsOperator, 'kind' | 'message'>): ApplicationFailure {
  const details: [Need] = [{ kind, attempt: activityInfo().attempt }];
  return ApplicationFailure.create({ type: NEEDS_OPERATOR, message: bounded(message), nonRetryable: true, details });
}

/** No retries: whoever holds it says when it goes on, and until then no attempt would come to anything else. */
const held = ({ name, message }: ChargingHeld): ApplicationFailure =>
  ApplicationFailure.create({
    type: name,
    message,
    nonRetryable: true,
    category: ApplicationFailureCategory.BENIGN,
    details: [{ attempt: activityInfo().attempt } satisfies StepResult],
  });

/** By which sagas are grouped, and which says whether time will mend it (contracts/saga). */
function kindOf(error: Error): string {
  if (error instanceof GatewayUnknown) return error.name;
  if (isLockTimeout(error)) return LOCKED;
  return isNotNow(error) ? DATABASE_UNAVAILABLE : error.name;
}

function transientFailure(err: unknown, pauseMaxMs: number): ApplicationFailure {
  const error = isError(err) ? err : new Error('what was thrown is no error', { cause: err });
  return ApplicationFailure.create({
    type: kindOf(error),
    message: bounded(sentenceOf(error)),
    // When a whole budget ends, the saga learns from here how often it was tried.
    details: [{ attempt: activityInfo().attempt } satisfies StepResult],
    ...(isError(error.cause) && { cause: new Error(bounded(sentenceOf(error.cause))) }),
    ...(error instanceof GatewayUnknown &&
      error.retryAfterMs !== undefined && { nextRetryDelay: Math.min(error.retryAfterMs, pauseMaxMs) }),
  });
}

/** It stands in the saga's history and on screens: a sentence, not a page. */
const bounded = (text: string): string => text.slice(0, 300);
