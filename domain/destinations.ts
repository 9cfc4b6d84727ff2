/** Which destinations there are, and who serves them: as their relays have noted it. */
import type { Database } from './database.js';

export type DestinationStanding = {
  destination: string;
  /** Partitions that it has, and those under a lease that is running. */
  partitions: number;
  served: number;
  /** Relay processes that live and have it configured. */
  relays: number;
};

export async function readDestinations(db: Database): Promise<DestinationStanding[]> {
  return db.$queryRaw`
    SELECT c.destination, count(*)::int AS partitions,
      count(*) FILTER (WHERE c.lease_owner IS NOT NULL AND c.lease_until > now())::int AS served,
      (SELECT count(*)::int FROM relay_members m WHERE m.destination = c.destination AND m.alive_until > now()) AS relays
    FROM relay_cursors c GROUP BY c.destination ORDER BY c.destination`;
}

/** @returns the destinations that have not taken all events of this order yet, dead letters excepted */
export async function listOwing(db: Database, orderId: string): Promise<string[]> {
  const rows = await db.$queryRaw<{ destination: string }[]>`
    SELECT c.destination FROM relay_cursors c
    WHERE c.partition = (get_byte(uuid_send(${orderId}::uuid), 15) & 15) AND EXISTS (
      SELECT FROM outbox e WHERE e.order_id = ${orderId}::uuid
        AND (e.feed_xid, e.feed_position) > (c.feed_xid, c.feed_position))
    ORDER BY 1`;
  return rows.map(({ destination }) => destination);
}
