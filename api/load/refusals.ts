/**
 * The pace of what is answered although it is not paid for: refusals, and health. Each costs little, but not nothing: a client
 * that asks again at once, with some connections, would keep a core busy. So who asks more often than a client that heeds
 * Retry-After is answered a second later, which slows each of its connections to one request a second; and later still the more
 * of its answers are held, so that hundreds of connections do not get more than a hundred.
 */
import { createBuckets } from './buckets.js';

/** @returns resolves when the answer may be sent; undefined = now. @param who asks */
export type Pace = (who: string) => Promise<void> | undefined;

const HELD_MS = 1_000;
/** Of one sender, beyond those that are sent at once. */
const HELD_PER_SECOND = 100;
/** Clients give up after some time, and what has been given up was held in vain. */
const HELD_LONGEST_MS = 10_000;
/** One a connection, of some 10 KB. Beyond that they are sent at once: memory is worth more than the processor. */
const HELD_MAX = 10_000;

/** @param perSecond answers of one sender that are sent at once */
export function createPace(perSecond: number): Pace {
  const take = createBuckets(perSecond * 60, undefined, perSecond);
  const heldOf = new Map<string, number>();
  let held = 0;
  const count = (who: string, change: 1 | -1): number => {
    const now = (heldOf.get(who) ?? 0) + change;
    if (now === 0) heldOf.delete(who);
    else heldOf.set(who, now);
    held += change;
    return now;
  };
  return (who) => {
    if (take(who).isTaken || held >= HELD_MAX) return undefined;
    const inTurnMs = (count(who, 1) * 1_000) / HELD_PER_SECOND;
    // Those that were refused together do not come again together.
    const delayMs = Math.min(HELD_LONGEST_MS, Math.max(HELD_MS * (1 + Math.random()), inTurnMs));
    return new Promise((resolve) => {
      setTimeout(() => {
        count(who, -1);
        resolve();
      }, delayMs).unref();
    });
  };
}
