/**
 * The audit trail: an entry is in it for every privileged call that was answered, and for refused ones, which may share an
 * entry. Append-only and chained by the table itself. No bodies and no personal data: subjects are opaque.
 */
import type { Database } from './database.js';

export type AuditEntry = {
  /** null = the caller was not identified. */
  subject: string | null;
  /** Method and pattern, as in the table of permissions. */
  route: string;
  /** What the path named; null = nothing, or several things. */
  resource: string | null;
  /** HTTP status of the answer. */
  status: number;
  correlationId: string;
  source: string | null;
  /** How many calls this entry stands for, and when the first of them was; both only for refused ones. */
  times?: number;
  firstAt?: Date;
};

/** As long as the table keeps. */
const ACTOR_MAX = 128;
const TEXT_MAX = 200;
const SOURCE_MAX = 64;

/** Writers wait for each other: the entries of many calls belong in one statement. */
export async function recordAudit(db: Database, entries: AuditEntry[]): Promise<void> {
  const cut = (value: string | null, max: number) => value?.slice(0, max) ?? null;
  await db.$executeRaw`
    INSERT INTO audit_trail (subject, route, resource, status, correlation_id, source, times, first_at)
    SELECT * FROM unnest(
      ${entries.map((entry) => cut(entry.subject, ACTOR_MAX))}::text[],
      ${entries.map((entry) => cut(entry.route, TEXT_MAX))}::text[],
      ${entries.map((entry) => cut(entry.resource, TEXT_MAX))}::text[],
      ${entries.map((entry) => entry.status)}::int[],
      ${entries.map((entry) => cut(entry.correlationId, ACTOR_MAX))}::text[],
      ${entries.map((entry) => cut(entry.source, SOURCE_MAX))}::text[],
      ${entries.map((entry) => entry.times ?? 1)}::int[],
      ${entries.map((entry) => entry.firstAt?.toISOString() ?? null)}::timestamptz[])`;
}

/** Entries after an id, oldest first. An id is visible before the next one is given, so none is skipped. */
export async function listAudit(db: Database, after: bigint, limit: number) {
  return db.auditEntry.findMany({
    where: { id: { gt: after } },
    orderBy: { id: 'asc' },
    take: limit,
    omit: { hash: true },
  });
}
