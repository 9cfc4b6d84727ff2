/** Reading what reconciliation has found, and asking for one: for its own next pass, for operators and for auditors. */
import { RECONCILIATION_CHANNEL } from '../contracts/ids.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { ofAnyLength } from './planning.js';
import type { FindingAction, FindingKind } from './reconciliation.js';

export type Finding = {
  /** By which it is closed; null where an operator vouched for money that no gateway knows: that is no finding of its own. */
  id: string | null;
  kind: FindingKind;
  /** The gateway's id of the charge; '' where an operator vouched for money that no gateway knows. */
  reference: string;
  orderId: string;
  amount: number;
  currency: string;
  action: FindingAction;
  detail: string | null;
  /** The operator who closed it last, and why; it may have been reported again since. Where `id` is null: who vouches. */
  closedBy: string | null;
  /** How; `refunding` = they had one more refund made. */
  closedAs: FindingAction | null;
  reason: string | null;
  at: Date;
  updatedAt: Date;
};

/**
 * Findings, newest change first, and with them every order whose money an operator vouches for: no ledger proves those, and
 * they are no findings (`isVouched`).
 * @param filter.open only what is not settled: in hand, or waiting for a human
 */
export async function listFindings(
  db: Database,
  filter: { ids?: string[]; orderId?: string; since?: Date; open?: boolean } = {},
  limit = 1_000,
): Promise<Finding[]> {
  const { ids = null, orderId = null, since = null, open = false } = filter;
  const rows = await db.$queryRaw<(Omit<Finding, 'amount'> & { amount: bigint })[]>`
    SELECT * FROM (
      SELECT f.id::text, kind, gateway_reference AS reference, order_id AS "orderId", amount, currency, f.action, detail,
        c.operator AS "closedBy", c.action AS "closedAs", c.reason, f.at, updated_at AS "updatedAt"
      FROM reconciliation_findings f LEFT JOIN LATERAL (
        SELECT operator, action, reason FROM reconciliation_closings WHERE finding_id = f.id ORDER BY id DESC LIMIT 1
      ) AS c ON true
      UNION ALL
      SELECT NULL, 'SETTLED_OUTSIDE', coalesce(p.gateway_reference, ''), p.order_id::text, p.amount, p.currency,
        CASE WHEN p.refund_reference IS NULL THEN 'reported' ELSE 'refunded' END, -- an operator vouches for that, too
        'An operator vouches for this money', (SELECT actor FROM saga_log l WHERE l.order_id = p.order_id
          AND l.step IN ('chargePayment', 'refundPayment') AND l.outcome = 'skipped' ORDER BY l.id DESC LIMIT 1),
        NULL, NULL, p.created_at, p.updated_at
      FROM payments p WHERE p.status = 'SETTLED_OUTSIDE'
        AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'SETTLED_OUTSIDE' AND f.order_id = p.order_id::text)
    ) AS f
    WHERE (${ids}::text[] IS NULL OR id = ANY(${ids}))
      AND (${orderId}::text IS NULL OR "orderId" = ${orderId}) AND (${since}::timestamptz IS NULL OR "updatedAt" >= ${since})
      AND (NOT ${open} OR action NOT IN ('refunded', 'cancelled'))
    ORDER BY "updatedAt" DESC LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
}

/** What an operator has said of money that no gateway knows: neither open nor a difference of the ledgers. It stays listed. */
export const isVouched = ({ id }: Finding): boolean => id === null;

/** @returns orders whose money nobody but an operator vouches for: as many as `listFindings` would list so */
export async function countVouched(db: Database): Promise<number> {
  const [row] = await db.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM payments p WHERE p.status = 'SETTLED_OUTSIDE'
      AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'SETTLED_OUTSIDE' AND f.order_id = p.order_id::text)`;
  return Number(row?.count ?? 0);
}

/**
 * What is in hand and what comes next: first what can be decided, since its order is final or was begun, then the longest
 * unseen. Each listing sends what it lists to the end of the queue.
 */
