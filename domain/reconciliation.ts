/**
 * Reconciliation, as facts: what was found where the gateway's ledger and ours differ, and what was done about it.
 * A finding is one kind of difference at one charge; it is written before anything is done about it, so that a
 * process that dies in between leaves work in hand, not a gap. What is to be done is decided in reconciliation/.
 */
import type { CancellationReason, OrderStatus } from '../contracts/orders.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { AGREED_AGAIN, hasClosedItself, NOT_SURPLUS } from './finding-details.js';
import type { PaymentStatus } from './payments.js';

/** In the saga log: who acted. */
const RECONCILER = 'reconciler';
/** An order as far as its money goes; amounts in the minor unit. */
export type OrderMoney = {
  orderId: string;
  /** Of the call that placed the order. */
  correlationId: string;
  status: OrderStatus;
  unwindingReason: CancellationReason | null;
  total: number;
  currency: string;
  /** With which its charge is marked; null: accepted before there were marks. */
  installationId: string | null;
  payment: PaymentStatus | null;
  gatewayReference: string | null;
  createdAt: Date;
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const uuidOf = (orderId: string): string | null => (UUID.test(orderId) ? orderId : null);

/** What a charge is looked up by: the order that it names, and its own reference, which may stand in a payment. */
export type ChargeName = { reference: string; orderId: string | null };

/**
 * @param charges as the gateway has them
 * @returns by reference: the order whose payment names the charge, else the order that the charge names; strangers' are absent
 */
export async function readOrdersMoney(db: Database, charges: ChargeName[]): Promise<Map<string, OrderMoney>> {
  const named = charges.flatMap(({ orderId }) => (orderId !== null && UUID.test(orderId) ? [orderId] : []));
  const rows = await db.$queryRaw<(Omit<OrderMoney, 'total'> & { total: bigint })[]>`
    SELECT o.id AS "orderId", o.correlation_id AS "correlationId", o.status, o.unwinding_reason AS "unwindingReason", o.total_amount AS total, o.currency,
      o.installation_id AS "installationId", p.status AS payment, p.gateway_reference AS "gatewayReference", o.created_at AS "createdAt"
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
    WHERE o.id IN (
      SELECT unnest(${named}::uuid[])
      UNION SELECT order_id FROM payments WHERE gateway_reference = ANY(${charges.map(({ reference }) => reference)}::text[]))`;
  const money = rows.map((row): OrderMoney => ({ ...row, total: Number(row.total) }));
  const byId = new Map(money.map((order) => [order.orderId, order]));
  const byReference = new Map(money.map((order) => [order.gatewayReference, order]));
  return new Map(
    charges.flatMap(({ reference, orderId }) => {
      const order = byReference.get(reference) ?? byId.get(orderId?.toLowerCase() ?? '');
      return order ? [[reference, order] as const] : [];
    }),
  );
}

/** @returns the charge that is on record for the order, null if there is none */
export async function readRecordedCharge(db: Database, orderId: string): Promise<string | null> {
  if (!UUID.test(orderId)) return null;
  return (
    (await db.payment.findUnique({ where: { orderId }, select: { gatewayReference: true } }))?.gatewayReference ?? null
  );
}

/** A charge that we have on record and that a list of the gateway's did not show. */
export type UnseenCharge = {
  orderId: string;
  correlationId: string;
  reference: string;
  amount: number;
  currency: string;
};

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
    SELECT p.order_id AS "orderId", o.correlation_id AS "correlationId", p.gateway_reference AS reference, p.amount, p.currency
    FROM payments p JOIN orders o ON o.id = p.order_id
    WHERE p.created_at BETWEEN ${between.from} AND ${between.until}
      AND p.status = 'CHARGED' AND p.gateway_reference IS NOT NULL AND o.status = 'CONFIRMED' AND o.unwinding_reason IS NULL
      AND NOT EXISTS (SELECT FROM unnest(${seen}::text[]) AS s WHERE s = p.gateway_reference)
      AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'MISSING_CHARGE' AND f.gateway_reference = p.gateway_reference)
    ORDER BY p.created_at LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
}

/**
 * @param refunds as the gateway lists them
 * @returns the charges among them that are to be looked at: ours, and not just what our ledger says of them
 */
