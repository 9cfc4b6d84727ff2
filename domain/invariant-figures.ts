/** How many violations of each invariant the verifier knows of: kept for processes that do not verify. The verifier alone writes it. */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';

export type InvariantFigure = { invariant: string; violations: number; since: Date; lookedAt: Date };

/** Those of invariants that are not named stay. */
export async function keepInvariantFigures(db: Database, counts: ReadonlyMap<string, number>): Promise<void> {
  await db.$executeRaw`
    INSERT INTO invariant_figures AS f (invariant, violations, since, looked_at)
    SELECT invariant, violations, CASE WHEN violations > 0 THEN now() END, now()
    FROM unnest(${[...counts.keys()]}::text[], ${[...counts.values()]}::int[]) AS figures (invariant, violations)
    ON CONFLICT (invariant) DO UPDATE SET violations = excluded.violations, looked_at = excluded.looked_at,
      since = CASE WHEN excluded.violations > 0 THEN coalesce(f.since, excluded.since) END`;
}

/** @returns those that are violated, as they were last looked at */
export async function readInvariantFigures(db: Database): Promise<InvariantFigure[]> {
  return db.$queryRaw`
    SELECT invariant, violations, coalesce(since, looked_at) AS since, looked_at AS "lookedAt"
    FROM invariant_figures WHERE violations > 0 ORDER BY invariant`;
}

/** A pass may take so long: the same as the alarm VerificationStalled says. */
const LATE_AFTER = { 'verified-new': Prisma.sql`interval '15 min'`, 'verified-all': Prisma.sql`interval '1 day'` };

/** @returns since when no pass has come to its end, while a process verifies; null = in time, or nobody verifies */
export async function readVerificationStall(db: Database): Promise<Date | null> {
  const [row] = await db.$queryRaw<{ since: Date | null }[]>`
    SELECT max(reached_at) AS since FROM progress_marks
    WHERE EXISTS (SELECT FROM leases WHERE name = 'verifier' AND until > now())
      AND ((name = 'verified-new' AND reached_at < now() - ${LATE_AFTER['verified-new']})
        OR (name = 'verified-all' AND reached_at < now() - ${LATE_AFTER['verified-all']}))`;
  return row?.since ?? null;
}
