/**
 * One pass of the reconciliation. Four ways to a difference: recent charges, from the newest back to where the last pass
 * began; recent refunds, for charges of any age; our own recent charges that the gateway did not list; and a slow sweep
 * over a whole day, which finds what changed behind a charge's back. What cannot be decided stays in hand until it can.
 */
import pLimit from 'p-limit';
import { listKnownRefunds, listUnseenCharges, openFinding, readOrdersMoney } from '../domain/reconciliation.js';
import {
  advanceReconciliation,
  type Lease,
  leaseReconciliation,
  type Position,
  type ReconciliationCursor,
} from '../domain/reconciliation-cursor.js';
import { takeUnfinished } from '../domain/reconciliation-findings.js';
import type { LedgerCharge, PageRequest } from '../gateways/payments.js';
import { moneyOf, type Outcome, report, type SettlementDependencies, settle } from './settlement.js';
import { judge } from './verdicts.js';

/** A reconciler that dies or is paused delays the others by this much: with the schedule's 20 s, a pass within 60 s. */
const LEASE_MS = 30_000;
/**
 * How far each pass reads behind the newest charge of the one before: for a list that is late, or whose entries change
 * while it is read. A minute is what Stripe grants its search; at 10 orders/s it is 6 pages per pass.
 */
const OVERLAP_MS = 60_000;
/** The gateway forgets idempotency keys after 24 h: what happens to a charge by accident has happened by then. */
const SWEEP_WINDOW_MS = 26 * 3_600_000;
const SWEEP_EVERY_MS = 3_600_000;
/** Per pass, so that a sweep never delays a pass: 300 charges, or 54,000 an hour. */
const SWEEP_PAGES_MAX = 3;
const UNFINISHED_MAX = 50;
const UNSEEN_MAX = 20;
/** Ours by a moment, the gateway's before: a charge recorded at the very beginning of a range was made before it. */
const RECORDING_MS = 10_000;
/** Differences settled at a time; they are rare, and the gateway has a rate limit. */
const PARALLEL_MAX = 4;
export type Reconciler = SettlementDependencies & {
  /** This process, for the lease. */
  owner: string;
  /** Wakes an order's saga. @returns whether it did */
  wake?: (orderId: string) => Promise<boolean>;
};

/** `leased` is false when another process is at it. `listed` charges were looked at, the other counts say what came of them. */
export type Counts = { leased: boolean; listed: number; woken: number } & Record<Exclude<Outcome, 'wake'>, number>;

type Pass = {
  deps: Reconciler;
  lease: Lease;
  cursor: ReconciliationCursor;
  counts: Counts;
  /** The next pass reads from here: what is younger and undecided comes again by itself. */
  comesAgainFrom: Date;
  /** By reference: listed in this pass. */
  seen: Set<string>;
  /** By reference: settled in this pass, or tried to. */
  settled: Set<string>;
  failures: unknown[];
};

/**
 * @param orderIds orders to look up besides, however old their charges are
 * @throws the first failure, after everything that could be settled was
 */
