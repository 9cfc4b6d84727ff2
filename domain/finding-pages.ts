/** Findings in pages, the newest first, for whoever leafs through them; `reconciliation-findings` has them as operators are told of them. */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import type { FindingAction, FindingKind } from './reconciliation.js';
import type { Finding } from './reconciliation-findings.js';

export type FindingFilter = {
  /** `open` = in hand, or reported for an operator; `reported` = the latter alone. */
  state: 'reported' | 'open' | 'all';
  kind?: FindingKind | undefined;
  orderId?: string | undefined;
};
export type NumberedFinding = Finding & { id: string };

const ofState = {
  reported: Prisma.sql`f.action = 'reported'`,
  open: Prisma.sql`f.action NOT IN ('refunded', 'cancelled')`,
  all: Prisma.sql`true`,
} as const;

const matching = ({ state, kind, orderId }: FindingFilter): Prisma.Sql => Prisma.sql`
  ${ofState[state]} AND (${kind ?? null}::text IS NULL OR f.kind = ${kind ?? null})
  AND (${orderId ?? null}::text IS NULL OR f.order_id = ${orderId ?? null})`;

type Row = Omit<NumberedFinding, 'amount'> & { amount: bigint };

/** @param before id of the page before its last; undefined = from the newest */
export async function listFindingPage(
  db: Database,
  filter: FindingFilter,
  limit: number,
  before?: string,
): Promise<NumberedFinding[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT f.id::text, kind, gateway_reference AS reference, order_id AS "orderId", amount, currency, f.action, detail,
      c.operator AS "closedBy", c.action AS "closedAs", c.reason, f.at, updated_at AS "updatedAt"
    FROM reconciliation_findings f LEFT JOIN LATERAL (
      SELECT operator, action, reason FROM reconciliation_closings WHERE finding_id = f.id ORDER BY id DESC LIMIT 1
    ) AS c ON true
    WHERE ${matching(filter)} AND (${before ?? null}::bigint IS NULL OR f.id < ${before ?? null}::bigint)
    ORDER BY f.id DESC LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
}

/** Findings that look alike, with the money that they are about. */
export type FindingGroup = {
  kind: FindingKind;
  action: FindingAction;
  currency: string;
  count: number;
  amount: number;
  oldest: Date;
};

/** Largest first. */
export async function groupFindings(db: Database, filter: FindingFilter): Promise<FindingGroup[]> {
  const rows = await db.$queryRaw<(Omit<FindingGroup, 'amount'> & { amount: bigint })[]>`
    SELECT f.kind, f.action, f.currency, count(*)::int AS count, sum(f.amount)::bigint AS amount, min(f.at) AS oldest
    FROM reconciliation_findings f WHERE ${matching(filter)}
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`;
  return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
}
