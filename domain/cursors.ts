/**
 * A destination's cursor: how far in the feed it has been served, and which relay process serves it now. The lease keeps
 * two relays from doing the same work; it is not what keeps the order of events: whoever sends begins at the cursor and
 * sends each order's events in sequence, so even a relay that wakes up late only repeats what was sent.
 */
import type { Database } from './database.js';
import type { FeedPlace } from './outbox.js';

/**
 * Takes or renews the lease of a destination; creates its cursor at the feed's start.
 * @param owner   the relay process, unique per process life
 * @param leaseMs how long a relay that stops answering delays its destination at most
 * @returns the cursor, or null while another relay holds the lease
 */
export async function leaseCursor(
  db: Database,
  { destination, owner, leaseMs }: { destination: string; owner: string; leaseMs: number },
): Promise<FeedPlace | null> {
  const [cursor] = await db.$queryRaw<FeedPlace[]>`
    INSERT INTO relay_cursors AS c (destination, lease_owner, lease_until)
    VALUES (${destination}, ${owner}, now() + ${leaseMs}::float8 * interval '1 ms')
    ON CONFLICT (destination) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until
    WHERE c.lease_owner = excluded.lease_owner OR c.lease_owner IS NULL OR c.lease_until < now()
    RETURNING feed_xid AS "feedXid", feed_position AS "feedPosition"`;
  return cursor ?? null;
}

/** Moves the cursor forward and renews the lease. @returns false if the lease has gone to another relay meanwhile */
export async function advanceCursor(
  db: Database,
  { destination, owner, leaseMs }: { destination: string; owner: string; leaseMs: number },
  to: FeedPlace,
): Promise<boolean> {
  const moved = await db.$executeRaw`
    UPDATE relay_cursors SET feed_xid = ${to.feedXid}::bigint, feed_position = ${to.feedPosition}::bigint,
      lease_until = now() + ${leaseMs}::float8 * interval '1 ms', updated_at = now()
    WHERE destination = ${destination} AND lease_owner = ${owner}`;
  return moved > 0;
}

/** Lets go of every lease of this relay, so that another takes over at once. */
export async function releaseLeases(db: Database, owner: string): Promise<void> {
  await db.$executeRaw`UPDATE relay_cursors SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ${owner}`;
}
