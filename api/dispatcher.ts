/**
 * Starts the saga of an order that has just been accepted, without making the client wait and without a promise: what it
 * does not get to, or loses in a crash, the relay's sweep starts within seconds.
 */
import type { Client } from '@temporalio/client';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { UnknownPlan } from '../contracts/plan.js';
import type { SagaPolicy, UnstartedSaga } from '../contracts/saga.js';
import { markStarted } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { guarded } from '../runtime/guard.js';
import { startSaga } from '../sagas/start.js';

export type SagaDispatcher = {
  start(saga: UnstartedSaga): void;
  /** Orders whose saga this process is about to start, or has just started: nothing that the sweep must take care of. */
  inHand: ReadonlySet<string>;
  /** Whether sagas wait for their start: orders are accepted faster than they are worked on. */
  isBehind(): boolean;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
};

/**
 * Starts under way at a time. In a burst more would not finish more sagas, but have more of them half done: with 32, a
 * third fewer were completed while orders came in.
 */
const PARALLEL_MAX = 8;
/** Orders waiting for their start; beyond that a burst is left to the sweep instead of to this process's memory. */
const WAITING_MAX = 5_000;
/** While Temporal does not answer, each start would wait in vain; the sweep watches for its return. */
const REST_AFTER_FAILURE_MS = 1_000;
/** Started orders leave the sweep's list in batches, at half the sweep's patience. */
const MARK_EVERY_MS = 1_000;

export function createSagaDispatcher(deps: {
  db: Database;
  client: () => Client | undefined;
  policy: SagaPolicy;
  /** Run the first workflow task in this process, if it has a worker: saves a round trip and a poll. */
  eager: boolean;
  logger: Logger;
}): SagaDispatcher {
  const limit = pLimit(PARALLEL_MAX);
  let restUntil = 0;
  const inHand = new Set<string>();
  let started: UnstartedSaga[] = [];
  const mark = async () => {
    const sagas = started;
    started = [];
    try {
      if (sagas.length > 0) await markStarted(deps.db, sagas);
    } finally {
      for (const { id } of sagas) inHand.delete(id);
    }
  };
  // Failing to mark costs the sweep one refused start per order, nothing else.
  const marking = setInterval(
    () => void mark().catch((err: unknown) => deps.logger.debug({ err }, 'marking failed')),
    MARK_EVERY_MS,
  );

  /** @returns whether the saga has been started by this */
  const startNow = async (order: UnstartedSaga): Promise<boolean> => {
    const client = deps.client();
    if (!client || Date.now() < restUntil) return false;
    try {
      return await startSaga(client, order, deps.policy, { requestEagerStart: deps.eager });
    } catch (err) {
      if (!(err instanceof UnknownPlan)) restUntil = Date.now() + REST_AFTER_FAILURE_MS; // a fault of this order's own delays no other
      deps.logger.warn({ err, orderId: order.id }, 'could not start the saga; the sweep will');
      return false;
    }
  };
  const takeInHand = async (order: UnstartedSaga) => {
    inHand.add(order.id);
    let isStarted = false;
    try {
      isStarted = await limit(startNow, order);
    } finally {
      if (isStarted) started.push(order);
      else inHand.delete(order.id); // the sweep's, from now on
    }
  };
  const take = guarded(deps.logger, 'dispatcher', takeInHand);
  return {
    start: (order) => {
      if (limit.pendingCount < WAITING_MAX) take(order);
    },
    inHand,
    isBehind: () => limit.pendingCount > 0,
    stop: async () => {
      clearInterval(marking);
      limit.clearQueue();
      const idle = async (): Promise<void> => {
        while (limit.activeCount > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      await idle();
      await mark().catch((err: unknown) => deps.logger.debug({ err }, 'marking failed'));
    },
  };
}
