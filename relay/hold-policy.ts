/**
 * Poison: an event that its destination will not take, however often it is sent. Telling it from bad weather is the art: a
 * destination that is down, or refuses whatever it is sent, is no reason to park anything.
 */
import type { CloudEvent } from '../contracts/events.js';
import type { Classification } from '../domain/held-events.js';
import { backoffMs } from '../runtime/loop.js';
import { type Counts, type OwedOrder, replayOf, type Trouble } from './backlog.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** The envelope in JSON. CloudEvents asks intermediaries to pass 64 KiB; brokers take 1 MiB by default. */
export const EVENT_MAX_BYTES = 256 * 1024;

/** A receiver may be wrong once, while it is being deployed. */
const REJECTIONS_MAX = 3;
const REJECTED_BACKOFF_MS = { base: 150, max: 2_000 };
/** Five failures while others get through are enough; where others fail, too, or the destination is busy, it takes twenty. */
const DOUBT_MAX = 20;
const DOUBT = { othersGetThrough: 4, othersFailToo: 1, busy: 1 };
/** Up to one failure to so many successes, others count as getting through. */
const SUCCESSES_PER_FAILURE_MIN = 4;
/** So many orders parked, and nothing taken since: it is the destination, or our set-up, that is at fault. */
export const PARKED_IN_A_ROW_MAX = 20;
const FIRST_BACKOFF_MS = 250;

/** A check of an event's data. @returns what is wrong with it */
export type Validate = (event: CloudEvent) => string | undefined;

/** @returns why an event cannot be sent at all */
export function refuseUnsent(event: CloudEvent, validate?: Validate): Classification | undefined {
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

export type Failure = Extract<PublishOutcome, { error: Error }>;
/** What became of the orders that were sent after one, in the same batch. */
export type SentAfter = { taken: number; failedFirst: number };
export type Circumstances = {
  /** What the destination has taken and failed at, before this batch and with it. */
  before: Counts;
  now: Counts;
  sentAfter: SentAfter;
  /** It was all that was sent: no neighbour can have used up the destination's patience. */
  isAlone: boolean;
  /** Orders parked since the destination took anything. */
  parkedInARow: number;
  backoffMaxMs: number;
};

/**
 * Notes that an order's first event has failed, and when it is tried next.
 * @returns the verdict if it is to be parked
 */
export function judge(order: OwedOrder, failure: Failure, circumstances: Circumstances): Classification | undefined {
  const { trouble } = order;
  const { cause, waitMs } =
    failure.outcome === 'rejected'
      ? judgeRejection(order, circumstances)
      : judgeSilence(trouble, failure, circumstances);
  trouble.tries++;
  trouble.nextTryAtMs = performance.now() + waitMs;
  trouble.counts = circumstances.now;
  return cause && { cause, error: failure.error.message, attempts: trouble.tries };
}

type Judgement = { cause?: Classification['cause']; waitMs: number };

function judgeRejection(order: OwedOrder, { parkedInARow, backoffMaxMs }: Circumstances): Judgement {
  const { trouble } = order;
  trouble.rejections++;
  const isReplay = replayOf(order) !== undefined;
  if (!isReplay && parkedInARow >= PARKED_IN_A_ROW_MAX) {
    return { waitMs: backoffMs(trouble.tries + 1, FIRST_BACKOFF_MS, backoffMaxMs) };
  }
  if (isReplay || trouble.rejections >= REJECTIONS_MAX) return { cause: 'rejected', waitMs: 0 };
  return { waitMs: backoffMs(trouble.rejections, REJECTED_BACKOFF_MS.base, REJECTED_BACKOFF_MS.max) };
}

function judgeSilence(trouble: Trouble, failure: Failure, circumstances: Circumstances): Judgement {
  trouble.doubt += isBusy(failure) ? doubtOfBusy(trouble, circumstances) : doubtOf(trouble, circumstances);
  const isPoison = trouble.doubt >= DOUBT_MAX;
  return {
    ...(isPoison && { cause: 'unavailable-for-this-event' as const }),
    waitMs: backoffMs(trouble.tries + 1, FIRST_BACKOFF_MS, circumstances.backoffMaxMs),
  };
}

/**
 * A destination that takes only so much at a time fails whatever comes late in a batch: that says nothing about an event,
 * unless one that was sent after it was taken.
 */
function doubtOf(trouble: Trouble, { before, now, sentAfter, isAlone }: Circumstances): number {
  const since = trouble.counts ?? before;
  const othersTaken = now.taken - since.taken;
  const othersFailed = now.failed - since.failed - (trouble.tries === 0 ? 1 : 0);
  if (othersTaken <= 0 || (sentAfter.taken === 0 && !isAlone)) return 0;
  return othersFailed * SUCCESSES_PER_FAILURE_MIN <= othersTaken ? DOUBT.othersGetThrough : DOUBT.othersFailToo;
}

/** Says "not now" of itself, not of the event; believed, unless it says so to this one only, and twenty times. */
function doubtOfBusy(trouble: Trouble, circumstances: Circumstances): number {
  const { sentAfter } = circumstances;
  if (sentAfter.failedFirst > sentAfter.taken) return 0;
  return Math.min(doubtOf(trouble, circumstances), DOUBT.busy);
}

const isBusy = (failure: Failure): boolean =>
  failure.outcome === 'unavailable' && (failure.isBusy === true || failure.retryAfterMs !== undefined);
