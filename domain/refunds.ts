/**
 * Refund keys: which key the next refund of an order goes out under, and whether there may be one. A key is spent when
 * nothing more can come of it; a refund that has definitely failed is followed by one of a new key by itself, and after that
 * by one for each operator's word.
 */
import type { Database } from './database.js';

/** `no` counts spent keys; a refund may be made while `failures` < `allowed`. `installationId` as the order was accepted. */
export type RefundState = { no: number; failures: number; allowed: number; installationId: string | null };

/** @returns null if the order has no payment yet: nothing can have been taken in its name that is ours to give back */
export async function readRefundState(db: Database, orderId: string): Promise<RefundState | null> {
  const [row] = await db.$queryRaw<RefundState[]>`
    SELECT p.refund_no AS no, p.refund_failures AS failures, p.refunds_allowed AS allowed, o.installation_id AS "installationId"
    FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.order_id = ${orderId}::uuid`;
  return row ?? null;
}

/**
 * The key `no` is spent; counted once, however many have seen it.
 * @param isListed      the gateway shows the refund as failed, so that `noteRefundFailures` would see it
 * @param isForOperator whatever is allowed by itself is used up: no machine makes another refund
 */
export async function spendRefundKey(
  db: Database,
  orderId: string,
  no: number,
  { hasFailed, isListed, isForOperator }: { hasFailed: boolean; isListed: boolean; isForOperator: boolean },
): Promise<void> {
  const failed = hasFailed ? 1 : 0;
  await db.$executeRaw`
    UPDATE payments SET refund_no = refund_no + 1, updated_at = now(), refund_failures_seen = refund_failures_seen + ${isListed ? 1 : 0}::int,
      refund_failures = greatest(refund_failures + ${failed}::int, CASE WHEN ${isForOperator} THEN refunds_allowed ELSE 0 END)
    WHERE order_id = ${orderId}::uuid AND refund_no = ${no}::int`;
}

/** An operator wants one more refund than have failed so far. Once for each word. */
export async function allowRefund(db: Database, orderId: string, word: string): Promise<void> {
  await db.$executeRaw`
    UPDATE payments SET refunds_allowed = greatest(refunds_allowed, refund_failures + 1), refund_word = ${word}, updated_at = now()
    WHERE order_id = ${orderId}::uuid AND refund_word IS DISTINCT FROM ${word}`;
}

/** @param listed how many refunds of ours the gateway shows as failed: each that was not seen before has spent its key */
export async function noteRefundFailures(db: Database, orderId: string, listed: number): Promise<void> {
  await db.$executeRaw`
    UPDATE payments SET refund_failures = refund_failures + ${listed}::int - refund_failures_seen, updated_at = now(),
      refund_no = refund_no + ${listed}::int - refund_failures_seen, refund_failures_seen = ${listed}::int
    WHERE order_id = ${orderId}::uuid AND refund_failures_seen < ${listed}::int`;
}
