/**
 * One pass of the reconciliation. Its tracks do not wait for each other, and one that is ill stops no other: recent charges,
 * from the newest back to where the last pass began; recent refunds, for charges of any age; disputes; orders that somebody
 * named; what is in hand. Each track also goes on with its scans (scans.ts). What cannot be decided stays in hand until it can.
 */
import pLimit from 'p-limit';
import {
  type ChargeName,
  listInHand,
  listNewsOfRefunds,
  listOpenReferences,
  listRecorded,
  listUnseenCharges,
  type OrderMoney,
  openFinding,
  readOrdersMoney,
  readRecordedCharge,
} from '../domain/reconciliation.js';
import {
  advanceReconciliation,
  type Lease,
  leaseReconciliation,
  type Position,
  type ReconciliationCursor,
} from '../domain/reconciliation-cursor.js';
import { takeUnfinished } from '../domain/reconciliation-findings.js';
import { openGap } from '../domain/reconciliation-scans.js';
import type { LedgerCharge, LedgerRefund, Page, PageRequest } from '../gateways/payments.js';
import { CLOCK_SKEW_MS, readOn, SCAN_DEFAULTS, type Scanned, type ScanSettings, scansOf } from './scans.js';
import { moneyOf, type Outcome, readWaiting, report, type SettlementDependencies, settle } from './settlement.js';
import { judge } from './classification.js';

/** A reconciler that dies or is paused delays the others by this much: with the schedule's 20 s, a pass within 60 s. */
const LEASE_MS = 30_000;
/**
 * How far each pass reads behind the newest charge of the one before: for a list that is late, or whose entries change
 * while it is read. A minute is what Stripe grants its search; at 10 orders/s it is 6 pages per pass.
 */
const OVERLAP_MS = 60_000;
/** Of the newest entries, per pass; what is more becomes a gap, which is read on beside the next passes. */
const PAGES_MAX = 50;
const UNFINISHED_MAX = 50;
const UNSEEN_MAX = 20;
/** Ours by a moment, the gateway's before: a charge recorded at the very beginning of a range was made before it. */
const RECORDING_MS = 10_000;
/** Differences settled at a time; they are rare, and the gateway has a rate limit. */
const PARALLEL_MAX = 4;

export type Reconciler = SettlementDependencies & {
  /** This process, for the lease. */
  owner: string;
  scans?: ScanSettings;
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
  /** By reference: a refund of it has been seen that waits for its customer. */
  refundsWait: Set<string>;
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
  const pass: Pass = {
    deps,
    lease,
    cursor,
    counts,
    comesAgainFrom,
    seen: new Set(),
    refundsWait: new Set(),
    settled: new Set(),
    failures: [],
  };
  await Promise.all([chargesTrack(pass), refundsTrack(pass), disputesTrack(pass), namedTrack(pass, orderIds)]);
  // Last, so that what the tracks have settled is not looked at again.
  await isolated(pass, () => finish(pass));
  if (pass.failures.length > 0) throw pass.failures[0];
  return counts;
}

/** One part's trouble is the pass's to tell, and no other part's. */
async function isolated(pass: Pass, part: () => Promise<void>): Promise<void> {
  try {
    await part();
  } catch (err) {
    pass.failures.push(err);
  }
}

const before = (time: Date, ms: number): Date => new Date(time.getTime() - ms);

/** The gateway's time; ours where it was never heard. */
const gatewayNow = ({ deps, cursor }: Pass): Date => new Date(deps.gateway.nowMs() ?? cursor.now.getTime());

/** Keeps the lease through a long pass. @throws if another process has it now, which goes on from the kept cursor */
async function advance(pass: Pass, to?: Parameters<typeof advanceReconciliation>[2]): Promise<void> {
  if (!(await advanceReconciliation(pass.deps.db, pass.lease, to)))
    throw new Error('another process has taken over the reconciliation');
}

async function chargesTrack(pass: Pass): Promise<void> {
  const { gateway } = pass.deps;
  const list = (request: PageRequest) => gateway.listCharges(request);
  await isolated(pass, () =>
    readNewest(pass, 'charges', list, async (items, next) => {
      pass.comesAgainFrom = next.from;
      await examine(pass, items);
    }),
  );
  // By our clock; the gateway's may be ahead of it.
  const { cursor } = pass;
  const from = Math.min(cursor.charges.from.getTime() + RECORDING_MS, before(cursor.now, OVERLAP_MS).getTime());
  await isolated(pass, () => examineUnseen(pass, { from: new Date(from), until: cursor.now }));
  for (const scan of scansOfPass(pass).charges)
    await isolated(pass, () =>
      readOn(pass.deps.db, scan, gatewayNow(pass), list, (items) => examineOld(pass, scan, items)),
    );
}

