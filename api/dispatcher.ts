/**
 * Starts the saga of an order that has just been accepted, without making the client wait and without a promise: what it
 * does not get to, or loses in a crash, the relay's sweep starts within seconds. First come, first served: as many sagas are
 * begun as there are slots for (sagas/slots), and the other orders wait here.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { UnknownPlan } from '../contracts/plan.js';
import type { SagaPolicy, UnstartedSaga } from '../contracts/saga.js';
import { listStarted, markStarted } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { guarded } from '../runtime/guard.js';
import { createSagaSlots, type SagaSlots } from '../sagas/slots.js';
import { type StartedSaga, startedLine, startSaga } from '../sagas/start.js';

export type SagaDispatcher = {
  start(saga: UnstartedSaga): void;
  /** Orders whose saga this process is about to start, or has just started: nothing that the sweep must take care of. */
  inHand: ReadonlySet<string>;
  /** Whether many sagas wait for their start: orders are accepted faster than they are worked on. */
  isBehind(): boolean;
  /** How many wait for their start, and for how long the first of them has. */
  queue(): { waiting: number; oldestMs: number };
  /** Resolves when no start is under way any more. What waits is left to the sweep of another process, or of this one's successor. */
  stop(): Promise<void>;
};

/** Starts under way at a time where the sagas run elsewhere: each waits for Temporal, and for nothing of this process. */
const STARTS_MAX = 8;
/** Orders waiting for their start; beyond that a burst is left to the sweep instead of to this process's memory. */
const WAITING_MAX = 5_000;
/** A few always wait while every slot is taken; with more than these, more orders would only have sagas wait longer. */
const BEHIND_FROM = 32;
/** While Temporal does not answer, each start would wait in vain; the sweep watches for its return. */
const REST_AFTER_FAILURE_MS = 1_000;
/** Started orders leave the sweep's list in batches, at half the sweep's patience. */
const MARK_EVERY_MS = 1_000;
/** The sweeps of other processes start what waits for longer than their patience, oldest first and in batches. */
const SWEPT = { afterMs: 2_500, max: 500 };

type DispatcherOptions = {
  db: Database;
  client: () => Client | undefined;
  policy: SagaPolicy;
  /** Of the worker in this process, in which a saga may begin at once: saves a round trip and a poll. Absent = sagas run elsewhere. */
  slots?: SagaSlots;
  logger: Logger;
};
type Waiting = Map<string, { order: UnstartedSaga; since: number }>;

export function createSagaDispatcher(options: DispatcherOptions): SagaDispatcher {
  const { db, logger, slots = createSagaSlots({ atWorkMax: STARTS_MAX }) } = options;
  const waiting: Waiting = new Map();
  /** They go first: of an order that is being cancelled, its customer is promised the end within a minute. */
  const cancellations: Waiting = new Map();
  const underWay = new Set<Promise<void>>();
  const inHand = new Set<string>();
  const marks = keepMarks(db, inHand);
  const startNow = createStart(options);
  let isStopped = false;

  const begin = async (order: UnstartedSaga): Promise<void> => {
    slots.take(order.id);
    const started = await startNow(order);
    if (started) marks.add(order);
    else inHand.delete(order.id); // the sweep's, from now on
    // Where no saga runs, a slot is for the start alone. One that another process runs, for want of room here, keeps its slot
    // until its end is heard of, but is not at work here.
    if (!started || !options.slots) slots.release(order.id);
    else if (!started.isHere) slots.pause(order.id);
  };
  const beginNext = guarded(logger, 'dispatcher', () => {
    for (const queue of [cancellations, waiting])
      for (const [orderId, { order }] of queue) {
        if (isStopped || !slots.isFree()) return;
        queue.delete(orderId);
        const begun = begin(order).finally(() => underWay.delete(begun));
        underWay.add(begun);
      }
  });
  slots.onFree(beginNext);

  const dropSwept = async () => {
    for (const orderId of await findSwept(db, waiting)) {
      waiting.delete(orderId);
      inHand.delete(orderId);
    }
  };
  // Failing costs one refused start per order, here or in the sweep, nothing else.
  const noted = (err: unknown) => logger.debug({ err }, 'marking failed');
  const keepingUp = setInterval(() => {
    marks.write().catch(noted);
    dropSwept().catch(noted);
  }, MARK_EVERY_MS);
  return {
    start: (order) => {
      const queue = order.kind === 'order' ? waiting : cancellations;
      if (queue.size >= WAITING_MAX) return;
      inHand.add(order.id);
      queue.set(order.id, { order: onlyItsStart(order), since: performance.now() });
      beginNext();
    },
    inHand,
    isBehind: () => waiting.size >= BEHIND_FROM,
    queue: () => {
      const firsts = [cancellations, waiting].flatMap((queue) => queue.values().next().value ?? []);
      const now = performance.now();
      const since = Math.min(now, ...firsts.map((first) => first.since));
      return { waiting: cancellations.size + waiting.size, oldestMs: now - since };
    },
    stop: async () => {
      isStopped = true;
      clearInterval(keepingUp);
      await Promise.all(underWay);
      await marks.write().catch(noted);
    },
  };
}

/** Whoever dispatches has the whole order, of up to a hundred lines: thousands of those would wait here. */
function onlyItsStart(saga: UnstartedSaga): UnstartedSaga {
  const { id, customer, correlationId, traceparent, planVersion } = saga;
  const more = { ...(planVersion !== undefined && { planVersion }), ...(traceparent && { traceparent }) };
  const start = { id, customer, correlationId, ...more };
  return saga.kind === 'order' ? { ...start, kind: saga.kind } : { ...start, kind: saga.kind, reason: saga.reason };
}

/** @returns what starts a saga unless Temporal is away; undefined = not started by this */
function createStart({ client: current, policy, slots, logger }: DispatcherOptions) {
  let restUntil = 0;
  return async (order: UnstartedSaga): Promise<StartedSaga | undefined> => {
    const client = current();
    if (!client || performance.now() < restUntil) return undefined;
    try {
      const started = await startSaga(client, order, policy, { requestEagerStart: slots !== undefined });
      if (started) logger.info(startedLine(order, started), 'saga started');
      return started;
    } catch (err) {
      if (!(err instanceof UnknownPlan)) restUntil = performance.now() + REST_AFTER_FAILURE_MS; // a fault of this order's own delays no other
      logger.warn(
        { err, correlationId: order.correlationId, orderId: order.id },
        'could not start the saga; the sweep will',
      );
      return undefined;
    }
  };
}

/** @returns the waiting orders whose saga another process has started */
async function findSwept(db: Database, waiting: Waiting): Promise<string[]> {
  const before = performance.now() - SWEPT.afterMs;
  const old = [...waiting].slice(0, SWEPT.max).flatMap(([orderId, { since }]) => (since < before ? [orderId] : []));
  return old.length === 0 ? [] : listStarted(db, old);
}

/** Started orders that are still on the sweep's list. */
function keepMarks(db: Database, inHand: Set<string>) {
  let started: UnstartedSaga[] = [];
  return {
    add: (saga: UnstartedSaga) => void started.push(saga),
    write: async () => {
      const sagas = started;
      started = [];
      try {
        if (sagas.length > 0) await markStarted(db, sagas);
      } finally {
        for (const { id } of sagas) inHand.delete(id);
      }
    },
  };
}
