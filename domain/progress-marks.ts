/** Progress marks: up to which time something is done, for whichever process goes on with it. A mark never goes back. */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';

/**
 * - `events-purged`     retention has removed events that had occurred before then, and none that occurred later
 * - `verified-new`, `verified-all` when a pass of the verification came to its end, whichever process made it
 * - `trouble-seen`      when something was last seen to be wrong that leaves no mark of its own, whichever process looked (api/overview)
 */
export type ProgressMark = 'events-purged' | 'verified-new' | 'verified-all' | 'trouble-seen';

/** @param at a SELECT of the time, or of nothing */
export const reach = (name: ProgressMark, at: Prisma.Sql): Prisma.Sql => Prisma.sql`
  INSERT INTO progress_marks AS m (name, reached_at) SELECT ${name}, at FROM (${at}) AS reached (at)
  ON CONFLICT (name) DO UPDATE SET reached_at = greatest(m.reached_at, excluded.reached_at)`;

export async function reachNow(db: Database, name: ProgressMark): Promise<void> {
  await db.$executeRaw(reach(name, Prisma.sql`SELECT now()`));
}

/** @returns null if it never was reached */
export async function readMark(db: Database, name: ProgressMark): Promise<Date | null> {
  const mark = await db.progressMark.findUnique({ where: { name }, select: { reachedAt: true } });
  return mark?.reachedAt ?? null;
}

/** @returns when it was reached; where it never was, the count begins now */
export async function beginMark(db: Database, name: ProgressMark): Promise<Date> {
  const [row] = await db.$queryRaw<{ at: Date }[]>`
    INSERT INTO progress_marks AS m (name, reached_at) VALUES (${name}, now())
    ON CONFLICT (name) DO UPDATE SET reached_at = m.reached_at RETURNING reached_at AS at`;
  if (!row) throw new Error('Bug! Postgres returned no row of an upsert');
  return row.at;
}