const scansOfPass = ({ deps }: Pass): Record<'charges' | 'refunds' | 'disputes', Scanned[]> =>
  scansOf(deps.scans ?? SCAN_DEFAULTS);

/** What a whole day's scan shows is also held against what should be in it. */
async function examineOld(pass: Pass, { name }: Scanned, items: LedgerCharge[]): Promise<void> {
  await examine(pass, items);
  await advance(pass);
  const [newest, oldest] = [items[0], items.at(-1)];
  if (name === 'charges-day' && newest && oldest)
    await examineUnseen(pass, { from: before(oldest.createdAt, -RECORDING_MS), until: newest.createdAt });
}

/**
 * Reads a list from its newest entry back to where the last pass began. What it cannot read to the end becomes a gap, and
 * the next pass begins at its own newest all the same.
 */
async function readNewest<T extends { createdAt: Date }>(
  pass: Pass,
  name: 'charges' | 'refunds',
  list: (request: PageRequest) => Promise<Page<T>>,
  examinePage: (items: T[], next: Position) => Promise<void>,
): Promise<void> {
  const position = pass.cursor[name];
  let next = position;
  let after: string | undefined;
  const breakOff = async (at: string) => {
    await openGap(pass.deps.db, `${name}-gap`, position.from, at);
    await advance(pass, { [name]: next });
  };
  for (let pages = 0; ; pages++) {
    if (after !== undefined && pages >= PAGES_MAX) return breakOff(after);
    let page: Page<T>;
    try {
      page = await list({ since: position.from, ...(after !== undefined && { after }) });
    } catch (err) {
      if (after !== undefined) await breakOff(after);
      throw err;
    }
    // Newest first, so the first page says where the next pass will begin.
    if (after === undefined) next = nextPosition(position, page.items[0], pass.cursor.now, gatewayNow(pass));
    await examinePage(page.items, next);
    after = page.after;
    if (after === undefined) return advance(pass, { [name]: next });
    await advance(pass);
  }
}

/**
 * The next pass begins an overlap behind the newest. While nothing new comes, the overlap is used up as time goes by, so
 * that a quiet hour does not read its last busy minutes again and again; only the time between two looks of ours is
 * measured, so no two clocks are compared.
 */
function nextPosition(last: Position, first: { createdAt: Date } | undefined, now: Date, there: Date): Position {
  // An entry from the future, as a test clock dates it, must not have the next passes begin after all others.
  const latest = new Date(there.getTime() + CLOCK_SKEW_MS);
  const seen = first && (first.createdAt > latest ? latest : first.createdAt);
  const hasMoved = seen !== undefined && seen > last.newest;
  const newest = hasMoved ? seen : last.newest;
  const movedAt = hasMoved ? now : last.movedAt;
  const quietMs = Math.max(0, now.getTime() - movedAt.getTime());
  const from = before(newest, Math.max(0, OVERLAP_MS - quietMs));
  return { newest, movedAt, from: from > last.from ? from : last.from };
}

/** A refund may concern a charge of any age: somebody pressed a button in the gateway's dashboard, or a bank sent it back. */
async function refundsTrack(pass: Pass): Promise<void> {
  const { db, gateway } = pass.deps;
  const list = (request: PageRequest) => gateway.listRefunds(request);
  await isolated(pass, () => readNewest(pass, 'refunds', list, (items) => examineRefunds(pass, items)));
  for (const scan of scansOfPass(pass).refunds) {
    // Recent news was told above; what is scanned again is looked at for what has ended badly since.
    const isGap = scan.name === 'refunds-gap';
    await isolated(pass, () =>
      readOn(db, scan, gatewayNow(pass), list, async (items) => {
        if (isGap) return examineRefunds(pass, items);
        const open = await listOpenReferences(db, chargesOf(items));
        const ended = items.filter((refund) => !isAlive(refund) || open.has(refund.chargeReference));
        return examineRefunds(pass, ended, open);
      }),
    );
  }
}

const isAlive = ({ status }: LedgerRefund): boolean => status === 'succeeded' || status === 'pending';

const chargesOf = (refunds: LedgerRefund[]): string[] => [...new Set(refunds.map((refund) => refund.chargeReference))];

/** @param open charges of which something is told, which may be so no more */
async function examineRefunds(pass: Pass, refunds: LedgerRefund[], open: Iterable<string> = []): Promise<void> {
  await advance(pass);
  const named = refunds.map((refund) => ({ ...refund, isAlive: isAlive(refund) }));
  const news = await listNewsOfRefunds(pass.deps.db, named);
  const waiting = new Set(chargesOf(refunds.filter(({ status }) => status === 'requires_action')));
  for (const reference of news) if (waiting.has(reference)) pass.refundsWait.add(reference);
  await examineAll(pass, [...new Set([...news, ...open])]);
}

