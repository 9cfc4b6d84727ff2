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

/** What a destination has been sent of one order, by the sequences of its events; what a dead letter holds counts as passed. */
export type DeliveryStanding = {
  destination: string;
  passed: number[];
  waiting: number[];
  /** When the first that waits came to be. */
  waitingSince: Date | null;
  /** When the newest that is passed came to be: it was sent after that. */
  passedAfter: Date | null;
};

/** @returns those that there are for the order's partition */
export async function readDeliveries(db: Database, orderId: string): Promise<DeliveryStanding[]> {
  return db.$queryRaw<DeliveryStanding[]>`
    SELECT c.destination, coalesce(array_agg(e.sequence ORDER BY e.sequence) FILTER (WHERE is_passed), '{}') AS passed,
      coalesce(array_agg(e.sequence ORDER BY e.sequence) FILTER (WHERE NOT is_passed), '{}') AS waiting,
      min(e.occurred_at) FILTER (WHERE NOT is_passed) AS "waitingSince", max(e.occurred_at) FILTER (WHERE is_passed) AS "passedAfter"
    FROM relay_cursors c LEFT JOIN LATERAL (
      SELECT sequence, occurred_at, (feed_xid, feed_position) <= (c.feed_xid, c.feed_position) AS is_passed
      FROM outbox WHERE order_id = ${orderId}::uuid
    ) AS e ON true
    WHERE c.partition = (get_byte(uuid_send(${orderId}::uuid), 15) & 15)
    GROUP BY c.destination ORDER BY c.destination`;
}
