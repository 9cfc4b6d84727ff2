/** Operations as they are shown. Of one, all is read by one statement: its items' states add up to its total, whatever happens meanwhile. */
import {
  ITEM_STATES,
  type ItemCounts,
  type ItemState,
  type Operation,
  type OperationItem,
  type OperationState,
  PREVIEW_TTL_MINUTES,
} from '../../contracts/operations.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';

type Row = Pick<
  Operation,
  | 'id'
  | 'action'
  | 'state'
  | 'selection'
  | 'previewedBy'
  | 'startedBy'
  | 'reason'
  | 'canary'
  | 'ratePerSecond'
  | 'total'
  | 'amounts'
  | 'skipped'
  | 'abortedBy'
  | 'abortReason'
> &
  Record<'previewedAt', Date> &
  Record<'startedAt' | 'pausedAt' | 'endedAt', Date | null> & {
    pausedBy: string | null;
    pausedBecause: string | null;
    counts: Partial<ItemCounts> | null;
  };

const columns = Prisma.sql`
  o.id::text, o.action, o.state, o.selection, o.previewed_at AS "previewedAt", o.previewed_by AS "previewedBy",
  o.started_at AS "startedAt", o.started_by AS "startedBy", o.reason, o.canary, o.rate_per_second AS "ratePerSecond", o.total,
  o.amounts, o.skipped, o.paused_at AS "pausedAt", o.paused_by AS "pausedBy", o.paused_because AS "pausedBecause",
  o.aborted_by AS "abortedBy", o.abort_reason AS "abortReason", o.ended_at AS "endedAt",
  coalesce(o.settled_counts, (SELECT jsonb_object_agg(state, n) FROM (
    SELECT i.state, count(*) AS n FROM operation_items i WHERE i.operation_id = o.id GROUP BY 1) AS counted)) AS counts`;

export async function readOperation(db: Database, id: string): Promise<Operation | null> {
  const [row] = await db.$queryRaw<Row[]>`SELECT ${columns} FROM operations o WHERE o.id = ${id}::uuid`;
  return row ? toOperation(row) : null;
}

/** Where a page begins: after this one. */
export type OperationPlace = { previewedAt: string; id: string };

/** @returns those that were started, newest first; previews only where they are asked for */
export async function listOperations(
  db: Database,
  { state, after }: { state?: OperationState | undefined; after?: OperationPlace | undefined },
  limit: number,
): Promise<Operation[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT ${columns} FROM operations o
    WHERE ${state === undefined ? Prisma.sql`o.state <> 'previewed'` : Prisma.sql`o.state = ${state}`}
      AND ${after === undefined ? Prisma.sql`true` : Prisma.sql`(o.previewed_at, o.id) < (${after.previewedAt}::timestamptz, ${after.id}::uuid)`}
    ORDER BY o.previewed_at DESC, o.id DESC LIMIT ${limit}`;
  return rows.map(toOperation);
}

function toOperation(row: Row): Operation {
  const { counts, pausedAt, pausedBy, pausedBecause, previewedAt, startedAt, endedAt, ...rest } = row;
  const expiresAt = startedAt === null ? new Date(previewedAt.getTime() + PREVIEW_TTL_MINUTES * 60_000) : null;
  return {
    ...rest,
    previewedAt: previewedAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    startedAt: startedAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null,
    counts: Object.fromEntries(ITEM_STATES.map((state) => [state, counts?.[state] ?? 0])) as ItemCounts,
    pause: pausedAt && { since: pausedAt.toISOString(), by: pausedBy, because: pausedBecause ?? '' },
  };
}

type ItemRow = Omit<OperationItem, 'seen' | 'total' | 'begunAt' | 'endedAt'> & {
  amount: bigint | null;
  currency: string | null;
  seenState: string | null;
  seenStep: string | null;
  seenFailure: string | null;
  begunAt: Date | null;
  endedAt: Date | null;
};

const itemColumns = Prisma.sql`
  no, order_id::text AS "orderId", workflow_id AS "workflowId", dead_letter_id::text AS "deadLetterId", state, outcome, message,
  amount, currency, seen_state AS "seenState", seen_step AS "seenStep", seen_failure AS "seenFailure", begun_at AS "begunAt",
  ended_at AS "endedAt"`;

const toItem = ({
  amount,
  currency,
  seenState,
  seenStep,
  seenFailure,
  begunAt,
  endedAt,
  ...row
}: ItemRow): OperationItem => ({
  ...row,
  seen: { state: seenState, step: seenStep, failure: seenFailure },
  total: amount === null || currency === null ? null : { amount: Number(amount), currency },
  begunAt: begunAt?.toISOString() ?? null,
  endedAt: endedAt?.toISOString() ?? null,
});

/** @param filter.after the number of the item before the page */
export async function listOperationItems(
  db: Database,
  id: string,
  { state, after = 0 }: { state?: ItemState | undefined; after?: number },
  limit: number,
): Promise<OperationItem[]> {
  const rows = await db.$queryRaw<ItemRow[]>`
    SELECT ${itemColumns} FROM operation_items WHERE operation_id = ${id}::uuid AND no > ${after}::int
      AND ${state === undefined ? Prisma.sql`true` : Prisma.sql`state = ${state}`}
    ORDER BY no LIMIT ${limit}`;
  return rows.map(toItem);
}

/** @returns its items that are not open, of which `known` are known: those that were concluded last come last */
export async function listConcluded(db: Database, id: string, known: readonly number[]): Promise<OperationItem[]> {
  const rows = await db.$queryRaw<ItemRow[]>`
    SELECT ${itemColumns} FROM operation_items
    WHERE operation_id = ${id}::uuid AND state <> 'open' AND no <> ALL (${[...known]}::int[]) ORDER BY ended_at, no`;
  return rows.map(toItem);
}

/** @returns the orders, or letters, of an operation's items in these states: what another operation may be about */
export async function listSubjects(
  db: Database,
  id: string,
  states: readonly ItemState[],
): Promise<{ orderId: string; deadLetterId: string | null }[]> {
  return db.$queryRaw`
    SELECT order_id::text AS "orderId", dead_letter_id::text AS "deadLetterId" FROM operation_items
    WHERE operation_id = ${id}::uuid AND state = ANY(${[...states]}::text[]) ORDER BY no`;
}

/** For metrics: how many have not come to their end; `paused-by-itself` are not among the paused. */
export async function countUnended(db: Database): Promise<Record<'running' | 'paused' | 'paused-by-itself', number>> {
  const rows = await db.$queryRaw<{ state: 'running' | 'paused' | 'paused-by-itself'; count: number }[]>`
    SELECT CASE WHEN state = 'paused' AND paused_by IS NULL THEN 'paused-by-itself' ELSE state END AS state, count(*)::int AS count
    FROM operations WHERE settled_counts IS NULL AND state IN ('running', 'paused') GROUP BY 1`;
  const none = { running: 0, paused: 0, 'paused-by-itself': 0 };
  return { ...none, ...Object.fromEntries(rows.map(({ state, count }) => [state, count])) };
}