export type UnfinishedFinding = Pick<Finding, 'reference' | 'orderId'> & { correlationId: string | null };
export async function takeUnfinished(db: Database, limit: number): Promise<UnfinishedFinding[]> {
  return db.$queryRaw`
    UPDATE reconciliation_findings f SET updated_at = now() WHERE f.id IN (
      SELECT f.id FROM reconciliation_findings f
      LEFT JOIN orders o ON o.id = ${orderOfFinding}
      WHERE f.action IN ('waiting', 'refunding', 'cancelling')
      ORDER BY (f.action = 'waiting' AND o.status = 'PENDING') NULLS FIRST, f.updated_at LIMIT ${limit}
    ) RETURNING f.gateway_reference AS reference, f.order_id AS "orderId",
      (SELECT o.correlation_id FROM orders o WHERE o.id = ${orderOfFinding}) AS "correlationId"`;
}
const UUID = '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$';

/** The id of the order that a finding `f` may concern: null if what the gateway has is none. */
export const orderOfFinding = Prisma.sql`CASE WHEN f.order_id ~* ${UUID} THEN f.order_id::uuid END`;

/** How many findings of this kind a machine has acted on within the last hour. */
export async function countActedOn(db: Database, kind: FindingKind): Promise<number> {
  const [row] = await db.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM reconciliation_findings
    WHERE kind = ${kind} AND action IN ('refunding', 'refunded', 'cancelling', 'cancelled') AND at > now() - interval '1 hour'`;
  return Number(row?.count ?? 0);
}

/**
 * Asks for a comparison at once, by whichever process reconciles. A hint, as every notification: lost, it costs the time
 * until the next scheduled pass.
 * @param orderIds the orders that it is about, whose charges are then looked up however old they are; none = what is recent
 */
export async function requestReconciliation(db: Database, ...orderIds: string[]): Promise<void> {
  const named = orderIds.length === 0 ? [''] : orderIds;
  await db.$queryRaw`SELECT pg_notify(${RECONCILIATION_CHANNEL}, named)::text FROM unnest(${named}::text[]) AS named`;
}

/**
 * What a gateway's event says of a charge, which may be wrong. `sent back` = a refund came to nothing, or waits for the customer.
 * The order that it names, or the charge, which may be on record with us.
 */
export type PaymentClaim = {
  orderId: string | null;
  reference: string | null;
  says: 'taken' | 'not taken' | 'given back' | 'sent back' | 'disputed';
};

/** Whether money may have moved, of some order. */
export const mayBeNews = ({ orderId, says, reference }: PaymentClaim): boolean =>
  says !== 'not taken' && (orderId !== null || reference !== null);

/**
 * Whether our own ledger says the same as each of the claims, or will without help: then the gateway need not be asked.
 * One statement however many they are; each is looked up by unique keys.
 * @returns the orders whose charges are to be looked at: those of ours of which a claim says something new
 */
export async function readNews(db: Database, claims: PaymentClaim[]): Promise<string[]> {
  const rows = await db.$queryRaw<{ orderId: string }[]>`
    SELECT DISTINCT o.id AS "orderId"
    FROM unnest(${ofAnyLength(Prisma.sql`${claims.map((c) => c.orderId)}::uuid[]`)},
      ${ofAnyLength(Prisma.sql`${claims.map((c) => c.reference)}::text[]`)},
      ${ofAnyLength(Prisma.sql`${claims.map((c) => c.says)}::text[]`)}) AS c (order_id, reference, says)
    CROSS JOIN LATERAL (
      SELECT c.order_id WHERE c.order_id IS NOT NULL
      UNION ALL
      SELECT order_id FROM payments WHERE c.order_id IS NULL AND gateway_reference = c.reference
    ) AS named (id)
    JOIN orders o ON o.id = named.id LEFT JOIN payments p ON p.order_id = o.id
    WHERE CASE
      WHEN c.says IN ('sent back', 'disputed') THEN false
      WHEN o.status = 'PENDING' OR (o.status = 'CONFIRMED' AND o.unwinding_reason IS NOT NULL)
        THEN o.updated_at > now() - ${SAGA_AT_WORK}
      WHEN o.status = 'CONFIRMED' THEN c.says = 'taken' AND p.gateway_reference = c.reference AND p.status = 'CHARGED'
      ELSE p.gateway_reference = c.reference AND p.status = 'REFUNDED' -- taken, and given back since
    END IS NOT TRUE`;
  return rows.map(({ orderId }) => orderId);
}
/** A saga that moved within this time is at work, and gets the gateway's answer itself. */
const SAGA_AT_WORK = Prisma.sql`interval '30 seconds'`;
