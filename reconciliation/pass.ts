/**
 * One pass of the reconciliation. Its tracks do not wait for each other, and a track that fails stops no other: recent charges,
 * from the newest back to where the last pass began; recent refunds, for charges of any age; disputes; orders that were named
 * by an event of the gateway's or an operator; and last what earlier passes left in hand. Each track also goes on with its scans
 * (scans.ts). What cannot be decided stays in hand until it can.
 */
import { leaseReconciliation } from '../domain/reconciliation-cursor.js';
import { takeUnfinished } from '../domain/reconciliation-findings.js';
import { count } from './comparison.js';
import { isolated, LEASE_MS, newPass, type Pass, type PassCounts, type Reconciler } from './pass-state.js';
import { settle } from './settlement.js';
import { chargesTrack } from './tracks/charges.js';
import { disputesTrack } from './tracks/disputes.js';
import { namedOrdersTrack } from './tracks/named-orders.js';
import { refundsTrack } from './tracks/refunds.js';

const UNFINISHED_MAX = 50;

/**
 * @param orderIds orders to look up besides, however old their charges are
 * @throws the first failure, after everything that could be settled was
 */
export async function reconcileOnce(deps: Reconciler, orderIds: string[] = []): Promise<PassCounts> {
  const counts: PassCounts = {
    leased: false,
    listed: 0,
    woken: 0,
    agreed: 0,
    waiting: 0,
    refunded: 0,
    cancelled: 0,
    reported: 0,
    known: 0,
  };
  const lease = { owner: deps.owner, leaseMs: LEASE_MS };
  const cursor = await leaseReconciliation(deps.db, lease);
  if (!cursor) return counts;
  counts.leased = true;
  const pass = newPass(deps, lease, cursor, counts);
  await Promise.all([chargesTrack(pass), refundsTrack(pass), disputesTrack(pass), namedOrdersTrack(pass, orderIds)]);
  // Last, so that what the tracks have settled is not looked at again.
  await isolated(pass, () => settleUnfinished(pass));
  if (pass.failures.length > 0) throw pass.failures[0];
  return counts;
}

/** What earlier passes could not decide, or did not come to the end of. */
async function settleUnfinished(pass: Pass): Promise<void> {
  for (const unfinished of await takeUnfinished(pass.deps.db, UNFINISHED_MAX)) {
    if (pass.settled.has(unfinished.reference)) continue;
    try {
      await count(pass, await settle(pass.deps, unfinished, pass.cursor.now), unfinished);
    } catch (err) {
      pass.failures.push(err);
    }
  }
}
