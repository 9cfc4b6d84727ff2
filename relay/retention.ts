/** Retention, as a loop: small batches, and a rest after each that is as long as the batch, so that other statements do not wait. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { purgeSpending } from '../domain/brakes.js';
import { purgeOperations } from '../domain/operations/carrying-out.js';
import { purgeErasedKeys } from '../domain/erasure/tombstones.js';
import type { FeedPlace } from '../domain/outbox.js';
import { confirmDestinations, purgeEvents, purgeKeys } from '../domain/retention.js';
import { startLoop } from '../runtime/loop.js';
import { removed } from './metrics.js';

/** A batch takes some 20 ms. */
const BATCH_MAX = 1_000;
const EVERY_MS = 60_000;

export type Retention = {
  db: Database;
  /** Those that this relay has configured: what they still owe stays. */
  destinations: string[];
  eventsOlderThanMs: number;
  /** Where the last batch ended; undefined = begin at the feed's old end. */
  place?: FeedPlace | undefined;
};

export type PurgeCount = { events: number; keys: number; operations: number; more: boolean };

/** Looks at one batch of each. */
export async function purgeOnce(retention: Retention, batchMax = BATCH_MAX): Promise<PurgeCount> {
  const { db, destinations, eventsOlderThanMs, place } = retention;
  await confirmDestinations(db, destinations);
  const { purged, next } = await purgeEvents(db, { after: place, olderThanMs: eventsOlderThanMs, limit: batchMax });
  retention.place = next;
  const keys =
    (await purgeKeys(db, batchMax)) + (await purgeErasedKeys(db, batchMax)) + (await purgeSpending(db, batchMax));
  const operations = await purgeOperations(db);
  return { events: purged, keys, operations, more: next !== undefined || keys >= batchMax };
}

/** Any number of relays may run it: what one removes the others do not find. @returns how to stop it */
export function startRetention(retention: Retention, logger: Logger): () => Promise<void> {
  const stopping = new AbortController();
  const loop = startLoop({ name: 'retention', everyMs: EVERY_MS, backoffMaxMs: EVERY_MS, logger }, async () => {
    const from = performance.now();
    const { events, keys, operations, more } = await purgeOnce(retention);
    removed.inc({ what: 'event' }, events);
    removed.inc({ what: 'idempotency-key' }, keys);
    removed.inc({ what: 'operation' }, operations);
    if (events + keys + operations > 0) logger.info({ events, keys, operations }, 'retention has removed what is old');
    if (more) await rest(performance.now() - from, stopping.signal);
    return more;
  });
  return async () => {
    stopping.abort();
    await loop.stop();
  };
}

function rest(ms: number, stopping: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stopping.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