export async function listNewsOfRefunds(
  db: Database,
  refunds: { reference: string; chargeReference: string; orderId: string | null; isAlive: boolean }[],
): Promise<string[]> {
  if (refunds.length === 0) return [];
  const rows = await db.$queryRaw<{ charge: string }[]>`
    SELECT DISTINCT r.charge FROM unnest(${refunds.map((r) => r.reference)}::text[], ${refunds.map((r) => r.chargeReference)}::text[],
      ${refunds.map((r) => r.orderId ?? '')}::text[], ${refunds.map((r) => r.isAlive)}::boolean[]) AS r(refund, charge, order_id, is_alive)
    LEFT JOIN payments p ON p.gateway_reference = r.charge
    LEFT JOIN orders o ON o.id = CASE WHEN r.order_id ~* ${UUID_TEXT} THEN r.order_id::uuid END
    WHERE (p.order_id IS NOT NULL OR o.id IS NOT NULL)
      AND NOT (r.is_alive AND p.order_id IS NOT NULL AND p.status = 'REFUNDED' AND p.refund_reference = r.refund)`;
  return rows.map((row) => row.charge);
}
const UUID_TEXT = '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$';

/** @returns those of the charges that are on record with us */
export async function listRecorded(db: Database, references: string[]): Promise<string[]> {
  const rows = await db.$queryRaw<{ reference: string }[]>`
    SELECT gateway_reference AS reference FROM payments WHERE gateway_reference = ANY(${references}::text[])`;
  return rows.map(({ reference }) => reference);
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
  | 'MISSING_CHARGE'
  /** It names an order of ours and would fit it, but is not marked as ours. */
  | 'UNMARKED_CHARGE'
  /** The money was given back, and came back. */
  | 'REFUND_FAILED'
  /** The money is on its way back, and its customer has to do something for it. */
  | 'REFUND_WAITS'
  | 'DISPUTED'
  /** No charge's: the account does not know this database. */
  | 'ACCOUNT_HELD';
/** Findings that are settled by giving a charge back. */
export const GIVEN_BACK: FindingKind[] = ['LATE_CHARGE', 'DOUBLE_CHARGE', 'LOST_REFUND', 'REFUND_FAILED'];
/** Findings that an operator may have settled so: a charge without marks, or without an order, is given back only when one asks for it. */
export const GIVEN_BACK_ON_WORD: FindingKind[] = [...GIVEN_BACK, 'UNMARKED_CHARGE', 'ORPHAN_CHARGE'];
export type FindingAction = 'waiting' | 'refunding' | 'refunded' | 'cancelling' | 'cancelled' | 'reported';
export type Subject = { reference: string; orderId: string; amount: number; currency: string };

/**
 * Writes a finding down, or what has changed of it: it follows the ledger. What was settled and is there again is in hand
 * again; what an operator has closed for good stays closed until its amount is another.
 * @returns how it stands, and whether that is news
 */
export async function openFinding(
  db: Database,
  kind: FindingKind,
  action: FindingAction,
  subject: Subject,
  detail: string | null = null,
): Promise<{ action: FindingAction; detail: string | null; isNew: boolean }> {
  const { reference, orderId, amount, currency } = subject;
  const [row] = await db.$queryRaw<{ action: FindingAction; detail: string | null; isNew: boolean }[]>`
    WITH decided AS (
      DELETE FROM reconciliation_findings WHERE kind = 'UNDECIDED' AND gateway_reference = ${reference} AND ${kind} <> 'UNDECIDED'
    ), before AS (
      SELECT action, amount FROM reconciliation_findings WHERE kind = ${kind} AND gateway_reference = ${reference}
    )
    INSERT INTO reconciliation_findings AS f (kind, gateway_reference, order_id, amount, currency, action, detail)
    VALUES (${kind}, ${reference}, ${orderId.slice(0, 500)}, ${amount}::bigint, ${currency}, ${action}, ${detail})
    ON CONFLICT (kind, gateway_reference) DO UPDATE SET updated_at = now(), amount = excluded.amount,
      detail = CASE WHEN ${hasClosedItself} THEN excluded.detail
        WHEN f.amount <> excluded.amount THEN coalesce(excluded.detail, f.detail) ELSE f.detail END,
      action = CASE WHEN ${hasClosedItself} THEN excluded.action
        WHEN f.action IN ('refunded', 'cancelled') AND f.amount <> excluded.amount THEN excluded.action
        WHEN f.action = 'refunded' THEN excluded.action ELSE f.action END
    RETURNING f.action, f.detail,
      f.xmax = 0 OR EXISTS (SELECT FROM before b WHERE b.action <> f.action OR b.amount <> f.amount) AS "isNew"`;
  if (!row) throw new Error(`Bug! The finding ${kind} of ${reference} was neither written nor there`);
  return row;
}

/**
 * Keeps that a finding is settled, in the saga log as well. A refund of the order's own charge also closes its payment.
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
      WHERE p.order_id = ${ours}::uuid AND ${kind} IN ('LATE_CHARGE', 'LOST_REFUND', 'REFUND_FAILED') AND ${refundReference}::text IS NOT NULL
        AND (p.status IN ('VOIDED', 'DECLINED') OR (p.status = 'REFUNDED' AND p.gateway_reference = ${reference}))
    )
    INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
    SELECT o.id, 'reconciliation', ${action}, 1, ${RECONCILER}, ${`${kind} ${reference}`}
    FROM closed JOIN orders o ON o.id = ${ours}::uuid`;
}

/** Keeps why a finding cannot be settled yet, behind what an operator was told of it who ordered it. @returns whether that is news */
export async function noteFailure(
  db: Database,
  kind: FindingKind,
  reference: string,
  detail: string,
): Promise<boolean> {
  const why = detail.slice(0, 300);
  const noted = Prisma.sql`CASE WHEN starts_with(detail, ${NOT_SURPLUS}) THEN ${`${NOT_SURPLUS}. ${why}`} ELSE ${why} END`;
  const changed = await db.$executeRaw`
    UPDATE reconciliation_findings SET detail = ${noted}, updated_at = now()
    WHERE kind = ${kind} AND gateway_reference = ${reference} AND detail IS DISTINCT FROM ${noted}`;
  return changed > 0;
}

/** What a machine has begun and may not go on with is for a human. @returns false if it was said before */
export async function escalateFinding(
  db: Database,
  kind: FindingKind,
  reference: string,
  detail: string,
): Promise<boolean> {
  const escalated = await db.$queryRaw<unknown[]>`
    WITH escalated AS (
      UPDATE reconciliation_findings SET action = 'reported', detail = ${detail.slice(0, 1_000)}, updated_at = now()
      WHERE kind = ${kind} AND gateway_reference = ${reference} AND action IN ('refunding', 'refunded', 'cancelling')
      RETURNING order_id
    ), logged AS (
      INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
      SELECT o.id, 'reconciliation', 'reported', 0, ${RECONCILER}, left(format('%s %s: %s', ${kind}::text, ${reference}::text, ${detail}::text), 1000)
      FROM escalated JOIN orders o ON o.id::text = lower(escalated.order_id)
    )
    SELECT 1 AS escalated FROM escalated`;
  return escalated.length > 0;
}

/** What was reported and is not so any more closes itself. @param except the kinds that still may be */
export async function retractFindings(db: Database, reference: string, except: FindingKind[]): Promise<void> {
  await db.$executeRaw`
    WITH closed AS (
      UPDATE reconciliation_findings f SET action = 'cancelled', updated_at = now(), detail = ${AGREED_AGAIN}
      WHERE gateway_reference = ${reference} AND action = 'reported' AND kind <> ALL(${except}::text[])
      RETURNING kind, order_id
    )
    INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
    SELECT o.id, 'reconciliation', 'cancelled', 0, ${RECONCILER}, format('%s %s: %s', closed.kind, ${reference}::text, ${AGREED_AGAIN}::text)
    FROM closed JOIN orders o ON o.id::text = lower(closed.order_id)`;
}

/** @returns those of the charges of which something is open, in hand or reported */
export async function listOpenReferences(db: Database, references: string[]): Promise<Set<string>> {
  if (references.length === 0) return new Set();
  const rows = await db.$queryRaw<{ reference: string }[]>`
    SELECT DISTINCT gateway_reference AS reference FROM reconciliation_findings
    WHERE gateway_reference = ANY(${references}::text[]) AND action NOT IN ('refunded', 'cancelled')`;
  return new Set(rows.map(({ reference }) => reference));
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

/** Takes a finding off the list: the two ledgers agree after all. What an operator has said of it stays, and so does it. */
export async function dropFinding(db: Database, kind: FindingKind, reference: string): Promise<void> {
  const where = { kind, gatewayReference: reference, action: { in: ['waiting', 'refunding', 'cancelling'] } };
  await db.reconciliationFinding.deleteMany({ where: { ...where, closings: { none: {} } } });
  await db.reconciliationFinding.updateMany({
    where,
    data: { action: 'cancelled', detail: AGREED_AGAIN, updatedAt: new Date() },
  });
}
