/** The audit trail as it is searched: the newest first, by who, what and when. */
import { Prisma } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';
import { CALL_KINDS } from './calls.js';
import type { AuditEntry, AuditPlace } from './listing.js';

export type AuditFilter = {
  /** Acts are acts and their outcomes, without seals and removals, which nobody makes. */
  kind?: AuditEntry['kind'] | undefined;
  subject?: string | undefined;
  /** What it was done to: an order, a SKU, a brake, a dead letter, a finding. */
  resource?: string | undefined;
  /** Method and pattern of the path, or the command. */
  route?: string | undefined;
  from?: Date | undefined;
  until?: Date | undefined;
};
/** Before all that there is. */
export const AUDIT_END: AuditPlace = { trail: 1e15, acts: 1e15, calls: 1e15 };

type Row = Omit<AuditEntry, 'id' | 'place'> & { id: bigint; of: keyof AuditPlace };

/** @returns entries before a place that match, the newest first, each with the place before it */
export async function searchAudit(
  db: Database,
  filter: AuditFilter,
  place: AuditPlace,
  limit: number,
): Promise<AuditEntry[]> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT entry.* FROM (
      (SELECT 'acts' AS of, id, kind, at, at AS "firstAt", 1 AS times, subject, route, resource, reason,
        coalesce(status, 0) AS status, correlation_id AS "correlationId", source, before, after, encode(hash, 'hex') AS hash
      FROM audit_acts WHERE id < ${place.acts}::bigint AND ${matching(filter, 'acts')} ORDER BY id DESC LIMIT ${limit})
      UNION ALL
      (SELECT 'calls', id, kind, at, first_at, times, subject, route, resource, NULL, status, correlation_id, source, NULL, NULL,
        encode(hash, 'hex')
      FROM audit_calls WHERE id < ${place.calls}::bigint AND ${matching(filter, 'calls')} ORDER BY id DESC LIMIT ${limit})
      UNION ALL
      (SELECT 'trail', id, 'legacy', at, first_at, times, subject, route, resource, NULL, status, correlation_id, source, NULL, NULL,
        encode(hash, 'hex')
      FROM audit_trail WHERE id < ${place.trail}::bigint AND ${matching(filter, 'trail')} ORDER BY id DESC LIMIT ${limit})
    ) AS entry ORDER BY min(at) OVER (PARTITION BY of ORDER BY id DESC) DESC, of, id DESC LIMIT ${limit}`; // a time that was tampered with skips none
  let before = place;
  return rows.map(({ of, ...row }) => {
    before = { ...before, [of]: Number(row.id) };
    return { ...row, id: Number(row.id), place: before };
  });
}

/** In which table entries of a kind are. Where none can be, none is looked for: it would be done through all that there is. */
const tableOf = (kind: AuditEntry['kind']): keyof AuditPlace =>
  kind === 'legacy' ? 'trail' : (CALL_KINDS as readonly string[]).includes(kind) ? 'calls' : 'acts';

const matching = (filter: AuditFilter, table: keyof AuditPlace): Prisma.Sql => {
  const { kind, subject, resource, route, from, until } = filter;
  if (kind !== undefined && tableOf(kind) !== table) return Prisma.sql`false`;
  return Prisma.join(
    [
      Prisma.sql`true`,
      ...(kind === undefined || kind === 'legacy' ? [] : [Prisma.sql`kind = ${kind}`]),
      ...(subject === undefined ? [] : [Prisma.sql`subject = ${subject}`]),
      ...(resource === undefined ? [] : [Prisma.sql`resource = ${resource}`]),
      ...(route === undefined ? [] : [Prisma.sql`route = ${route}`]),
      ...(from === undefined ? [] : [Prisma.sql`at >= ${from}`]),
      ...(until === undefined ? [] : [Prisma.sql`at < ${until}`]),
    ],
    ' AND ',
  );
};
