/**
 * The reconciler: the loop of passes (pass.ts) in which the gateway's own ledger is compared with ours, and every difference settled. It watches the sagas, so it
 * depends on nothing that they depend on but the database: no Temporal schedule, no webhook. Any number of processes may
 * run it; a lease has one of them do the work, and saves work only: what is done is safe to do twice (settlement.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { RECONCILIATION_CHANNEL } from '../contracts/ids.js';
import type { Database } from '../domain/database.js';
import { readStanding } from '../domain/installation.js';
import { retractFindings } from '../domain/reconciliation.js';
import { releaseReconciliation } from '../domain/reconciliation-cursor.js';
import type { Gateway } from '../gateways/payments.js';
import type { DatabaseUrl } from '../runtime/database-sessions.js';
import { listen } from '../runtime/listener.js';
import { startLoop } from '../runtime/loop.js';
import { reconcileOnce } from './pass.js';
import type { PassCounts, Reconciler } from './pass-state.js';
import type { ScanSettings } from './scans.js';
import { report } from './settlement.js';
import { createWaker } from './waker.js';

export type ReconcilerSettings = {
  db: Database;
  databaseUrl: DatabaseUrl;
  gateway: Gateway;
  everyMs: number;
  scans?: ScanSettings;
  actionsPerHourMax?: number;
  /** Wakes the saga of an order whose charge it does not seem to know of. May fail: the saga wakes by itself, later. */
  wake?: (orderId: string) => Promise<void>;
  logger: Logger;
};

/** Orders named while a pass was running, at most: beyond that the next scheduled passes find what is recent anyhow. */
const NAMED_MAX = 1_000;

/** @returns how to stop it: the pass that is running is finished first */
export function startReconciler(settings: ReconcilerSettings): () => Promise<void> {
  const { db, databaseUrl, gateway, everyMs, scans, actionsPerHourMax, wake, logger } = settings;
  const limits = { ...(scans && { scans }), ...(actionsPerHourMax !== undefined && { actionsPerHourMax }) };
  const waker = wake && { wake: createWaker(wake, logger) };
  const reconciler = { db, gateway, ...limits, logger, owner: randomUUID(), ...waker };
  const named = new Set<string>();
  // Never slower than its schedule, not even while it fails: it is what finds the others' failures.
  const loop = startLoop({ name: 'reconciliation', everyMs, backoffMaxMs: everyMs, logger }, async () => {
    const installationId = await readIfOurs(reconciler);
    if (installationId === null) return false;
    const orderIds = [...named];
    named.clear();
    const counts = await reconcileOnce({ ...reconciler, installationId }, orderIds);
    if (hasNews(counts)) logger.info(counts, 'reconciled');
    return false;
  });
  const stopListening = listen(
    databaseUrl,
    RECONCILIATION_CHANNEL,
    (orderId) => {
      if (orderId && named.size < NAMED_MAX) named.add(orderId);
      loop.wake();
    },
    logger,
  );
  return async () => {
    await stopListening();
    await loop.stop();
    await releaseReconciliation(db, reconciler.owner);
  };
}

/** @returns null, and opens a finding, while the account does not know this database: what a pass found would be another's affairs */
async function readIfOurs(deps: Pick<Reconciler, 'db' | 'logger'>): Promise<string | null> {
  const { id, marker, heldSince, heldBecause } = await readStanding(deps.db);
  const reference = marker ?? 'account';
  if (heldSince === null) {
    await retractFindings(deps.db, reference, []);
    return id;
  }
  await report(deps, 'ACCOUNT_HELD', { reference, orderId: '', amount: 0, currency: '' }, heldBecause ?? '');
  return null;
}

const hasNews = ({ refunded, cancelled, reported, woken }: PassCounts): boolean =>
  refunded + cancelled + reported + woken > 0;
