/** The state of one pass: what its tracks share, from the lease that it holds to what came of each charge so far. */
import { advanceReconciliation, type Lease, type ReconciliationCursor } from '../domain/reconciliation-cursor.js';
import { type Scanned, SCAN_DEFAULTS, type ScanSettings, scansOf } from './scans.js';
import type { Outcome, SettlementDependencies } from './settlement.js';
import type { WakeOrder } from './waker.js';

/** A reconciler that dies or is paused delays the others by this much: with the schedule's 20 s, a pass within 60 s. */
export const LEASE_MS = 30_000;
/** Differences settled at a time; they are rare, and the gateway has a rate limit. */
export const PARALLEL_MAX = 4;

export type Reconciler = SettlementDependencies & {
  /** This process, for the lease. */
  owner: string;
  scans?: ScanSettings;
  wake?: WakeOrder;
};

/** `leased` is false when another process is at it. `listed` charges were looked at, the other counts say what came of them. */
export type PassCounts = { leased: boolean; listed: number; woken: number } & Record<Exclude<Outcome, 'wake'>, number>;

export type Pass = {
  deps: Reconciler;
  lease: Lease;
  cursor: ReconciliationCursor;
  counts: PassCounts;
  /** The next pass reads from here: what is younger and undecided comes again by itself. */
  comesAgainFrom: Date;
  /** By reference: listed in this pass. */
  seen: Set<string>;
  /** By reference: a refund of it has been seen that waits for its customer. */
  refundsWait: Set<string>;
  /** By reference: settled in this pass, or tried to. */
  settled: Set<string>;
  failures: unknown[];
};

export const newPass = (deps: Reconciler, lease: Lease, cursor: ReconciliationCursor, counts: PassCounts): Pass => ({
  deps,
  lease,
  cursor,
  counts,
  comesAgainFrom: cursor.charges.from,
  seen: new Set(),
  refundsWait: new Set(),
  settled: new Set(),
  failures: [],
});

/** A part that fails is reported by the pass, and keeps no other part from its work. */
export async function isolated(pass: Pass, part: () => Promise<void>): Promise<void> {
  try {
    await part();
  } catch (err) {
    pass.failures.push(err);
  }
}

/** The gateway's time; ours while the gateway has never answered this process. */
export const gatewayNow = ({ deps, cursor }: Pass): Date => new Date(deps.gateway.nowMs() ?? cursor.now.getTime());

/** Keeps the lease through a long pass. @throws if another process has it now, which goes on from the kept cursor */
export async function advance(pass: Pass, to?: Parameters<typeof advanceReconciliation>[2]): Promise<void> {
  if (!(await advanceReconciliation(pass.deps.db, pass.lease, to)))
    throw new Error('another process has taken over the reconciliation');
}

export const scansOfPass = ({ deps }: Pass): Record<'charges' | 'refunds' | 'disputes', Scanned[]> =>
  scansOf(deps.scans ?? SCAN_DEFAULTS);
