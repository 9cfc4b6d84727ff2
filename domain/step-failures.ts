/**
 * Step failures: attempts at a step or an undo that led to nothing, and how often its saga was parked at it. Kept for whoever looks
 * at an order when Temporal has forgotten it; nothing is decided by them, and one may be missing: its worker died, or Postgres was away.
 */
import type { Database, Statements } from './database.js';

export type StepFailure = {
  orderId: string;
  /** A step, an undo, or the question whether the order is to be unwound. */
  step: string;
  /** `failed` = an attempt; `parked` = the saga stopped there, and waits. */
  kind: 'failed' | 'parked';
  /** The failure's kind, by which sagas are grouped. */
  failure: string;
  message: string | null;
  /** Of all attempts at the step so far, which one. */
  attempt: number;
};

/** The longest pause between two attempts that nobody has asked for is a minute; what is further apart is told apart. */
const TOGETHER_WITHIN_S = 150;
/** Of one order; then what looks alike is counted together, however far apart, and what looks like nothing before is not kept. */
const ROWS_MAX = 100;

const MESSAGE_MAX = 300;
const NAME_MAX = 100;

/** Counts it with the newest one that looks alike, or adds a row. */
export async function noteStepFailure(db: Statements, it: StepFailure): Promise<void> {
  const { orderId, step, kind, attempt } = it;
  const failure = it.failure.slice(0, NAME_MAX);
  const message = it.message?.slice(0, MESSAGE_MAX) ?? null;
  await db.$executeRaw`
    WITH known AS (
      SELECT count(*) AS rows FROM step_failures WHERE order_id = ${orderId}::uuid
    ), alike AS (
      SELECT id, last_at FROM step_failures
      WHERE order_id = ${orderId}::uuid AND step = ${step} AND kind = ${kind} AND failure = ${failure}
      ORDER BY id DESC LIMIT 1
    ), counted AS (
      UPDATE step_failures f SET times = f.times + 1, last_at = clock_timestamp(), message = ${message},
        first_attempt = least(f.first_attempt, ${attempt}::int), last_attempt = greatest(f.last_attempt, ${attempt}::int)
      FROM alike, known
      WHERE f.id = alike.id AND (alike.last_at > clock_timestamp() - make_interval(secs => ${TOGETHER_WITHIN_S}) OR known.rows >= ${ROWS_MAX})
      RETURNING f.id
    )
    INSERT INTO step_failures (order_id, step, kind, failure, message, first_attempt, last_attempt)
    SELECT ${orderId}::uuid, ${step}, ${kind}, ${failure}, ${message}, ${attempt}::int, ${attempt}::int
    FROM known WHERE known.rows < ${ROWS_MAX} AND NOT EXISTS (SELECT FROM counted)
      AND EXISTS (SELECT FROM orders WHERE id = ${orderId}::uuid)`;
}

export type LastError = { step: string; failure: string; message: string; orders: number };

/** @returns what these orders' newest attempts were answered, what most were answered first */
export async function countLastErrors(db: Database, orderIds: string[]): Promise<LastError[]> {
  return db.$queryRaw`
    SELECT f.step, f.failure, f.message, count(*)::int AS orders
    FROM unnest(${orderIds}::uuid[]) AS o(id) CROSS JOIN LATERAL (
      SELECT step, failure, message FROM step_failures
      WHERE order_id = o.id AND message IS NOT NULL ORDER BY id DESC LIMIT 1
    ) AS f
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 3`;
}

export type KeptFailure = Omit<StepFailure, 'orderId' | 'attempt'> & {
  firstAttempt: number;
  lastAttempt: number;
  /** How often it was seen. */
  times: number;
  firstAt: string;
  lastAt: string;
};

/** @returns oldest first; `ROWS_MAX` at most */
export async function listStepFailures(db: Database, orderId: string): Promise<KeptFailure[]> {
  const rows = await db.stepFailure.findMany({ where: { orderId }, orderBy: { id: 'asc' }, take: ROWS_MAX });
  return rows.map(({ step, kind, failure, message, firstAttempt, lastAttempt, times, firstAt, lastAt }) => ({
    ...{ step, failure, message, firstAttempt, lastAttempt, times },
    kind: kind as StepFailure['kind'],
    firstAt: firstAt.toISOString(),
    lastAt: lastAt.toISOString(),
  }));
}
