/**
 * Carrying operations out, a statement each: one process at a time does, which its name in the operation's row says (`runner`). Items are
 * begun and concluded in that name only, and begun only while the row says `running`: whoever pauses or aborts an operation locks the row,
 * and nothing begins after that has been committed.
 */
import { type ItemState, OPERATION_MESSAGE_LENGTH_MAX, type OperationAction } from '../../contracts/operations.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';
import { isOver } from '../leases.js';
import { isFinal } from './preview.js';

/** An operation that has not come to its end, and what carrying it out takes. */
export type OperationToRun = {
  id: string;
  action: OperationAction;
  state: 'running' | 'aborted';
  operator: string;
  reason: string;
  canary: number[];
  ratePerSecond: number;
};

export type ItemToDo = {
  no: number;
  orderId: string;
  workflowId: string | null;
  deadLetterId: string | null;
  seenState: string | null;
  seenStep: string | null;
  seenFailure: string | null;
  /** The run of its saga that it was sent to before; null = nowhere. */
  sentTo: string | null;
};
const itemColumns = Prisma.sql`i.no, i.order_id::text AS "orderId", i.workflow_id AS "workflowId", i.dead_letter_id::text AS "deadLetterId",
  i.seen_state AS "seenState", i.seen_step AS "seenStep",
  i.seen_failure AS "seenFailure", i.sent_to AS "sentTo"`;

export const OPERATIONS_LEASE = 'operations';

/** Takes all of them over that have not come to their end: whoever had them before begins and concludes nothing any more. */
export async function takeOperations(db: Database, runner: string): Promise<void> {
  await db.$executeRaw`
    UPDATE operations SET runner = ${runner}
    WHERE settled_counts IS NULL AND ended_at IS NULL AND state <> 'previewed' AND runner IS DISTINCT FROM ${runner}
      AND EXISTS (SELECT FROM leases WHERE name = ${OPERATIONS_LEASE} AND owner = ${runner})`;
}

/** @returns the oldest first */
export async function listOperationsToRun(db: Database, runner: string): Promise<OperationToRun[]> {
  return db.$queryRaw<OperationToRun[]>`
    SELECT id::text, action, state, started_by AS operator, reason, canary, rate_per_second AS "ratePerSecond"
    FROM operations
    WHERE settled_counts IS NULL AND ended_at IS NULL AND state IN ('running', 'aborted') AND runner = ${runner}
    ORDER BY started_at, id`;
}

type Held = { id: string; runner: string };

/** Whether a process is there that carries operations out, by its lease. */
export async function hasRunner(db: Database): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>`
    SELECT FROM leases WHERE name = ${OPERATIONS_LEASE} AND NOT (${isOver(Prisma.sql`until`)})`;
  return rows.length > 0;
}

/** @returns what has been begun and is not concluded: by a process that has died, if this one knows nothing of it */
export async function listBegun(db: Database, { id, runner }: Held): Promise<ItemToDo[]> {
  return db.$queryRaw<ItemToDo[]>`
    SELECT ${itemColumns} FROM operation_items i JOIN operations o ON o.id = i.operation_id
    WHERE i.operation_id = ${id}::uuid AND i.state = 'open' AND i.begun_at IS NOT NULL AND o.runner = ${runner} ORDER BY i.no`;
}

/** `firstOpen`: the number of the first item that is open, null = none is; `tried`: how many were decided on, and not found to need nothing. */
export type Progress = { firstOpen: number | null; tried: number };

export async function readProgress(db: Database, id: string): Promise<Progress> {
  const [row] = await db.$queryRaw<Progress[]>`
    SELECT min(no) FILTER (WHERE state = 'open') AS "firstOpen",
      (count(*) FILTER (WHERE state NOT IN ('open', 'skipped', 'already-done')))::int AS tried
    FROM operation_items WHERE operation_id = ${id}::uuid`;
  return row ?? { firstOpen: null, tried: 0 };
}

