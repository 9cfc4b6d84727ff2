/**
 * Scans: reading of the gateway's lists that goes on from pass to pass, page by page. A gap is what a pass could not read to
 * its end; the others are read again and again, for what changes behind our backs. Times by the gateway's clock.
 */
import type { Database } from './database.js';

/** `charges-gap` and `refunds-gap` are due while there is one. */
export const SCANS = [
  'charges-gap',
  'refunds-gap',
  'charges-day',
  'refunds-young',
  'refunds-old',
  'disputes-young',
  'disputes-old',
] as const;
export type ScanName = (typeof SCANS)[number];

/** `since` null = it is not under way. */
export type Scan = { since: Date | null; until: Date | null; after: string | null; isDue: boolean };

export async function readScan(db: Database, scan: ScanName): Promise<Scan> {
  const [row] = await db.$queryRaw<Scan[]>`
    SELECT since, until, after, due_at <= now() AS "isDue" FROM reconciliation_scans WHERE scan = ${scan}`;
  return row ?? { since: null, until: null, after: null, isDue: !scan.endsWith('-gap') };
}

/** Keeps the page at which it goes on. */
export async function keepScan(
  db: Database,
  scan: ScanName,
  { since, until, after }: { since: Date; until: Date | null; after: string | null },
): Promise<void> {
  const place = { since, until, after, updatedAt: new Date() };
  await db.reconciliationScan.upsert({ where: { scan }, create: { scan, ...place }, update: place });
}

/**
 * A pass was broken off: what is older than `after`, down to `since`, is still to be read. An older gap becomes part of it,
 * so that there is one only; what lies between is read twice.
 */
export async function openGap(db: Database, scan: ScanName, since: Date, after: string): Promise<void> {
  await db.$executeRaw`
    INSERT INTO reconciliation_scans AS s (scan, since, after) VALUES (${scan}, ${since}, ${after})
    ON CONFLICT (scan) DO UPDATE SET since = least(s.since, excluded.since), after = excluded.after, updated_at = now()`;
}

/** It has come to its end, and begins again after a while; a gap is closed. */
export async function endScan(db: Database, scan: ScanName, dueInMs: number): Promise<void> {
  if (scan.endsWith('-gap')) {
    await db.reconciliationScan.deleteMany({ where: { scan } });
    return;
  }
  await db.$executeRaw`
    INSERT INTO reconciliation_scans (scan, due_at) VALUES (${scan}, now() + ${dueInMs}::float8 * interval '1 ms')
    ON CONFLICT (scan) DO UPDATE SET since = NULL, until = NULL, after = NULL, due_at = excluded.due_at, updated_at = now()`;
}
