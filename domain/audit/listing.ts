/** The audit trail as auditors read it: acts, calls and what was recorded before there was a chain, in one list by time. */
import type { Database } from '../database.js';
import type { Values } from './acts.js';

/** How far each of the three has been read: an id is visible before the next one of its table is given, so none is skipped. */
export type AuditPlace = { trail: number; acts: number; calls: number };
export const AUDIT_START: AuditPlace = { trail: 0, acts: 0, calls: 0 };

export type AuditEntry = {
  id: number;
  /** `legacy` = of before the chain. */
  kind: 'act' | 'outcome' | 'seal' | 'purge' | 'refused' | 'read' | 'no-effect' | 'legacy';
  at: Date;
  firstAt: Date;
  times: number;
  subject: string | null;
  route: string;
  resource: string | null;
  reason: string | null;
  /** 0 = not over HTTP. */
  status: number;
  correlationId: string;
  source: string | null;
  before: Values | null;
  after: Values | null;
  hash: string;
  place: AuditPlace;
};
type Row = Omit<AuditEntry, 'id' | 'place'> & { id: bigint; of: keyof AuditPlace };

/** @returns entries after a place, by time, each with the place after it */
export async function listAudit(db: Database, place: AuditPlace, limit: number): Promise<AuditEntry[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT entry.* FROM (
      (SELECT 'acts' AS of, id, kind, at, at AS "firstAt", 1 AS times, subject, route, resource, reason,
        coalesce(status, 0) AS status, correlation_id AS "correlationId", source, before, after, encode(hash, 'hex') AS hash
      FROM audit_acts WHERE id > ${place.acts}::bigint ORDER BY id LIMIT ${limit})
      UNION ALL
      (SELECT 'calls', id, kind, at, first_at, times, subject, route, resource, NULL, status, correlation_id, source, NULL, NULL,
        encode(hash, 'hex')
      FROM audit_calls WHERE id > ${place.calls}::bigint ORDER BY id LIMIT ${limit})
      UNION ALL
      (SELECT 'trail', id, 'legacy', at, first_at, times, subject, route, resource, NULL, status, correlation_id, source, NULL, NULL,
        encode(hash, 'hex')
      FROM audit_trail WHERE id > ${place.trail}::bigint ORDER BY id LIMIT ${limit})
    ) AS entry ORDER BY max(at) OVER (PARTITION BY of ORDER BY id), of, id LIMIT ${limit}`; // a time that was tampered with skips none
  let next = place;
  return rows.map(({ of, ...row }) => {
    next = { ...next, [of]: Number(row.id) };
    return { ...row, id: Number(row.id), place: next };
  });
}
