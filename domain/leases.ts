/** Leases: which process does a work that one at a time should do. They save work; what is done is safe to do twice. */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';

/**
 * Whether a lease of some seconds is over. One that ends later than any can was taken while the database's clock was ahead: whoever
 * holds it may be dead, and would keep it for as long as the clock has gone back. Who lives renews it, by the clock as it is now.
 */
export const isOver = (until: Prisma.Sql, longestMs = 60_000): Prisma.Sql =>
  Prisma.sql`${until} NOT BETWEEN now() AND now() + ${longestMs}::float8 * interval '1 ms'`;

/** By builds before and after this one. */
const LONGEST_LEASES = 4;

/** Takes or renews it. @returns false while another process holds it */
export async function takeLease(
  db: Database,
  name: string,
  { owner, leaseMs }: { owner: string; leaseMs: number },
): Promise<boolean> {
  const taken = await db.$executeRaw`
    INSERT INTO leases AS l (name, owner, until) VALUES (${name}, ${owner}, now() + ${leaseMs}::float8 * interval '1 ms')
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE l.owner = excluded.owner OR ${isOver(Prisma.sql`l.until`, LONGEST_LEASES * leaseMs)}`;
  return taken > 0;
}

/** Lets another process take over at once. */
export async function giveUpLease(db: Database, name: string, owner: string): Promise<void> {
  await db.$executeRaw`DELETE FROM leases WHERE name = ${name} AND owner = ${owner}`;
}
