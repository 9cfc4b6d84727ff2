/**
 * Poison: an event that its destination will not take, however often it is sent. Telling it from bad weather is the art: a
 * destination that is down, or refuses whatever it is sent, is no reason to park anything.
 */
import type { CloudEvent } from '../contracts/events.js';
import type { Verdict } from '../domain/parking.js';
import { backoffMs } from '../runtime/loop.js';
import type { Counts, OwedOrder, Trouble } from './lanes.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** The envelope in JSON. CloudEvents asks intermediaries to pass 64 KiB; brokers take 1 MiB by default. */
export const EVENT_MAX_BYTES = 256 * 1024;

/** A receiver may be wrong once, while it is being deployed. */
const REJECTIONS_MAX = 3;
const REJECTED_BACKOFF_MS = { base: 150, max: 2_000 };
/** Five failures while others get through are enough; where others fail, too, it takes twenty. */
const DOUBT_MAX = 20;
const DOUBT = { othersGetThrough: 4, othersFailToo: 1 };
/** Up to one failure to so many successes, others count as getting through. */
const SUCCESSES_PER_FAILURE_MIN = 4;
/** So many orders parked, and nothing taken since: it is the destination, or our set-up, that is at fault. */
export const PARKED_IN_A_ROW_MAX = 20;
const FIRST_BACKOFF_MS = 250;

/** A check of an event's data. @returns what is wrong with it */
export type Validate = (event: CloudEvent) => string | undefined;

/** @returns why an event cannot be sent at all */
export function refuseUnsent(event: CloudEvent, validate?: Validate): Verdict | undefined {
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
export type Circumstances = {
  /** What the destination has taken and failed at, before this batch and with it. */
  before: Counts;
  now: Counts;
  /** Orders parked since the destination took anything. */
  parkedInARow: number;
  backoffMaxMs: number;
};

/**
 * Notes that an order's first event has failed, and when it is tried next.
 * @returns the verdict if it is to be parked
 */
export function judge(order: OwedOrder, failure: Failure, circumstances: Circumstances): Verdict | undefined {
  const { trouble } = order;
  trouble.tries++;
  const { cause, waitMs } =
    failure.outcome === 'rejected' ? judgeRejection(order, circumstances) : judgeSilence(trouble, circumstances);
  trouble.nextTryAtMs = performance.now() + waitMs;
  trouble.counts = circumstances.now;
  return cause && { cause, error: failure.error.message, attempts: trouble.tries };
}

type Judgement = { cause?: Verdict['cause']; waitMs: number };

function judgeRejection(order: OwedOrder, { parkedInARow, backoffMaxMs }: Circumstances): Judgement {
  const { trouble, letter, events } = order;
  trouble.rejections++;
  const isReplay = letter !== undefined && letter.sequence === events[0]?.sequence;
  if (!isReplay && parkedInARow >= PARKED_IN_A_ROW_MAX) {
    return { waitMs: backoffMs(trouble.tries, FIRST_BACKOFF_MS, backoffMaxMs) };
  }
  if (isReplay || trouble.rejections >= REJECTIONS_MAX) return { cause: 'rejected', waitMs: 0 };
  return { waitMs: backoffMs(trouble.rejections, REJECTED_BACKOFF_MS.base, REJECTED_BACKOFF_MS.max) };
}

function judgeSilence(trouble: Trouble, { before, now, backoffMaxMs }: Circumstances): Judgement {
  const since = trouble.counts ?? before;
  const othersTaken = now.taken - since.taken;
  const othersFailed = now.failed - since.failed - 1;
  if (othersTaken > 0) {
    const getThrough = othersFailed * SUCCESSES_PER_FAILURE_MIN <= othersTaken;
    trouble.doubt += getThrough ? DOUBT.othersGetThrough : DOUBT.othersFailToo;
  }
  const isPoison = trouble.doubt >= DOUBT_MAX;
  return {
    ...(isPoison && { cause: 'unavailable-for-this-event' as const }),
    waitMs: backoffMs(trouble.tries, FIRST_BACKOFF_MS, backoffMaxMs),
  };
}
