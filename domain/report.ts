/**
 * The report over a span of time: what became of the orders that were accepted in it, and what was compensated, decided, done and
 * found in it. Read in slices that each take an index, so that a year is only more of them.
 */
import { UNDOS } from '../contracts/plan.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { createdWithin } from './orders.js';
import { isProbe } from './probes.js';

/** From `fromMs` on, before `toMs`; ms since 1970. */
export type Span = { fromMs: number; toMs: number };

/** `reason` as of a cancellation, or null. `isUnwinding`: to be cancelled, and not so yet. */
export type OutcomeCount = {
  status: string;
  reason: string | null;
  isUnwinding: boolean;
  currency: string;
  count: number;
  amount: number;
};

/** An id is made by the clock of the process that accepts: one that runs ahead of ours is in its future. */
const CLOCKS_DIFFER_MS = 10 * 60_000;

/** @returns the span without the time in which there can be no order: before the first, and to come */
export async function withOrders(db: Database, { fromMs, toMs }: Span): Promise<Span> {
  const [first] = await db.$queryRaw<{ at: Date }[]>`SELECT created_at AS at FROM orders ORDER BY id LIMIT 1`;
  const now = Date.now() + CLOCKS_DIFFER_MS;
  const beganMs = (first?.at.getTime() ?? now) - CLOCKS_DIFFER_MS;
  return { fromMs: Math.max(fromMs, beganMs), toMs: Math.min(toMs, now) };
}

/** Without probes. */
export async function countOutcomes(db: Database, span: Span): Promise<OutcomeCount[]> {
  return db.$queryRaw`
    SELECT status, unwinding_reason AS reason, unwinding_reason IS NOT NULL AND status <> 'CANCELLED' AS "isUnwinding", currency,
      count(*)::int AS count, sum(total_amount)::float8 AS amount
    FROM orders o WHERE ${createdWithin(span)} AND NOT ${isProbe}
    GROUP BY 1, 2, 3, 4`;
}

/** An undo, or the whole: `cancelOrder` is the last act of an unwound saga. */
export type CompensationCount = { step: string; outcome: string; count: number; attemptsMax: number };

/** Of entries with these ids. */
export type Ids = { fromId: bigint; toId: bigint };

export async function countCompensations(
  db: Database,
  { fromId, toId }: Ids,
  { fromMs, toMs }: Span,
): Promise<CompensationCount[]> {
  return db.$queryRaw`
    SELECT l.step, l.outcome, count(*)::int AS count, max(l.attempts)::int AS "attemptsMax"
    FROM saga_log l JOIN orders o ON o.id = l.order_id
    WHERE l.id >= ${fromId}::bigint AND l.id < ${toId}::bigint AND l.step = ANY(${[...UNDOS]})
      AND l.at >= ${iso(fromMs)}::timestamptz AND l.at < ${iso(toMs)}::timestamptz AND NOT ${isProbe}
    GROUP BY 1, 2`;
}

/** An operator's decision on a saga or a dead letter, by whichever way it came. */
export type DecisionEntry = { at: Date; orderId: string; what: string; by: string; detail: string | null };

export async function listDecisions(
  db: Database,
  { fromId, toId }: Ids,
  { fromMs, toMs }: Span,
): Promise<DecisionEntry[]> {
  return db.$queryRaw`
    SELECT at, order_id AS "orderId", CASE step WHEN 'resolve' THEN outcome ELSE step || ': ' || outcome END AS what, actor AS by, detail
    FROM saga_log
    WHERE id >= ${fromId}::bigint AND id < ${toId}::bigint AND actor IS NOT NULL
      AND (step IN ('resolve', 'dead-letter', 'reconciliation') OR outcome = 'skipped')
      AND at >= ${iso(fromMs)}::timestamptz AND at < ${iso(toMs)}::timestamptz
    ORDER BY id`;
}

/** What was done with an operator's rights, as the audit trail has it. */
export type ActEntry = {
  id: bigint;
  at: Date;
  route: string;
  by: string | null;
  resource: string | null;
  reason: string | null;
};

/** @returns oldest first */
export async function listActs(
  db: Database,
  { fromId, toId }: Ids,
  { fromMs, toMs }: Span,
  limit: number,
): Promise<ActEntry[]> {
  return db.$queryRaw`
    SELECT id, at, route, subject AS by, resource, reason FROM audit_acts
    WHERE id >= ${fromId}::bigint AND id < ${toId}::bigint AND kind = 'act' AND at >= ${iso(fromMs)}::timestamptz AND at < ${iso(toMs)}::timestamptz
    ORDER BY id LIMIT ${limit}`;
}

export type FindingCount = { kind: string; action: string; currency: string; count: number; amount: number };

/** Differences of the two ledgers that were found in the span, as they stand now. */
export async function countFindingsOf(db: Database, { fromMs, toMs }: Span): Promise<FindingCount[]> {
  return db.$queryRaw`
    SELECT kind, action, currency, count(*)::int AS count, sum(amount)::float8 AS amount FROM reconciliation_findings
    WHERE at >= ${iso(fromMs)}::timestamptz AND at < ${iso(toMs)}::timestamptz GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;
}

/** Ids are given out in time, and `at` is when their transaction began: they differ by less than a transaction may last. */
const TRANSACTION_MAX_MS = 120_000;

/** @returns the ids between which all entries of the span are: of the sagas' log, or of the acts, which are kept for ever, too */
export async function idsOf(db: Database, table: 'saga_log' | 'audit_acts', { fromMs, toMs }: Span): Promise<Ids> {
  const entries = Prisma.raw(table);
  const [row] = await db.$queryRaw<{ first: bigint; last: bigint }[]>`
    SELECT coalesce(min(id), 1) AS first, coalesce(max(id), 0) + 1 AS last FROM ${entries}`;
  const { first = 1n, last = 1n } = row ?? {};
  const find = (ms: number) => firstIdAt(db, entries, ms, { fromId: first, toId: last });
  return { fromId: await find(fromMs - TRANSACTION_MAX_MS), toId: await find(toMs + TRANSACTION_MAX_MS) };
}

/** Halves the ids until it has the first entry of that time: some 30 looks at the key. */
async function firstIdAt(db: Database, entries: Prisma.Sql, ms: number, { fromId, toId }: Ids): Promise<bigint> {
  let [low, high] = [fromId, toId];
  while (low < high) {
    const middle = (low + high) / 2n;
    const [entry] = await db.$queryRaw<
      { at: Date }[]
    >`SELECT at FROM ${entries} WHERE id >= ${middle}::bigint ORDER BY id LIMIT 1`;
    if (entry && entry.at.getTime() < ms) low = middle + 1n;
    else high = middle;
  }
  return low;
}

const iso = (ms: number): string => new Date(ms).toISOString();
