/** Leases: which process does a work that one at a time should do. They save work; what is done is safe to do twice. */
import type { Database } from './database.js';

/** Takes or renews it. @returns false while another process holds it */
export async function takeLease(
  db: Database,
  name: string,
  { owner, leaseMs }: { owner: string; leaseMs: number },
): Promise<boolean> {
  const taken = await db.$executeRaw`
    INSERT INTO leases AS l (name, owner, until) VALUES (${name}, ${owner}, now() + ${leaseMs}::float8 * interval '1 ms')
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE l.owner = excluded.owner OR l.until < now()`;
  return taken > 0;
}

/** Lets another process take over at once. */
export async function giveUpLease(db: Database, name: string, owner: string): Promise<void> {
  await db.$executeRaw`DELETE FROM leases WHERE name = ${name} AND owner = ${owner}`;
}
