/**
 * Retention of what is personal, as a loop: small batches, of which each is a transaction, and a rest after each; a lease has one process
 * do it. It goes over the orders by age, and begins anew every hour: an order of which something was in hand is met again.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { giveUpLease, takeLease } from '../domain/leases.js';
import { blankOldDeadLetters, blankOldErasures, blankOldOrders } from '../domain/personal-retention.js';
import { startLoop } from '../runtime/loop.js';
import { removed } from './metrics.js';

const LEASE = 'personal retention';
const LEASE_MS = 60_000;
/** Some 50 ms, for which each of the orders is locked; they are old. */
const BATCH_MAX = 100;
const LOOK_EVERY_MS = 60_000;
const PASS_EVERY_MS = 3_600_000;
/** Of the time that a batch takes. */
const REST_SHARE = 2;

/** In milliseconds; 0 = for ever. */
export type PersonalRetention = { ordersMs: number; deadLettersMs: number; erasuresMs: number };

type Transactions = { $transaction<T>(work: (tx: Database) => Promise<T>): Promise<T> };
export type BlankedCount = { orders: number; customers: number; deadLetters: number; erasures: number };

/** Blanks one batch of each. @param place the last order that the pass has looked at @returns with the place of the next batch, if there is one */
export async function blankOnce(
  db: Database,
  { ordersMs, deadLettersMs, erasuresMs }: PersonalRetention,
  { place, batchMax = BATCH_MAX }: { place?: string | undefined; batchMax?: number } = {},
): Promise<BlankedCount & { next: string | undefined; more: boolean }> {
  const { orders, customers, next } =
    ordersMs === 0
      ? { orders: 0, customers: 0, next: undefined }
      : await (db as unknown as Transactions).$transaction((tx) =>
          blankOldOrders(tx, { after: place, olderThanMs: ordersMs, limit: batchMax }),
        );
  const deadLetters = deadLettersMs === 0 ? 0 : await blankOldDeadLetters(db, deadLettersMs, batchMax);
  const erasures = erasuresMs === 0 ? 0 : await blankOldErasures(db, erasuresMs, batchMax);
  const more = next !== undefined || deadLetters === batchMax || erasures === batchMax;
  return { orders, customers, deadLetters, erasures, next, more };
}

/** @returns how to stop it: the batch that is under way is finished first */
export function startPersonalRetention(db: Database, kept: PersonalRetention, logger: Logger): () => Promise<void> {
  const owner = randomUUID();
  const stopping = new AbortController();
  let place: string | undefined;
  let beganAtMs = Number.NEGATIVE_INFINITY;
  const loop = startLoop({ name: LEASE, everyMs: LOOK_EVERY_MS, backoffMaxMs: LOOK_EVERY_MS, logger }, async () => {
    const now = performance.now();
    if (place === undefined && now - beganAtMs < PASS_EVERY_MS) return false;
    if (!(await takeLease(db, LEASE, { owner, leaseMs: LEASE_MS }))) return false;
    if (place === undefined) beganAtMs = now;
    const { next, more, ...counts } = await blankOnce(db, kept, { place });
    place = next;
    for (const [what, count] of Object.entries(counts)) removed.inc({ what: WHAT[what as keyof BlankedCount] }, count);
    if (counts.orders + counts.deadLetters + counts.erasures > 0)
      logger.info(counts, 'retention has blanked what is personal and old');
    if (!more) beganAtMs = now;
    else {
      if (place === undefined) beganAtMs = Number.NEGATIVE_INFINITY;
      await pause(REST_SHARE * (performance.now() - now), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
    }
    return more;
  });
  return async () => {
    stopping.abort();
    await loop.stop();
    await giveUpLease(db, LEASE, owner).catch((err: unknown) => logger.debug({ err }, 'the lease runs out by itself'));
  };
}

const WHAT: Record<keyof BlankedCount, string> = {
  orders: 'order-personal-parts',
  customers: 'customer',
  deadLetters: 'dead-letter-texts',
  erasures: 'erasure-reasons',
};
