/**
 * The hold policy: when an event is given up as a dead letter. It must be distinguished from a transient failure: a destination
 * that is down, or that rejects every event it is sent, is no reason to hold anything.
 */
import type { CloudEvent } from '../contracts/events.js';
import type { HoldReason } from '../domain/held-events.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { backoffMs } from '../runtime/loop.js';
import { type DestinationCounts, type OrderStream, replayOf, type Trouble } from './backlog.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** The envelope in JSON. CloudEvents asks intermediaries to pass 64 KiB; brokers take 1 MiB by default. */
export const EVENT_MAX_BYTES = 256 * 1024;

/** A receiver may be wrong once, while it is being deployed. */
const REJECTIONS_MAX = 3;
const REJECTED_BACKOFF_MS = { base: 150, max: 2_000 };
/**
 * What an uncertain rejection counts: five failures while others get through are enough; where others fail, too, or the
 * destination is busy, it takes twenty.
 */
const FAULT_SCORE_MAX = 20;
const FAULT_SCORES = { othersGetThrough: 4, othersFailToo: 1, busy: 1 };
/** Up to one failure to so many successes, others count as getting through. */
const SUCCESSES_PER_FAILURE_MIN = 4;
/** So many orders held, and nothing taken since: it is the destination, or our set-up, that is at fault. */
export const HELD_IN_A_ROW_MAX = 20;
const FIRST_BACKOFF_MS = 250;

/** A check of an event's data. @returns what is wrong with it */
export type ValidateEvent = (event: CloudEvent) => string | undefined;

/** @returns why an event cannot be sent at all */
export function findUnsendable(event: CloudEvent, validate?: ValidateEvent): HoldReason | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(event));
  if (bytes > EVENT_MAX_BYTES) {
    return {
      cause: 'too-large',
      error: `the event has ${bytes} bytes, at most ${EVENT_MAX_BYTES} are sent`,
      attempts: 0,
    };
  }
  const fault = validate?.(event);
  return fault === undefined ? undefined : { cause: 'invalid', error: fault, attempts: 0 };
}

export type PublishFailure = Extract<PublishOutcome, { error: Error }>;
/** What became of the orders that were sent after one, in the same batch. */
export type SentAfter = { taken: number; failedFirst: number };
export type Circumstances = {
  /** What the destination has taken and failed at, before this batch and with it. */
  before: DestinationCounts;
  now: DestinationCounts;
  sentAfter: SentAfter;
  /** It was all that was sent: no other order can have used up what the destination takes at a time. */
  isAlone: boolean;
  /** Orders held since the destination took anything. */
  heldInARow: number;
  backoffMaxMs: number;
};

/**
 * Notes that an order's first event has failed, and when it is tried next.
 * @returns the reason if it is to be held
 */
export function recordFailure(
  stream: OrderStream,
  failure: PublishFailure,
  circumstances: Circumstances,
): HoldReason | undefined {
  const { trouble } = stream;
  const { cause, waitMs } =
    failure.outcome === 'rejected'
      ? afterRejection(stream, circumstances)
      : afterUnavailability(trouble, failure, circumstances);
  trouble.tries++;
  trouble.nextTryAtMs = performance.now() + waitMs;
  trouble.counts = circumstances.now;
  return cause && { cause, error: sentenceOf(failure.error), attempts: trouble.tries };
}

type NextStep = { cause?: HoldReason['cause']; waitMs: number };

function afterRejection(stream: OrderStream, { heldInARow, backoffMaxMs }: Circumstances): NextStep {
  const { trouble } = stream;
  trouble.rejections++;
  const isReplay = replayOf(stream) !== undefined;
  if (!isReplay && heldInARow >= HELD_IN_A_ROW_MAX) {
    return { waitMs: backoffMs(trouble.tries + 1, FIRST_BACKOFF_MS, backoffMaxMs) };
  }
  if (isReplay || trouble.rejections >= REJECTIONS_MAX) return { cause: 'rejected', waitMs: 0 };
  return { waitMs: backoffMs(trouble.rejections, REJECTED_BACKOFF_MS.base, REJECTED_BACKOFF_MS.max) };
}

function afterUnavailability(trouble: Trouble, failure: PublishFailure, circumstances: Circumstances): NextStep {
  trouble.faultScore += isBusy(failure)
    ? faultScoreOfBusy(trouble, circumstances)
    : faultScoreOf(trouble, circumstances);
  const isAtFault = trouble.faultScore >= FAULT_SCORE_MAX;
  return {
    ...(isAtFault && { cause: 'unavailable-for-this-event' as const }),
    waitMs: backoffMs(trouble.tries + 1, FIRST_BACKOFF_MS, circumstances.backoffMaxMs),
  };
}

/**
 * A destination that takes only so much at a time fails whatever comes late in a batch: that says nothing about an event,
 * unless one that was sent after it was taken.
 */
function faultScoreOf(trouble: Trouble, { before, now, sentAfter, isAlone }: Circumstances): number {
  const since = trouble.counts ?? before;
  const othersTaken = now.taken - since.taken;
  const othersFailed = now.failed - since.failed - (trouble.tries === 0 ? 1 : 0);
  if (othersTaken <= 0 || (sentAfter.taken === 0 && !isAlone)) return 0;
  return othersFailed * SUCCESSES_PER_FAILURE_MIN <= othersTaken
    ? FAULT_SCORES.othersGetThrough
    : FAULT_SCORES.othersFailToo;
}

/** The destination says "not now" of itself, not of the event; believed, unless it says so to this one only, and twenty times. */
function faultScoreOfBusy(trouble: Trouble, circumstances: Circumstances): number {
  const { sentAfter } = circumstances;
  if (sentAfter.failedFirst > sentAfter.taken) return 0;
  return Math.min(faultScoreOf(trouble, circumstances), FAULT_SCORES.busy);
}

const isBusy = (failure: PublishFailure): boolean =>
  failure.outcome === 'unavailable' && (failure.isBusy === true || failure.retryAfterMs !== undefined);