/**
 * Begins the next item, up to a number.
 * @returns null if there is none, or the operation does not run any more, or another process has it
 */
export async function beginNext(db: Database, { id, runner }: Held, upTo: number): Promise<ItemToDo | null> {
  const [item] = await db.$queryRaw<ItemToDo[]>`
    WITH running AS (
      SELECT id FROM operations WHERE id = ${id}::uuid AND state = 'running' AND runner = ${runner} FOR SHARE
    ), next AS (
      SELECT no FROM operation_items WHERE operation_id = ${id}::uuid AND state = 'open' AND begun_at IS NULL AND no <= ${upTo}::int
      ORDER BY no LIMIT 1
    )
    UPDATE operation_items i SET begun_at = now() FROM running, next
    WHERE i.operation_id = running.id AND i.no = next.no AND i.state = 'open' AND i.begun_at IS NULL
    RETURNING ${itemColumns}`;
  return item ?? null;
}

/** Another process carries this operation out by now, or it was aborted: what is about to be sent must not be. */
export class OperationTaken extends Error {
  override name = 'OperationTaken';
}

/** That it is about to be sent to this run of its saga. @throws OperationTaken */
export async function noteSending(db: Database, { id, runner }: Held, no: number, runId: string): Promise<void> {
  const noted = await db.$executeRaw`
    UPDATE operation_items i SET sent_to = ${runId} FROM operations o
    WHERE i.operation_id = ${id}::uuid AND i.no = ${no}::int AND i.state = 'open' AND o.id = i.operation_id AND o.runner = ${runner}`;
  if (noted === 0) throw new OperationTaken('another process carries this operation out');
}

/** Of an item `i` of an operation `o`: what was wanted is so, as the order's own row, or the letter's, says. */
const isReached = Prisma.sql`CASE
  WHEN i.dead_letter_id IS NOT NULL THEN EXISTS (SELECT FROM dead_letters l WHERE l.id = i.dead_letter_id
    AND l.state = CASE op.action WHEN 'discard' THEN 'DISCARDED' ELSE 'DELIVERED' END)
  ELSE EXISTS (SELECT FROM orders o WHERE o.id = i.order_id AND ${isFinal} AND (op.action <> 'compensate' OR o.status = 'CANCELLED'))
END`;

export type Conclusion = {
  no: number;
  state: Exclude<ItemState, 'open'>;
  outcome: string | null;
  message: string;
  /** What it says of the rest, if not what its state says: one that waits because it fails may still be reached, and the rest fares no better. */
  wentAs?: 'failed';
};

/**
 * What has come of an item. It is `reached` only if its row says so; else it waits until that does.
 * @returns the state that it has got; null if it is concluded already, or another process has the operation
 */
export async function concludeItem(
  db: Database,
  { id, runner }: Held,
  { no, state, outcome, message }: Conclusion,
): Promise<ItemState | null> {
  const text = message.slice(0, OPERATION_MESSAGE_LENGTH_MAX);
  const [row] = await db.$queryRaw<{ state: ItemState }[]>`
    UPDATE operation_items i SET outcome = ${outcome}, message = ${text}, ended_at = now(),
      state = CASE WHEN ${state} = 'reached' AND NOT (${isReached}) THEN 'waits' ELSE ${state} END
    FROM operations op
    WHERE i.operation_id = ${id}::uuid AND i.no = ${no}::int AND i.state = 'open' AND op.id = i.operation_id AND op.runner = ${runner}
    RETURNING i.state`;
  return row?.state ?? null;
}

/** Pauses by itself, where anything is left to begin. @returns whether it has: it ran, and this process carries it out */
export async function pauseByItself(db: Database, { id, runner }: Held, because: string): Promise<boolean> {
  const paused = await db.$executeRaw`
    UPDATE operations SET state = 'paused', paused_at = now(), paused_by = NULL, paused_because = ${because.slice(0, 200)}
    WHERE id = ${id}::uuid AND state = 'running' AND runner = ${runner} AND EXISTS (
      SELECT FROM operation_items WHERE operation_id = ${id}::uuid AND state = 'open' AND begun_at IS NULL)`;
  return paused > 0;
}

