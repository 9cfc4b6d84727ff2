/**
 * A deadline: the one moment by which everything that an attempt asks of its neighbour must have ended. An attempt asks
 * more than once; limits of single requests would add up to more than the attempt's own limit, and go on beside the next
 * attempt's.
 */
import { type Deadline, GatewayUnknown } from './payments.js';

/** @returns the moment in so many milliseconds, on a clock that never jumps */
export function deadlineIn(ms: number): Deadline {
  const end = performance.now() + ms;
  return { leftMs: () => end - performance.now() };
}

/** With less time than this a request would be cut off before its answer. */
const WORTH_ASKING_MS = 100;

/**
 * @param limitMs of one request
 * @returns how long the next request may take
 * @throws GatewayUnknown if no request can be made any more
 */
export function timeFor(limitMs: number, deadline: Deadline | undefined): number {
  const leftMs = deadline?.leftMs() ?? limitMs;
  if (leftMs < WORTH_ASKING_MS)
    throw new GatewayUnknown('The time of this attempt is over; the next one goes on from here');
  return Math.min(limitMs, Math.floor(leftMs));
}