export async function reconcileOnce(deps: Reconciler, orderIds: string[] = []): Promise<Counts> {
  const counts: Counts = {
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
  const comesAgainFrom = cursor.charges.from;
  const pass: Pass = { deps, lease, cursor, counts, comesAgainFrom, seen: new Set(), settled: new Set(), failures: [] };

  await readCharges(pass);
  await readRefunds(pass);
  for (const orderId of orderIds) await examine(pass, await deps.gateway.findCharges(orderId));
  await finish(pass);
  if (cursor.sweepDue || cursor.sweepSince) await sweep(pass).catch((err: unknown) => beginSweepAnew(pass, err));
  if (pass.failures.length > 0) throw pass.failures[0];
  return counts;
}

const before = (time: Date, ms: number): Date => new Date(time.getTime() - ms);

/** Keeps the lease through a long pass. @throws if another process has it now, which goes on from the kept cursor */
async function advance(pass: Pass, to?: Parameters<typeof advanceReconciliation>[2]): Promise<void> {
  if (!(await advanceReconciliation(pass.deps.db, pass.lease, to)))
    throw new Error('another process has taken over the reconciliation');
}

async function readCharges(pass: Pass): Promise<void> {
  const { cursor } = pass;
  let next = cursor.charges;
  let after: string | undefined;
  do {
    const page = await pass.deps.gateway.listCharges(pageAt(cursor.charges.from, after));
    // Newest first, so the first page says where the next pass will begin.
    if (after === undefined) next = nextPosition(cursor.charges, page.items[0], cursor.now);
    pass.comesAgainFrom = next.from;
    await examine(pass, page.items);
    after = page.after;
    if (after !== undefined) await advance(pass);
  } while (after !== undefined);
  // By our clock; the gateway's may be ahead of it.
  const from = Math.min(cursor.charges.from.getTime() + RECORDING_MS, before(cursor.now, OVERLAP_MS).getTime());
  await examineUnseen(pass, { from: new Date(from), until: cursor.now });
  await advance(pass, { charges: next });
}

/**
 * The next pass begins an overlap behind the newest. While nothing new comes, the overlap is used up as time goes by, so
 * that a quiet hour does not read its last busy minutes again and again; only the time between two looks of ours is
 * measured, so no two clocks are compared.
 */
function nextPosition(last: Position, first: { createdAt: Date } | undefined, now: Date): Position {
  const hasMoved = first !== undefined && first.createdAt > last.newest;
  const newest = hasMoved ? first.createdAt : last.newest;
  const movedAt = hasMoved ? now : last.movedAt;
  const quietMs = Math.max(0, now.getTime() - movedAt.getTime());
  const from = before(newest, Math.max(0, OVERLAP_MS - quietMs));
  return { newest, movedAt, from: from > last.from ? from : last.from };
}

const pageAt = (since: Date, after: string | undefined): PageRequest => ({
  since,
  ...(after !== undefined && { after }),
});

/** A refund may concern a charge of any age: somebody pressed a button in the gateway's dashboard. */
async function readRefunds(pass: Pass): Promise<void> {
  const { cursor } = pass;
  let next = cursor.refunds;
  let after: string | undefined;
  do {
    const page = await pass.deps.gateway.listRefunds(pageAt(cursor.refunds.from, after));
    if (after === undefined) next = nextPosition(cursor.refunds, page.items[0], cursor.now);
    await examineRefunded(pass, new Set(page.items.map((refund) => refund.chargeReference)));
    after = page.after;
    if (after !== undefined) await advance(pass);
  } while (after !== undefined);
  await advance(pass, { refunds: next });
}

async function examineRefunded(pass: Pass, listed: Set<string>): Promise<void> {
  const { db, gateway } = pass.deps;
  const unseen = [...listed].filter((reference) => !pass.seen.has(reference));
  const known = unseen.length > 0 ? await listKnownRefunds(db, unseen) : new Set();
  for (const reference of unseen) {
    const charge = known.has(reference) ? null : await gateway.readCharge(reference);
    if (charge) await examine(pass, [charge]);
  }
}

/** Everything of a day once an hour, a few pages per pass. */
async function sweep(pass: Pass): Promise<void> {
  const since = pass.cursor.sweepSince ?? before(pass.cursor.now, SWEEP_WINDOW_MS);
  let after = pass.cursor.sweepAfter ?? undefined;
  for (let pages = 0; pages < SWEEP_PAGES_MAX; pages++) {
    const { items, after: next } = await pass.deps.gateway.listCharges(pageAt(since, after));
    await examine(pass, items);
    const [newest, oldest] = [items[0], items.at(-1)];
    if (newest && oldest)
      await examineUnseen(pass, { from: before(oldest.createdAt, -RECORDING_MS), until: newest.createdAt });
    after = next;
    if (next === undefined) return advance(pass, { sweep: { since: null, after: null, dueInMs: SWEEP_EVERY_MS } });
    await advance(pass, { sweep: { since, after: next } });
  }
}

/** The charge at which it was to go on may be gone; a sweep that can never go on would be worse than one more from the start. */
async function beginSweepAnew(pass: Pass, err: unknown): Promise<void> {
  pass.failures.push(err);
  await advance(pass, { sweep: { since: null, after: null } });
}

/** Compares charges with their orders; whatever does not agree at first sight is looked at again and settled. */
async function examine(pass: Pass, charges: LedgerCharge[]): Promise<void> {
  const { deps, counts, cursor } = pass;
  for (const { reference } of charges) pass.seen.add(reference);
  counts.listed += charges.length;
  const orders = await readOrdersMoney(deps.db, [...new Set(charges.flatMap(({ orderId }) => orderId ?? []))]);
  const limit = pLimit(PARALLEL_MAX);
  await Promise.all(
    charges.map((charge) => {
      const { orderId } = charge;
      if (orderId === null) return undefined;
      const verdict = judge(charge, orders.get(orderId.toLowerCase()), cursor.now);
      if (verdict.do === 'nothing') counts.agreed++;
      else if (verdict.do === 'wait' && !verdict.wake && charge.createdAt >= pass.comesAgainFrom) counts.waiting++;
      else return limit(() => settleOne(pass, { ...charge, orderId }));
      return undefined;
    }),
  );
}

/** One charge's trouble is not the others'. What could not even be written down fails the pass, and comes again with it. */
async function settleOne(pass: Pass, charge: LedgerCharge & { orderId: string }): Promise<void> {
  const { deps, cursor, failures } = pass;
  pass.settled.add(charge.reference);
  try {
    await count(pass, await settle(deps, charge, cursor.now), charge.orderId);
  } catch (err) {
    failures.push(err);
    if (charge.createdAt < pass.comesAgainFrom)
      await openFinding(deps.db, 'UNDECIDED', 'waiting', { ...charge, ...moneyOf(charge) });
  }
}

async function count(pass: Pass, outcome: Outcome, orderId: string): Promise<void> {
  if (outcome === 'wake' && (await pass.deps.wake?.(orderId))) pass.counts.woken++;
  pass.counts[outcome === 'wake' ? 'waiting' : outcome]++;
}

/** Charges of confirmed orders that no list has shown: at the edge of a range, or gone. */
async function examineUnseen(pass: Pass, between: { from: Date; until: Date }): Promise<void> {
  const { deps, seen } = pass;
  for (const unseen of await listUnseenCharges(deps.db, between, [...seen], UNSEEN_MAX)) {
    const charge = await deps.gateway.readCharge(unseen.reference);
    if (charge) await examine(pass, [charge]);
    else await count(pass, await report(deps, 'MISSING_CHARGE', unseen, GONE), unseen.orderId);
  }
}

const GONE = 'The order is confirmed, but the gateway has no such charge';

/** What earlier passes could not decide, or did not come to the end of. */
async function finish(pass: Pass): Promise<void> {
  for (const unfinished of await takeUnfinished(pass.deps.db, UNFINISHED_MAX)) {
    if (pass.settled.has(unfinished.reference)) continue;
    try {
      await count(pass, await settle(pass.deps, unfinished, pass.cursor.now), unfinished.orderId);
    } catch (err) {
      pass.failures.push(err);
    }
  }
}
