/**
 * The rate limit: a token bucket per authenticated caller at POST /orders. A caller is its token's subject, whatever
 * addresses it comes from. A bucket holds a minute's worth and fills evenly; a caller with an empty one
 * is answered when to come back. A refused request has changed nothing, its Idempotency-Key included.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../http/problems.js';

export type Bucket = { isTaken: boolean; tokens: number };
/** @returns what the caller's bucket holds after it was asked for one token */
export type TakeToken = (caller: string) => Bucket | Promise<Bucket>;

const MINUTE_MS = 60_000;
/** Callers remembered; the one that has been away longest is forgotten first, and finds a full bucket again. */
const CALLERS_MAX = 10_000;

/** Buckets of this process alone. @param now monotonic, in milliseconds */
export function createBuckets(perMinute: number, now: () => number = () => performance.now()): TakeToken {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (caller) => {
    const at = now();
    const known = buckets.get(caller);
    const filled = known ? known.tokens + ((at - known.at) * perMinute) / MINUTE_MS : perMinute;
    const isTaken = filled >= 1;
    const tokens = Math.min(perMinute, filled) - (isTaken ? 1 : 0);
    buckets.delete(caller);
    const [longestAway] = buckets.keys();
    if (longestAway !== undefined && buckets.size >= CALLERS_MAX) buckets.delete(longestAway);
    buckets.set(caller, { tokens, at });
    return { isTaken, tokens };
  };
}

/**
 * An onRequest hook, after authentication. The headers are those of draft-ietf-httpapi-ratelimit-headers-06, which clients
 * know; `RateLimit-Reset` is when the bucket is full again, in seconds.
 */
export function limitRate(perMinute: number, take: TakeToken) {
  const secondsFor = (tokens: number) => Math.ceil((tokens * MINUTE_MS) / perMinute / 1_000);
  return async ({ caller }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { isTaken, tokens } = await take(caller.subject);
    reply.headers({
      'ratelimit-limit': perMinute,
      'ratelimit-remaining': Math.floor(tokens),
      'ratelimit-reset': secondsFor(perMinute - tokens),
    });
    if (isTaken) return;
    throw new Problem(
      'too-many-requests',
      `At most ${perMinute} orders a minute.`,
      {},
      {
        retryAfterS: Math.max(1, secondsFor(1 - tokens)),
      },
    );
  };
}
