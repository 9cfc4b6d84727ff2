/**
 * Dead letters as operators see them: listing them, and deciding what becomes of each. Deciding only writes the decision; the
 * relay that holds the order's partition carries it out, so that it cannot run against that relay's own sending.
 */
import type { DeadLetter, DeadLetterCause, DeadLetterDecision, DeadLetterState } from '../contracts/dead-letters.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { orderChanged, queryChanging } from './order-changes.js';

export type DeadLetterFilter = {
  ids?: string[];
  destination?: string;
  cause?: DeadLetterCause;
  type?: string;
  orderId?: string;
  /** Without: those that are not decided, or whose decision is being carried out. */
  state?: DeadLetterState;
};

const matching = ({ ids, destination, cause, type, orderId, state }: DeadLetterFilter): Prisma.Sql =>
  Prisma.join(
    [
      state === undefined
        ? Prisma.sql`l.closed_at IS NULL AND l.state IN ('PARKED', 'REPLAYING')`
        : Prisma.sql`l.state = ${state}`,
      ...(ids === undefined ? [] : [Prisma.sql`l.id = ANY(${ids}::bigint[])`]),
      ...(destination === undefined ? [] : [Prisma.sql`l.destination = ${destination}`]),
      ...(cause === undefined ? [] : [Prisma.sql`l.cause = ${cause}`]),
      ...(type === undefined ? [] : [Prisma.sql`l.type = ${type}`]),
      ...(orderId === undefined ? [] : [Prisma.sql`l.order_id = ${orderId}::uuid`]),
    ],
    ' AND ',
  );

type Row = Omit<DeadLetter, 'parkedAt' | 'updatedAt'> & { parkedAt: Date; updatedAt: Date };
/** The line at which a receiver's refusal points, as `field data.items[0].sku` or `pointer /items/0`. */
const REFUSED_LINE = String.raw`\mitems[./[]+(\d{1,3})(?!\d)`;
const columns = Prisma.sql`
  l.id::text, l.destination, l.order_id AS "orderId", l.sequence, l.type, l.cause, l.error, l.attempts, l.state,
  CASE WHEN l.closed_at IS NULL THEN coalesce(o.event_count, c.event_count) - l.sequence ELSE 0 END AS behind,
  l.parked_at AS "parkedAt", l.updated_at AS "updatedAt", l.decided_by AS "decidedBy", l.reason,
  (SELECT line.sku FROM order_lines line
   WHERE line.order_id = l.order_id AND line.line_no = substring(l.error FROM ${REFUSED_LINE})::int + 1) AS sku`;
/** What the event is about: an order, or a customer. */
const withSubject = Prisma.sql`dead_letters l LEFT JOIN orders o ON o.id = l.order_id LEFT JOIN customers c ON c.reference = l.order_id`;
const toLetter = (row: Row): DeadLetter => ({
  ...row,
  parkedAt: row.parkedAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

/** @param afterId of the page before; '0' = from the oldest. @returns oldest first */
export async function listDeadLetters(
  db: Database,
  filter: DeadLetterFilter,
  limit: number,
  afterId = '0',
): Promise<DeadLetter[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT ${columns} FROM ${withSubject}
    WHERE ${matching(filter)} AND l.id > ${afterId}::bigint ORDER BY l.id LIMIT ${limit}`;
  return rows.map(toLetter);
}

/** @returns those of them that exist, whatever their state */
export async function readDeadLetters(db: Database, ids: string[]): Promise<DeadLetter[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT ${columns} FROM ${withSubject} WHERE l.id = ANY(${ids}::bigint[])`;
  return rows.map(toLetter);
}

/** Dead letters that look alike: usually one cause. */
export type DeadLetterGroup = {
  destination: string;
  cause: DeadLetterCause;
  state: DeadLetterState;
  count: number;
  oldest: string;
};

/** How many dead letters wait for a decision or are being sent, and since when; for operators and for metrics. Largest first. */
export async function countDeadLetters(db: Database, filter: DeadLetterFilter = {}): Promise<DeadLetterGroup[]> {
  const rows = await db.$queryRaw<(Omit<DeadLetterGroup, 'oldest'> & { oldest: Date })[]>`
    SELECT l.destination, l.cause, l.state, count(*)::int AS count, min(l.parked_at) AS oldest
    FROM dead_letters l WHERE ${matching(filter)} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`;
  return rows.map((row) => ({ ...row, oldest: row.oldest.toISOString() }));
}

/** A replay may fail for hours, its destination being down: it can still be discarded. */
const DECIDABLE = { replay: ['PARKED'], discard: ['PARKED', 'REPLAYING'] } satisfies Record<string, DeadLetterState[]>;

/**
 * Writes a decision, with who and why in the saga log, and wakes the relays.
 * @returns false if it came too late: the dead letter is decided, or a replay is under way already
 */
export async function decideDeadLetter(
  db: Database,
  id: string,
  { action, operator, reason }: DeadLetterDecision,
): Promise<boolean> {
  const rows = await queryChanging(
    db,
    Prisma.sql`
    WITH decided AS (
      UPDATE dead_letters SET state = ${action === 'replay' ? 'REPLAYING' : 'DISCARDED'},
        decided_by = ${operator}, reason = ${reason ?? null}, updated_at = now()
      WHERE id = ${id}::bigint AND state = ANY(${DECIDABLE[action]})
      RETURNING order_id AS id, destination, sequence, attempts
    ), logged AS (
      INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
      SELECT id, 'dead-letter', ${action}, attempts, ${operator},
        format('%s, event %s', destination, sequence) || coalesce(': ' || ${reason ?? null}::text, '')
      FROM decided WHERE EXISTS (SELECT FROM orders o WHERE o.id = decided.id)
    )
    SELECT ${orderChanged(db)} AS changed FROM decided`,
  );
  return rows.length > 0;
}
