/**
 * Token buckets: a caller takes as much out of its bucket as its request costs; the bucket fills evenly up to its size. Those
 * made here are of this process alone; `shared-buckets` has those in Redis.
 */
export type Bucket = { isTaken: boolean; tokens: number };
/** @returns what the caller's bucket holds after it was asked for one token */
export type TakeToken = (caller: string) => Bucket | Promise<Bucket>;
/**
 * @param cost tokens; one if not said
 * @param isOwed it is taken whatever the bucket holds, which is then less than nothing: for what has been done already
 */
export type TakeTokens = (caller: string, cost?: number, isOwed?: boolean) => Bucket;

const MINUTE_MS = 60_000;
/** Callers remembered; the one that has been away longest is forgotten first, and finds a full bucket again. */
const CALLERS_MAX = 10_000;

/** @param now monotonic, in milliseconds @param size tokens of a full bucket; a minute's worth if not said */
export function createBuckets(
  perMinute: number,
  now: () => number = () => performance.now(),
  size = perMinute,
): TakeTokens {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (caller, cost = 1, isOwed = false) => {
    const at = now();
    const known = buckets.get(caller);
    const filled = Math.min(size, known ? known.tokens + ((at - known.at) * perMinute) / MINUTE_MS : size);
    const isTaken = isOwed || filled >= cost;
    const tokens = filled - (isTaken ? cost : 0);
    buckets.delete(caller);
    const [longestAway] = buckets.keys();
    if (longestAway !== undefined && buckets.size >= CALLERS_MAX) buckets.delete(longestAway);
    buckets.set(caller, { tokens, at });
    return { isTaken, tokens };
  };
}
