/**
 * Token buckets in Redis, shared by several API processes. Redis being away must not stop orders: each process then limits
 * by buckets of its own, so that a caller gets at most its limit once per process, and asks again soon.
 */
import type { Logger } from 'pino';
import { ConfigError } from '../../runtime/config.js';
import { type Bucket, createBuckets, type TakeToken } from './buckets.js';

/** Each order waits for Redis. */
const ASK_LIMIT_MS = 100;
const CONNECT_LIMIT_MS = 1_000;
/** How long Redis is not asked after a failure; otherwise each order would wait in vain. */
const REST_MS = 1_000;
const RECONNECT_MAX_MS = 2_000;

/** One script, so that no two processes take the same token; by Redis' clock, since theirs may differ. */
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local size = tonumber(ARGV[1])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local filled = size
if bucket[1] then filled = math.min(size, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * size / 60000) end
local taken = 0
if filled >= 1 then
  taken = 1
  filled = filled - 1
end
redis.call('HSET', KEYS[1], 'tokens', tostring(filled), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], 60000)
return {taken, tostring(filled)}`;

/** @throws ConfigError if the package ioredis is not installed: it is an optional one */
export async function createSharedBuckets(
  url: string,
  perMinute: number,
  logger: Logger,
  askLimitMs = ASK_LIMIT_MS,
): Promise<{ take: TakeToken; stop: () => void }> {
  const { Redis } = await import('ioredis').catch((err: unknown) => {
    throw new ConfigError('REDIS_URL is set, but the optional package ioredis is not installed.', { cause: err });
  });
  const options = {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: askLimitMs,
    connectTimeout: CONNECT_LIMIT_MS,
    retryStrategy: (tries: number) => Math.min(RECONNECT_MAX_MS, 100 * tries),
  };
  const redis = new Redis(url, options);
  const takeLocally = createBuckets(perMinute);
  let restUntil = 0;
  let isAway = false;
  const setAway = (away: boolean, err?: unknown) => {
    if (away !== isAway) logger.warn({ err }, away ? 'Redis is away: limiting by buckets of our own' : 'Redis is back');
    isAway = away;
  };
  redis.on('error', (err: unknown) => setAway(true, err));

  const ask = async (caller: string): Promise<Bucket> => {
    const [taken, tokens] = (await redis.eval(TAKE, 1, `order-saga:orders-per-minute:${caller}`, perMinute)) as [
      number,
      string,
    ];
    return { isTaken: taken === 1, tokens: Number(tokens) };
  };
  return {
    take: async (caller) => {
      if (performance.now() < restUntil) return takeLocally(caller);
      try {
        const bucket = await ask(caller);
        setAway(false);
        return bucket;
      } catch (err) {
        restUntil = performance.now() + REST_MS;
        setAway(true, err);
        return takeLocally(caller);
      }
    },
    stop: () => redis.disconnect(),
  };
}
