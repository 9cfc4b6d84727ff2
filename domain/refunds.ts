/**
 * Refund keys: which key the next refund of a charge goes out under, and whether there may be one. A key is spent when
 * nothing more can come of it; a refund that has definitely failed is followed by one of a new key by itself, and after that
 * by one for each operator's request. An order may have had more than one charge: each has its own.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';

/** A charge as one of an order's. */
export type OrderCharge = { orderId: string; reference: string };

/** `no` counts spent keys; a refund may be made while `failures` < `allowed`. `installationId` as the order was accepted. */
export type RefundState = { no: number; failures: number; allowed: number; installationId: string | null };

const ALLOWED = 2;

/** What the release before kept with the payment concerns the charge on record, or whichever it may be if none is. */
const kept = ({ reference }: OrderCharge, column: Prisma.Sql, otherwise: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`CASE WHEN coalesce(p.gateway_reference, ${reference}) = ${reference} THEN p.${column} ELSE ${otherwise} END`;
const NONE = Prisma.sql`0`;
const ALLOWED_AT_FIRST = Prisma.sql`${ALLOWED}::int`;

/** @returns null if the order has no payment yet: nothing can have been taken in its name that is ours to give back */
export async function readRefundState(db: Statements, charge: OrderCharge): Promise<RefundState | null> {
  const [row] = await db.$queryRaw<RefundState[]>`
    SELECT greatest(c.refund_no, ${kept(charge, Prisma.sql`refund_no`, NONE)}) AS no,
      greatest(c.refund_failures, ${kept(charge, Prisma.sql`refund_failures`, NONE)}) AS failures,
      greatest(c.refunds_allowed, ${kept(charge, Prisma.sql`refunds_allowed`, ALLOWED_AT_FIRST)}) AS allowed,
      o.installation_id AS "installationId"
    FROM payments p JOIN orders o ON o.id = p.order_id
    LEFT JOIN charge_refunds c ON c.order_id = p.order_id AND c.gateway_reference = ${charge.reference}
    WHERE p.order_id = ${charge.orderId}::uuid`;
  return row ?? null;
}

/**
 * Most charges never need a row. One that is there learns what a worker of the release before has counted since, which writes to the
 * payment only: counts and permissions only ever grow, so the greater one is true.
 */
async function ensureRow(db: Statements, charge: OrderCharge): Promise<void> {
  await db.$executeRaw`
    INSERT INTO charge_refunds AS c (gateway_reference, order_id, refund_no, refund_failures, refund_failures_seen, refunds_allowed, refund_word)
    SELECT ${charge.reference}::text, p.order_id, ${kept(charge, Prisma.sql`refund_no`, NONE)}, ${kept(charge, Prisma.sql`refund_failures`, NONE)},
      ${kept(charge, Prisma.sql`refund_failures_seen`, NONE)}, ${kept(charge, Prisma.sql`refunds_allowed`, ALLOWED_AT_FIRST)},
      ${kept(charge, Prisma.sql`refund_word`, Prisma.sql`NULL`)}
    FROM payments p WHERE p.order_id = ${charge.orderId}::uuid
    ON CONFLICT (gateway_reference, order_id) DO UPDATE SET
      refund_word = CASE WHEN excluded.refunds_allowed > c.refunds_allowed THEN excluded.refund_word ELSE c.refund_word END,
      refund_no = greatest(c.refund_no, excluded.refund_no), refund_failures = greatest(c.refund_failures, excluded.refund_failures),
      refund_failures_seen = greatest(c.refund_failures_seen, excluded.refund_failures_seen),
      refunds_allowed = greatest(c.refunds_allowed, excluded.refunds_allowed)`;
}

/** Of the charge on record the payment says the same, for workers of the release before. */
async function change(
  db: Statements,
  { orderId, reference }: OrderCharge,
  set: Prisma.Sql,
  where: Prisma.Sql,
): Promise<void> {
  await ensureRow(db, { orderId, reference });
  await db.$executeRaw`
    WITH changed AS (
      UPDATE charge_refunds SET ${set}, updated_at = now()
      WHERE order_id = ${orderId}::uuid AND gateway_reference = ${reference} AND ${where}
      RETURNING *
    )
    UPDATE payments p SET refund_no = c.refund_no, refund_failures = c.refund_failures, refund_failures_seen = c.refund_failures_seen,
      refunds_allowed = c.refunds_allowed, refund_word = c.refund_word, updated_at = now()
    FROM changed c WHERE p.order_id = c.order_id AND p.gateway_reference = c.gateway_reference`;
}

/**
 * The key `no` is spent; counted once, however many have seen it.
 * @param isListed      the gateway shows the refund as failed, so that `noteRefundFailures` would see it
 * @param isForOperator whatever is allowed by itself is used up: no machine makes another refund
 */
export async function spendRefundKey(
  db: Statements,
  charge: OrderCharge,
  no: number,
  { hasFailed, isListed, isForOperator }: { hasFailed: boolean; isListed: boolean; isForOperator: boolean },
): Promise<void> {
  const failed = hasFailed ? 1 : 0;
  const set = Prisma.sql`refund_no = refund_no + 1, refund_failures_seen = refund_failures_seen + ${isListed ? 1 : 0}::int,
    refund_failures = greatest(refund_failures + ${failed}::int, CASE WHEN ${isForOperator} THEN refunds_allowed ELSE 0 END)`;
  await change(db, charge, set, Prisma.sql`refund_no = ${no}::int`);
}

/** An operator wants one more refund than have failed so far. Once for each request, known by its `word`. */
export async function allowRefund(db: Statements, charge: OrderCharge, word: string): Promise<void> {
  const set = Prisma.sql`refunds_allowed = greatest(refunds_allowed, refund_failures + 1), refund_word = ${word}`;
  await change(db, charge, set, Prisma.sql`refund_word IS DISTINCT FROM ${word}`);
}

/** @param listed how many refunds of ours the gateway shows as failed: each that was not seen before has spent its key */
export async function noteRefundFailures(db: Statements, charge: OrderCharge, listed: number): Promise<void> {
  if (listed === 0) return;
  const set = Prisma.sql`refund_failures = refund_failures + ${listed}::int - refund_failures_seen,
    refund_no = refund_no + ${listed}::int - refund_failures_seen, refund_failures_seen = ${listed}::int`;
  await change(db, charge, set, Prisma.sql`refund_failures_seen < ${listed}::int`);
}
