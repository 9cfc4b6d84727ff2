/**
 * The runner: carries operations out. Any number of processes may run it; a lease has one of them do the work, and its name in an
 * operation's row keeps whoever had it before from beginning or concluding anything. One that dies leaves items begun; its successor
 * sends them again, under the same ids, so that what was taken is not taken twice.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  followItems,
  listOperationsToRun,
  OPERATIONS_LEASE,
  settleOperations,
  takeOperations,
} from '../../domain/operations/carrying-out.js';
import { giveUpLease, takeLease } from '../../domain/leases.js';
import { startLoop } from '../../runtime/loop.js';
import type { Logger } from 'pino';
import { operationItems } from '../metrics.js';
import { type Acting, actOnItem, NotNow } from './acting.js';
import { type Runner, runOperation } from './waves.js';

/** What a dead process holds up is gone on with after it. */
const LEASE_MS = 10_000;
/** Well before it is over, so that a slow statement loses nothing. */
const RENEW_EVERY_MS = 3_000;
/** An operator waits, and looks on. */
const EVERY_MS = 1_000;
/** What waits takes the gateway minutes, or days. */
const FOLLOW_EVERY_MS = 5_000;
/** For what is under way when the process is to end: what is not done by then, the next process sends again. */
const STOP_LIMIT_MS = 3_000;

export type OperationsSettings = Acting & {
  logger: Logger;
  /** Of a test, in place of deciding. */
  act?: Runner['act'];
  leaseMs?: number;
};

/** @returns how to stop it */
export function startOperations(settings: OperationsSettings): () => Promise<void> {
  const { db, logger, leaseMs = LEASE_MS } = settings;
  const runner = randomUUID();
  const stopping = new AbortController();
  const act: Runner['act'] = settings.act ?? ((operation, item) => actOnItem(settings, operation, item, runner));
  const concluded: Runner['concluded'] = (state) => operationItems.inc({ state });
  const running = { db, runner, act, stopping: stopping.signal, concluded, logger };
  const inHand = new Map<string, Promise<void>>();
  const holdsLease = createHolder(db, runner, leaseMs);
  let followedAt = Number.NEGATIVE_INFINITY;
  const loop = startLoop({ name: 'operations', everyMs: EVERY_MS, backoffMaxMs: 5 * EVERY_MS, logger }, async () => {
    if (!(await holdsLease())) return false;
    await takeOperations(db, runner);
    for (const operation of await listOperationsToRun(db, runner)) {
      const { id } = operation;
      if (inHand.has(id) || stopping.signal.aborted) continue;
      const ended = runOperation(running, operation)
        .catch((err: unknown) => {
          if (err instanceof NotNow) logger.debug({ err, operationId: id }, 'an operation waits');
          else logger.warn({ err, operationId: id }, 'an operation could not go on; it is tried again');
        })
        .finally(() => inHand.delete(id));
      inHand.set(id, ended);
    }
    if (performance.now() - followedAt < FOLLOW_EVERY_MS) return false;
    await followItems(db);
    await settleOperations(db);
    followedAt = performance.now();
    return false;
  });
  return async () => {
    stopping.abort();
    await loop.stop();
    await Promise.race([Promise.all(inHand.values()), pause(STOP_LIMIT_MS, undefined, { ref: false })]);
    await giveUpLease(db, OPERATIONS_LEASE, runner).catch((err: unknown) =>
      logger.debug({ err }, 'the lease runs out by itself'),
    );
  };
}

/** A write every few seconds is enough to hold it, and to find it free. */
function createHolder(db: Acting['db'], owner: string, leaseMs: number): () => Promise<boolean> {
  let isHeld = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  return async () => {
    if (performance.now() - askedAt < Math.min(RENEW_EVERY_MS, leaseMs / 3)) return isHeld;
    isHeld = await takeLease(db, OPERATIONS_LEASE, { owner, leaseMs });
    askedAt = performance.now();
    return isHeld;
  };
}
