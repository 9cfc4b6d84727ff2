/**
 * The rate limit of orders: a token bucket per authenticated caller at POST /orders, besides the one that all its requests draw
 * from (`caller-limits`). A caller is its token's subject, whatever addresses it comes from. A bucket holds a minute's worth
 * and fills evenly; a caller with an empty one is answered when to come back. A refused request has changed nothing, its
 * Idempotency-Key included.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../http/problems.js';
import type { TakeToken } from './buckets.js';

const MINUTE_MS = 60_000;

/**
 * A preHandler hook: what a customer behind a service is refused (`caller-limits`) must not use up the service's orders. The
 * headers are those of draft-ietf-httpapi-ratelimit-headers-06, which clients know; `RateLimit-Reset` is when the bucket is
 * full again, in seconds.
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
      { retryAfterS: Math.max(1, secondsFor(1 - tokens)), reason: 'orders' },
    );
  };
}
