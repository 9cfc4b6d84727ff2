/**
 * Operators' words on findings. A reported finding is closed if and only if an operator has said, under their name and for a
 * reason, that it is dealt with; no ledger shows that. What the reconciler has in hand is not an operator's to close. Or they
 * have the reconciler make one more refund than have failed so far.
 */
import type { Database } from './database.js';
import { type FindingAction, type FindingKind, GIVEN_BACK } from './reconciliation.js';
import { orderOfFinding } from './reconciliation-findings.js';

/** `refunded` = the gateway no longer holds the money, which is believed until it is seen to; `cancelled` = for good. */
export const CLOSED_AS = ['cancelled', 'refunded'] as const satisfies FindingAction[];
export type ClosedAs = (typeof CLOSED_AS)[number];

/** Of these the reconciler moves the money itself, and so sees it if it is still there: it reports the finding again. */
export const CLOSED_AS_REFUNDED: FindingKind[] = [...GIVEN_BACK, 'ORPHAN_CHARGE'];

export type Closing = { as: ClosedAs; operator: string; reason: string };

/**
 * Closes a finding, with who and why on record; in the saga log as well if it concerns an order of ours.
 * @returns false if it is not reported (any more), or of a kind that is not closed as this
 */
export async function closeReported(db: Database, id: string, { as, operator, reason }: Closing): Promise<boolean> {
  const closed = await db.$executeRaw`
    WITH closed AS (
      UPDATE reconciliation_findings SET action = ${as}, updated_at = now()
      WHERE id = ${id}::bigint AND action = 'reported' AND (${as} <> 'refunded' OR kind = ANY(${CLOSED_AS_REFUNDED}))
      RETURNING id, kind, gateway_reference, order_id
    ), logged AS (
      INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
      SELECT o.id, 'reconciliation', ${as}, 0, ${operator}, format('%s %s: %s', f.kind, f.gateway_reference, ${reason}::text)
      FROM closed f JOIN orders o ON o.id = ${orderOfFinding}
    )
    INSERT INTO reconciliation_closings (finding_id, action, operator, reason)
    SELECT id, ${as}, ${operator}, ${reason} FROM closed`;
  return closed > 0;
}

/**
 * Has the reconciler give a charge back that it has given up, by one more refund; with who and why on record.
 * @returns false if it is not reported (any more), or of a kind that no refund settles
 */
export async function refundReported(
  db: Database,
  id: string,
  { operator, reason }: Omit<Closing, 'as'>,
): Promise<boolean> {
  const taken = await db.$executeRaw`
    WITH taken AS (
      UPDATE reconciliation_findings SET action = 'refunding', updated_at = now()
      WHERE id = ${id}::bigint AND action = 'reported' AND kind = ANY(${GIVEN_BACK})
      RETURNING id, kind, gateway_reference, order_id
    ), allowed AS (
      UPDATE charge_refunds c SET refunds_allowed = greatest(c.refunds_allowed, c.refund_failures + 1), updated_at = now()
      FROM taken f WHERE c.order_id = ${orderOfFinding} AND c.gateway_reference = f.gateway_reference
    ), allowed_before AS ( -- of the charge on record, for workers of the release before; and what those have counted
      UPDATE payments p SET refunds_allowed = greatest(p.refunds_allowed, p.refund_failures + 1), updated_at = now()
      FROM taken f WHERE p.order_id = ${orderOfFinding} AND coalesce(p.gateway_reference, f.gateway_reference) = f.gateway_reference
    ), logged AS (
      INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
      SELECT o.id, 'reconciliation', 'refunding', 0, ${operator}, format('%s %s: %s', f.kind, f.gateway_reference, ${reason}::text)
      FROM taken f JOIN orders o ON o.id = ${orderOfFinding}
    )
    INSERT INTO reconciliation_closings (finding_id, action, operator, reason)
    SELECT id, 'refunding', ${operator}, ${reason} FROM taken`;
  return taken > 0;
}