async function disputesTrack(pass: Pass): Promise<void> {
  const { db, gateway } = pass.deps;
  for (const scan of scansOfPass(pass).disputes)
    await isolated(pass, () =>
      readOn(db, scan, gatewayNow(pass), gateway.listDisputes, async (items) => {
        await examineAll(pass, await listRecorded(db, [...new Set(items.map((dispute) => dispute.chargeReference))]));
      }),
    );
}

async function examineAll(pass: Pass, references: string[]): Promise<void> {
  const limit = pLimit(PARALLEL_MAX);
  await Promise.all(
    references.map((reference) =>
      limit(async () => {
        // Of a charge that was seen, only its refund says that it waits.
        const isDone = pass.seen.has(reference) && !pass.refundsWait.has(reference);
        const charge = isDone ? null : await pass.deps.gateway.readCharge(reference);
        if (charge) await examine(pass, [charge]);
      }),
    ),
  );
}

/** The search may be late, and the recorded charge of any age: both are asked. */
async function namedTrack(pass: Pass, orderIds: string[]): Promise<void> {
  const { db, gateway } = pass.deps;
  const limit = pLimit(PARALLEL_MAX);
  const lookUp = async (orderId: string) => {
    await isolated(pass, async () => examineNamed(pass, await gateway.findCharges(orderId)));
    await isolated(pass, async () => {
      const recorded = await readRecordedCharge(db, orderId);
      const charge = recorded === null ? null : await gateway.readCharge(recorded);
      if (charge) await examineNamed(pass, [charge]);
    });
  };
  await Promise.all(orderIds.map((orderId) => limit(() => lookUp(orderId))));
}

/** Somebody has said that something happened to them: it may have happened to a refund. */
async function examineNamed(pass: Pass, charges: LedgerCharge[]): Promise<void> {
  const orders = await readOrdersMoney(pass.deps.db, charges);
  for (const charge of charges)
    if (await readWaiting(pass.deps, charge, orders.get(charge.reference))) pass.refundsWait.add(charge.reference);
  await examine(pass, charges);
}

/** Compares charges with their orders; whatever does not agree at first sight is looked at again and settled. */
async function examine(pass: Pass, charges: LedgerCharge[]): Promise<void> {
  const { deps, counts, cursor } = pass;
  for (const { reference } of charges) pass.seen.add(reference);
  counts.listed += charges.length;
  const [orders, open] = await Promise.all([
    readOrdersMoney(deps.db, charges),
    listOpenReferences(
      deps.db,
      charges.map(({ reference }) => reference),
    ),
  ]);
  const limit = pLimit(PARALLEL_MAX);
  await Promise.all(
    charges.map((charge) => {
      const verdict = judge(charge, orders.get(charge.reference), cursor.now, deps);
      const hasNews = open.has(charge.reference) || pass.refundsWait.has(charge.reference);
      if (verdict.do === 'nothing' && !hasNews) counts.agreed++;
      else if (verdict.do === 'wait' && !verdict.wake && charge.createdAt >= pass.comesAgainFrom) counts.waiting++;
      else return limit(() => settleOne(pass, charge, orders.get(charge.reference)));
      return undefined;
    }),
  );
}

/** One charge's trouble is not the others'. What could not even be written down fails the pass, and comes again with it. */
async function settleOne(pass: Pass, charge: LedgerCharge, order: OrderMoney | undefined): Promise<void> {
  const { deps, cursor, failures } = pass;
  const orderId = order?.orderId ?? charge.orderId;
  if (pass.settled.has(charge.reference)) return; // another track is at it, and looks at everything again itself
  pass.settled.add(charge.reference);
  try {
    await count(pass, await settle(deps, charge, cursor.now), orderId);
  } catch (err) {
    failures.push(err);
    // What it is known as already is in hand; what is not would be forgotten with this pass.
    const isKnown = (await listInHand(deps.db, charge.reference)).length > 0;
    if (!isKnown && charge.createdAt < pass.comesAgainFrom)
      await openFinding(deps.db, 'UNDECIDED', 'waiting', {
        reference: charge.reference,
        orderId: orderId ?? '',
        ...moneyOf(charge, order),
      });
  }
}

async function count(pass: Pass, outcome: Outcome, orderId: string | null): Promise<void> {
  if (outcome === 'wake' && orderId !== null && (await pass.deps.wake?.(orderId))) pass.counts.woken++;
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
      const named: ChargeName = unfinished;
      await count(pass, await settle(pass.deps, named, pass.cursor.now), unfinished.orderId);
    } catch (err) {
      pass.failures.push(err);
    }
  }
}
