/** What operators do with an operation, as acts: start it, pause it, let it go on, end it. Its row is locked, and decides. */
import {
  OPERATIONS_OPEN_MAX,
  type OperationAction,
  type OperationState,
  PREVIEW_TTL_MINUTES,
} from '../../contracts/operations.js';
import type { Change, Values } from '../audit/acts.js';
import type { Database } from '../database.js';
import { isUnderWay } from './preview.js';

export type Starting = {
  id: string;
  operator: string;
  reason: string;
  /** undefined = whichever it was previewed for. */
  action?: OperationAction | undefined;
  /** What the operator has seen: what is open of it. */
  expectedCount: number;
  canary: readonly number[];
  ratePerSecond: number;
};
export type Started =
  | { outcome: 'started' | 'already-started' | 'expired' | 'other-action' }
  | { outcome: 'count-differs'; count: number }
  | { outcome: 'too-many' }
  | Overlap;

/** Another operation has these items, too, and has not concluded them: it runs, or may go on, or one of its decisions is under way. */
export type Overlap = { outcome: 'overlapping'; count: number; operation: string; state: OperationState };

type Stood = { state: OperationState; action: OperationAction; count: number; expired: boolean } | null;

/**
 * Of no effect unless it is `started`.
 * @param keep keeps what is answered, in the transaction that starts it
 */
export const operationStarted = (
  starting: Starting,
  keep: (tx: Database) => Promise<void> = async () => undefined,
): Change<Started, Stood> => ({
  before: (tx) => lock(tx, starting.id),
  change: async (tx) => {
    const started = await start(tx, starting);
    if (started.outcome === 'started') await keep(tx);
    return started;
  },
  effect: ({ outcome }, before) => {
    if (outcome !== 'started' || before === null) return null;
    const { id, reason, canary, ratePerSecond } = starting;
    const { action, count } = before;
    const after = { state: 'running', action, items: count, canary, ratePerSecond };
    return { resource: id, reason, status: 201, before: { state: before.state }, after };
  },
});

/** Whatever begins or goes on passes one after the other, so that no two of them miss each other's items. */
const lockStarts = (tx: Database) => tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('operations'))`;

async function lock(tx: Database, id: string): Promise<Stood> {
  await lockStarts(tx);
  const [row] = await tx.$queryRaw<NonNullable<Stood>[]>`
    SELECT o.state, o.action, o.previewed_at < now() - ${PREVIEW_TTL_MINUTES}::int * interval '1 min' AS expired,
      (SELECT count(*)::int FROM operation_items i WHERE i.operation_id = o.id AND i.state = 'open') AS count
    FROM operations o WHERE o.id = ${id}::uuid FOR UPDATE`;
  return row ?? null;
}

async function start(tx: Database, starting: Starting): Promise<Started> {
  const { id, operator, reason, action, expectedCount, canary, ratePerSecond } = starting;
  const stood = await lock(tx, id);
  if (stood === null || (stood.state === 'previewed' && stood.expired)) return { outcome: 'expired' };
  if (stood.state !== 'previewed') return { outcome: 'already-started' };
  if (action !== undefined && action !== stood.action) return { outcome: 'other-action' };
  if (stood.count !== expectedCount) return { outcome: 'count-differs', count: stood.count };
  const [open] = await tx.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM operations WHERE settled_counts IS NULL AND state IN ('running', 'paused')`;
  if (open && open.count >= OPERATIONS_OPEN_MAX) return { outcome: 'too-many' };
  const overlap = await findOverlap(tx, id);
  if (overlap) return overlap;
  await tx.$executeRaw`
    UPDATE operations SET state = 'running', started_at = now(), started_by = ${operator}, reason = ${reason},
      canary = ${[...canary]}::int[], rate_per_second = ${ratePerSecond}::float8 WHERE id = ${id}::uuid`;
  return { outcome: 'started' };
}

