/**
 * Operators' decisions on findings. A reported finding is closed if and only if an operator has said, under their name and for a
 * reason, that it is dealt with; no ledger shows that. What the reconciler has in hand is not an operator's to close. Or they
 * have the reconciler make one more refund than have failed so far, or give back a charge that no machine would.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { type FindingAction, type FindingKind, GIVEN_BACK, GIVEN_BACK_ON_WORD } from './reconciliation.js';
import { orderOfFinding } from './reconciliation-findings.js';

/** `refunded` = the gateway no longer holds the money, which is believed until it is seen to; `cancelled` = for good. */
export const CLOSED_AS = ['cancelled', 'refunded'] as const satisfies FindingAction[];
export type ClosedAs = (typeof CLOSED_AS)[number];

/** Of these the reconciler sees whether the money is still there, and then reports the finding again. */
export const CLOSED_AS_REFUNDED: FindingKind[] = [...GIVEN_BACK, 'ORPHAN_CHARGE', 'UNMARKED_CHARGE'];

export type FindingClosure = {
  as: ClosedAs;
  operator: string;
  reason: string;
  /** The amount that the operator has seen, in the minor unit; undefined = whatever it is. */
  expectedAmount?: number | undefined;
};

/** A finding follows the ledger: by now it may be about more than the operator knows of. */
const isOfAmount = (expected: number | undefined) =>
  Prisma.sql`(${expected ?? null}::bigint IS NULL OR amount = ${expected ?? null}::bigint)`;

/**
 * Closes a finding, with who and why on record; in the saga log as well if it concerns an order of ours.
 * @returns false if it is not reported (any more), of another amount, or of a kind that is not closed as this
 */
export async function closeReported(
  db: Database,
  id: string,
  { as, operator, reason, expectedAmount }: FindingClosure,
): Promise<boolean> {
  const closed = await db.$executeRaw`
    WITH closed AS (
      UPDATE reconciliation_findings SET action = ${as}, updated_at = now()
      WHERE id = ${id}::bigint AND action = 'reported' AND ${isOfAmount(expectedAmount)}
        AND (${as} <> 'refunded' OR kind = ANY(${CLOSED_AS_REFUNDED}))
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
 * Has the reconciler give a charge back that it has given up, by one more refund, or that is not marked as ours but would fit its
 * order, which is looked at again before money moves; with who and why on record.
 * @returns false if it is not reported (any more), of another amount, or nothing that a refund of ours settles
 */
export async function refundReported(
  db: Database,
  id: string,
  { operator, reason, expectedAmount }: Omit<FindingClosure, 'as'>,
): Promise<boolean> {
  const taken = await db.$executeRaw`
    WITH taken AS (
      UPDATE reconciliation_findings f SET action = 'refunding', updated_at = now()
      WHERE id = ${id}::bigint AND action = 'reported' AND ${isOfAmount(expectedAmount)} AND kind = ANY(${GIVEN_BACK_ON_WORD})
        AND (kind <> 'UNMARKED_CHARGE' OR EXISTS (SELECT FROM orders o
          WHERE o.id = ${orderOfFinding} AND o.currency = f.currency AND o.total_amount >= f.amount))
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

/** Whether an operator has ordered that a charge be given back, told `what` of it. An order that was given otherwise is none. */
export async function isRefundOrdered(
  db: Database,
  kind: FindingKind,
  reference: string,
  what: string,
): Promise<boolean> {
  const [row] = await db.$queryRaw<{ isOrdered: boolean }[]>`
    SELECT EXISTS (
      SELECT FROM reconciliation_findings f
      WHERE kind = ${kind} AND gateway_reference = ${reference} AND f.action = 'refunding' AND starts_with(detail, ${what})
        AND (SELECT c.action FROM reconciliation_closings c WHERE c.finding_id = f.id ORDER BY c.id DESC LIMIT 1) = 'refunding'
    ) AS "isOrdered"`;
  return row?.isOrdered === true;
}

/** Charges that name an order and carry no marks, by what an operator has said of them: they are the order's, or none of ours. */
export type UnmarkedDecisions = { vouchedFor: string[]; disowned: string[] };

export async function readUnmarkedDecisions(db: Database, orderId: string): Promise<UnmarkedDecisions> {
  const findings = await db.reconciliationFinding.findMany({
    where: {
      orderId,
      kind: 'UNMARKED_CHARGE' satisfies FindingKind,
      action: { not: 'reported' satisfies FindingAction },
    },
    select: { gatewayReference: true, closings: { select: { action: true }, orderBy: { id: 'desc' }, take: 1 } },
  });
  const said = (action: FindingAction) =>
    findings.filter(({ closings: [last] }) => last?.action === action).map(({ gatewayReference }) => gatewayReference);
  return { vouchedFor: said('refunding'), disowned: said('cancelled') };
}
