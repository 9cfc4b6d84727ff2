/**
 * The sweep: finds accepted orders whose saga no process has seen running, and starts it. This, not the API's own start, is
 * the promise that an accepted order is worked on: the API may have died, or Temporal been away, in between.
 */
import type { Client } from '@temporalio/client';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import type { SagaPolicy, UnstartedSaga } from '../contracts/saga.js';
import { listUnstarted, markStarted } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { backoffMs } from '../runtime/loop.js';
import { isAway } from '../sagas/away.js';
import { startedLine, startSaga } from '../sagas/start.js';

/** Leaves the API time to start the saga itself. With the sweep's period of 1 s, an orphan waits 4 s at most. */
const ORPHAN_AFTER_MS = 2_500;
const BATCH_MAX = 200;
const PARALLEL_MAX = 16;

/** An order whose start fails by itself must not be tried every second, nor wait long once the cause is mended. */
const OWN_BACKOFF_MS = { base: 1_000, max: 15_000 };

/** Orders whose own start has failed, and when each is tried again (by `performance.now()`). */
export type Failing = Map<string, { failures: number; nextTryAtMs: number }>;
export type SweepCount = { started: number; more: boolean; errors: unknown[] };

/**
 * @param failing what this process remembers from sweep to sweep: orders at the head of the list must not starve the rest
 * @param inHand orders that the dispatcher of this process has queued: starting them here, in bulk and not eagerly, would
 *   turn a burst of orders into a burst of sagas
 * @returns how many orders were taken off the list, whether there are more, and why single orders could not be started
 * @throws if Temporal is away
 */
export async function startUnstartedOnce(deps: {
  db: Database;
  client: Client;
  policy: SagaPolicy;
  failing: Failing;
  inHand: ReadonlySet<string>;
  /** Told of each saga that this starts, as the dispatcher tells of its own. */
  logger: Pick<Logger, 'info'>;
}): Promise<SweepCount> {
  const { db, failing, inHand, logger } = deps;
  const orders = await listUnstarted(db, ORPHAN_AFTER_MS, BATCH_MAX, [...notYet(failing), ...inHand]);
  forgetAllBut(orders, failing);
  const limit = pLimit(PARALLEL_MAX);
  const started: UnstartedSaga[] = [];
  const errors: unknown[] = [];
  let away: unknown;
  await Promise.all(
    orders.map((order) =>
      limit(async () => {
        if (away) return; // the rest would only wait for the same answer
        try {
          const saga = await startSaga(deps.client, order, deps.policy);
          if (saga) logger.info(startedLine(order, saga), 'saga started');
        } catch (err) {
          if (isAway(err)) away = err;
          else {
            errors.push(err);
            postpone(failing, order.id);
          }
          return;
        }
        started.push(order);
        failing.delete(order.id);
      }),
    ),
  );
  if (started.length > 0) await markStarted(db, started);
  if (away) throw away;
  return { started: started.length, more: orders.length === BATCH_MAX, errors };
}

function postpone(failing: Failing, orderId: string): void {
  const failures = (failing.get(orderId)?.failures ?? 0) + 1;
  failing.set(orderId, {
    failures,
    nextTryAtMs: performance.now() + backoffMs(failures, OWN_BACKOFF_MS.base, OWN_BACKOFF_MS.max),
  });
}

/** Another process has started it meanwhile, or its order is final. */
function forgetAllBut(due: UnstartedSaga[], failing: Failing): void {
  const ids = new Set([...notYet(failing), ...due.map((order) => order.id)]);
  for (const orderId of failing.keys()) if (!ids.has(orderId)) failing.delete(orderId);
}

function notYet(failing: Failing): string[] {
  const now = performance.now();
  return [...failing].filter(([, { nextTryAtMs }]) => nextTryAtMs > now).map(([orderId]) => orderId);
}
