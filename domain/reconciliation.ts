/**
 * Reconciliation, as facts: what was found where the gateway's ledger and ours differ, and what was done about it.
 * A finding is one kind of difference at one charge; it is written before anything is done about it, so that a
 * process that dies in between leaves work in hand, not a gap. What is to be done is decided in workers/.
 */
import type { CancellationReason, OrderStatus } from '../contracts/orders.js';
import type { Database } from './database.js';
import type { PaymentStatus } from './payments.js';

/** In the saga log: who acted. */
const RECONCILER = 'reconciler';
/** An order as far as its money goes; amounts in the minor unit. */
export type OrderMoney = {
  orderId: string;
  status: OrderStatus;
  unwindingReason: CancellationReason | null;
  total: number;
  currency: string;
  payment: PaymentStatus | null;
  gatewayReference: string | null;
  createdAt: Date;
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const uuidOf = (orderId: string): string | null => (UUID.test(orderId) ? orderId : null);

/** @param orderIds as the gateway has them; what is no UUID, or no order of ours, is absent from the result */
export async function readOrdersMoney(db: Database, orderIds: string[]): Promise<Map<string, OrderMoney>> {
  const orders = await db.order.findMany({
    where: { id: { in: orderIds.filter((id) => UUID.test(id)) } },
    include: { payment: true },
  });
  return new Map(
    orders.map((order) => [
      order.id,
      {
        orderId: order.id,
        status: order.status as OrderStatus,
        unwindingReason: order.unwindingReason as CancellationReason | null,
        total: Number(order.totalAmount),
        currency: order.currency,
        payment: (order.payment?.status ?? null) as PaymentStatus | null,
        gatewayReference: order.payment?.gatewayReference ?? null,
        createdAt: order.createdAt,
      },
    ]),
  );
}

/** A charge that we have on record and that a list of the gateway's did not show. */
export type UnseenCharge = { orderId: string; reference: string; amount: number; currency: string };

/**
 * Confirmed orders whose recorded charge is not among `seen`, and not reported as missing yet, oldest first.
 * @param between when we recorded the charge
 */
export async function listUnseenCharges(
  db: Database,
  between: { from: Date; until: Date },
  seen: string[],
  limit: number,
): Promise<UnseenCharge[]> {
  const rows = await db.$queryRaw<(Omit<UnseenCharge, 'amount'> & { amount: bigint })[]>`
    SELECT p.order_id AS "orderId", p.gateway_reference AS reference, p.amount, p.currency
    FROM payments p JOIN orders o ON o.id = p.order_id
    WHERE p.created_at BETWEEN ${between.from} AND ${between.until}
      AND p.status = 'CHARGED' AND p.gateway_reference IS NOT NULL AND o.status = 'CONFIRMED' AND o.unwinding_reason IS NULL
      AND NOT EXISTS (SELECT FROM unnest(${seen}::text[]) AS s WHERE s = p.gateway_reference)
      AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'MISSING_CHARGE' AND f.gateway_reference = p.gateway_reference)
    ORDER BY p.created_at LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
}

/** @returns those of the charges whose refund is no news: we made it, or have found it before */
export async function listKnownRefunds(db: Database, references: string[]): Promise<Set<string>> {
  const rows = await db.$queryRaw<{ reference: string }[]>`
    SELECT gateway_reference AS reference FROM payments
    WHERE gateway_reference = ANY(${references}::text[]) AND status IN ('REFUNDING', 'REFUNDED')
    UNION SELECT gateway_reference FROM reconciliation_findings
    WHERE gateway_reference = ANY(${references}::text[]) AND (action = 'refunded' OR kind = 'REFUNDED_AT_GATEWAY')`;
  return new Set(rows.map((row) => row.reference));
}

export type FindingKind =
  | 'UNDECIDED'
  | 'LATE_CHARGE'
  | 'DOUBLE_CHARGE'
  | 'ORPHAN_CHARGE'
  | 'OPEN_INTENT'
  | 'LOST_REFUND'
  | 'SETTLED_OUTSIDE'
  | 'AMOUNT_MISMATCH'
  | 'REFUNDED_AT_GATEWAY'
  | 'MISSING_CHARGE';
export type FindingAction = 'waiting' | 'refunding' | 'refunded' | 'cancelling' | 'cancelled' | 'reported';
export type Subject = { reference: string; orderId: string; amount: number; currency: string };

/** Writes a finding down, unless it is known. @returns how it stands, and whether it is new */
export async function openFinding(
  db: Database,
  kind: FindingKind,
  action: FindingAction,
  subject: Subject,
  detail: string | null = null,
): Promise<{ action: FindingAction; isNew: boolean }> {
  const { reference, orderId, amount, currency } = subject;
  const [row] = await db.$queryRaw<{ action: FindingAction; isNew: boolean }[]>`
    WITH decided AS (
      DELETE FROM reconciliation_findings WHERE kind = 'UNDECIDED' AND gateway_reference = ${reference} AND ${kind} <> 'UNDECIDED'
    )
    INSERT INTO reconciliation_findings AS f (kind, gateway_reference, order_id, amount, currency, action, detail)
    VALUES (${kind}, ${reference}, ${orderId.slice(0, 500)}, ${amount}::bigint, ${currency}, ${action}, ${detail})
    ON CONFLICT (kind, gateway_reference) DO UPDATE SET updated_at = now()
    RETURNING f.action, f.xmax = 0 AS "isNew"`;
  if (!row) throw new Error(`Bug! The finding ${kind} of ${reference} was neither written nor there`);
  return row;
}

/**
 * Keeps that a finding is settled, in the saga log as well. A late charge's refund also closes the order's payment.
 * @param refundReference of the gateway, if money went back
 */
export async function closeFinding(
  db: Database,
  kind: FindingKind,
  action: FindingAction,
  { reference, orderId }: Subject,
  refundReference: string | null,
): Promise<void> {
  const ours = uuidOf(orderId);
  await db.$executeRaw`
    WITH closed AS (
      UPDATE reconciliation_findings SET action = ${action}, updated_at = now(),
        detail = coalesce(${refundReference}::text, detail)
      WHERE kind = ${kind} AND gateway_reference = ${reference} AND action IN ('refunding', 'cancelling')
      RETURNING id
    ), paid_back AS (
      UPDATE payments p SET status = 'REFUNDED', refund_reference = ${refundReference},
        gateway_reference = coalesce(p.gateway_reference, ${reference}), updated_at = now()
      FROM closed
      WHERE p.order_id = ${ours}::uuid AND ${kind} = 'LATE_CHARGE' AND ${refundReference}::text IS NOT NULL
        AND p.status IN ('VOIDED', 'DECLINED') AND p.refund_reference IS NULL
    )
    INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
    SELECT o.id, 'reconciliation', ${action}, 1, ${RECONCILER}, ${`${kind} ${reference}`}
    FROM closed JOIN orders o ON o.id = ${ours}::uuid`;
}

/** Keeps why a finding cannot be settled yet. @returns whether that is news */
export async function noteFailure(
  db: Database,
  kind: FindingKind,
  reference: string,
  detail: string,
): Promise<boolean> {
  const changed = await db.$executeRaw`
    UPDATE reconciliation_findings SET detail = ${detail.slice(0, 300)}, updated_at = now()
    WHERE kind = ${kind} AND gateway_reference = ${reference} AND detail IS DISTINCT FROM ${detail.slice(0, 300)}`;
  return changed > 0;
}

/** A settled finding whose charge holds money again is for a human. @returns false if it was said before */
export async function escalateFinding(
  db: Database,
  kind: FindingKind,
  reference: string,
  detail: string,
): Promise<boolean> {
  const { count } = await db.reconciliationFinding.updateMany({
    where: { kind, gatewayReference: reference, action: { in: ['refunding', 'refunded'] } },
    data: { action: 'reported', detail, updatedAt: new Date() },
  });
  return count > 0;
}

/** @returns what was begun about a charge and not finished */
export async function listInHand(
  db: Database,
  reference: string,
): Promise<{ kind: FindingKind; action: FindingAction }[]> {
  const rows = await db.reconciliationFinding.findMany({
    where: { gatewayReference: reference, action: { in: ['waiting', 'refunding', 'cancelling'] } },
  });
  return rows.map((row) => ({ kind: row.kind as FindingKind, action: row.action as FindingAction }));
}

/** Takes a finding off the list: the two ledgers agree after all. */
export async function dropFinding(db: Database, kind: FindingKind, reference: string): Promise<void> {
  await db.reconciliationFinding.deleteMany({
    where: { kind, gatewayReference: reference, action: { in: ['waiting', 'refunding', 'cancelling'] } },
  });
}
