/**
 * The pace of refusals. A refusal costs little, but not nothing: a client that asks again at once, with some connections,
 * would keep a core busy with being refused. So who is refused more often than a client that heeds Retry-After is answered a
 * second later, which slows each of its connections to one request a second.
 */
import { createBuckets } from './buckets.js';

/** @returns resolves when the refusal may be sent. @param who is refused */
export type PaceRefusals = (who: string) => Promise<void> | undefined;

const HELD_MS = 1_000;
/** Some 10 KB each. Beyond that, refusals are sent at once: memory is worth more than the processor. */
const HELD_MAX = 2_000;

/** @param perSecond refusals of one caller that are sent at once */
export function createRefusalPace(perSecond: number): PaceRefusals {
  const take = createBuckets(perSecond * 60, undefined, perSecond);
  let held = 0;
  return (who) => {
    if (take(who).isTaken || held >= HELD_MAX) return undefined;
    held++;
    return new Promise((resolve) => {
      setTimeout(() => {
        held--;
        resolve();
      }, HELD_MS);
    });
  };
}