/** Under the lock of starts. @returns the other one that has most of an operation's open items */
async function findOverlap(tx: Database, id: string): Promise<Overlap | undefined> {
  const [overlap] = await tx.$queryRaw<Omit<Overlap, 'outcome'>[]>`
    SELECT other.operation_id::text AS operation, o.state, count(*)::int AS count
    FROM operation_items i JOIN operation_items other ON other.order_id = i.order_id AND other.state = 'open'
      AND other.operation_id <> i.operation_id AND other.dead_letter_id IS NOT DISTINCT FROM i.dead_letter_id
      JOIN operations o ON o.id = other.operation_id AND ${isUnderWay}
    WHERE i.operation_id = ${id}::uuid AND i.state = 'open' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1`;
  return overlap && { outcome: 'overlapping', ...overlap };
}

export const OPERATION_WORDS = ['pause', 'resume', 'abort'] as const;
export type OperationWord = (typeof OPERATION_WORDS)[number];
export type Word = { id: string; operator: string; reason: string };
/** `unchanged` = it stood so before. */
export type Obeyed = 'done' | 'unchanged' | 'not-possible' | 'unknown' | Overlap;

const FROM: Record<OperationWord, readonly OperationState[]> = {
  pause: ['running'],
  resume: ['paused'],
  abort: ['running', 'paused'],
};
const TO = { pause: 'paused', resume: 'running', abort: 'aborted' } as const;

/** Of no effect on one that stands so, or has come to its end. */
export const operationTold = (word: OperationWord, told: Word): Change<Obeyed, Values | null> => ({
  before: async (tx) => {
    if (word === 'resume') await lockStarts(tx);
    const [row] = await tx.$queryRaw<Values[]>`
      SELECT state, paused_by AS "pausedBy" FROM operations -- what operators wrote would stay here when it is erased
      WHERE id = ${told.id}::uuid FOR UPDATE`;
    return row ?? null;
  },
  change: (tx) => tell(tx, word, told),
  effect: (obeyed, before) =>
    obeyed === 'done'
      ? { resource: told.id, reason: told.reason, status: 200, before, after: { state: TO[word] } }
      : null,
});

async function tell(tx: Database, word: OperationWord, { id, operator, reason }: Word): Promise<Obeyed> {
  const [row] = await tx.$queryRaw<{ state: OperationState }[]>`SELECT state FROM operations WHERE id = ${id}::uuid`;
  if (!row) return 'unknown';
  if (row.state === TO[word]) return 'unchanged';
  if (!FROM[word].includes(row.state)) return 'not-possible';
  const overlap = word === 'resume' ? await findOverlap(tx, id) : undefined;
  if (overlap) return overlap;
  if (word === 'pause')
    await tx.$executeRaw`
      UPDATE operations SET state = 'paused', paused_at = now(), paused_by = ${operator}, paused_because = ${reason}
      WHERE id = ${id}::uuid`;
  else if (word === 'resume')
    await tx.$executeRaw`
      UPDATE operations SET state = 'running', paused_at = NULL, paused_by = NULL, paused_because = NULL WHERE id = ${id}::uuid`;
  else await abort(tx, { id, operator, reason });
  return 'done';
}

/** What has not begun never does; what has comes to its end, and then so does the operation. */
async function abort(tx: Database, { id, operator, reason }: Word): Promise<void> {
  await tx.$executeRaw`
    UPDATE operations SET state = 'aborted', aborted_by = ${operator}, abort_reason = ${reason},
      paused_at = NULL, paused_by = NULL, paused_because = NULL WHERE id = ${id}::uuid`;
  await tx.$executeRaw`
    UPDATE operation_items SET state = 'skipped', ended_at = now(), message = 'the operation was aborted before it came to this'
    WHERE operation_id = ${id}::uuid AND state = 'open' AND begun_at IS NULL`;
  await tx.$executeRaw`
    UPDATE operations SET ended_at = now() WHERE id = ${id}::uuid
      AND NOT EXISTS (SELECT FROM operation_items WHERE operation_id = ${id}::uuid AND state = 'open')`;
}