/** Ends it, where nothing is open any more. */
export async function endOperation(db: Database, { id, runner }: Held): Promise<boolean> {
  const ended = await db.$executeRaw`
    UPDATE operations o SET ended_at = now(), state = CASE WHEN state = 'running' THEN 'finished' ELSE state END
    WHERE id = ${id}::uuid AND state IN ('running', 'aborted') AND ended_at IS NULL AND runner = ${runner}
      AND NOT EXISTS (SELECT FROM operation_items i WHERE i.operation_id = o.id AND i.state = 'open')`;
  return ended > 0;
}

/** For so long after an operation's end what waits, or is unanswered, may still come to its own; an accepted `compensate` until it does. */
const FOLLOWED_FOR = Prisma.sql`interval '1 day'`;
const FOLLOWED_MAX = 500;

/** Looks again at what waits or is unanswered. @returns how many have been reached */
export async function followItems(db: Database): Promise<number> {
  return db.$executeRaw`
    UPDATE operation_items f SET state = 'reached', ended_at = now(),
      message = left('reached since; before: ' || coalesce(f.message, ''), ${OPERATION_MESSAGE_LENGTH_MAX}::int)
    WHERE f.state IN ('waits', 'unanswered') AND (f.operation_id, f.no) IN (
      SELECT i.operation_id, i.no FROM operations op JOIN operation_items i ON i.operation_id = op.id
      WHERE op.settled_counts IS NULL AND op.state <> 'previewed' AND i.state IN ('waits', 'unanswered') AND (${isReached})
      LIMIT ${FOLLOWED_MAX})`;
}

/** Writes down what those have come to whose items change no more. @returns how many */
export async function settleOperations(db: Database): Promise<number> {
  return db.$executeRaw`
    UPDATE operations o SET settled_counts = (SELECT jsonb_object_agg(state, n) FROM (
      SELECT i.state, count(*) AS n FROM operation_items i WHERE i.operation_id = o.id GROUP BY 1) AS counted)
    WHERE settled_counts IS NULL AND ended_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM operation_items i WHERE i.operation_id = o.id AND (
        (i.state IN ('open', 'waits', 'unanswered') AND o.ended_at >= now() - ${FOLLOWED_FOR})
        OR (i.state = 'waits' AND o.action = 'compensate')))`;
}

/** What was done stays in the audit trail; item by item it is kept for so long. */
const KEPT_FOR = Prisma.sql`interval '90 days'`;
/** Of ten thousand items each. */
const PURGED_MAX = 2;

/**
 * With what was said of them in the audit trail, which no erasure would find any more; first that, for a death between the two.
 * @returns how many operations, and previews that nobody has started, have been removed
 */
export async function purgeOperations(db: Database): Promise<number> {
  const old = await db.$queryRaw<{ id: string; hasEnded: boolean }[]>`
    SELECT id::text, ended_at IS NOT NULL AS "hasEnded" FROM operations
    WHERE (ended_at < now() - ${KEPT_FOR}
        AND NOT EXISTS (SELECT FROM audit_acts a WHERE a.resource = operations.id::text AND a.at >= now() - ${KEPT_FOR}))
      OR (state = 'previewed' AND previewed_at < now() - interval '1 day')
    ORDER BY previewed_at LIMIT ${PURGED_MAX}`;
  if (old.length === 0) return 0;
  const ended = old.flatMap(({ id, hasEnded }) => (hasEnded ? [id] : []));
  await db.$queryRaw`SELECT erase_acts_of_old_operations(${ended}::uuid[])`;
  return db.$executeRaw`
    DELETE FROM operations WHERE id = ANY(${old.map(({ id }) => id)}::uuid[]) AND (ended_at IS NOT NULL OR state = 'previewed')`;
}
