/** Which destinations there are, who serves them, and how they take what they are sent: as their relays have noted it. */
import { type Backlog, readBacklog } from './cursors.js';
import type { Database } from './database.js';
import { countDeadLetters, type DeadLetterGroup } from './dead-letters.js';
import { Prisma } from '../prisma/generated/client.js';
import { PARTITIONS } from './outbox.js';

export type DestinationStanding = {
  destination: string;
  /** Partitions that it has, or is to have if it lacks its cursors, and those under a lease that is running. */
  partitions: number;
  served: number;
  /** Relay processes that live and have it configured. */
  relays: number;
};

/** Those that have cursors, and those that lack them although a relay had them configured within a day. */
const destinationsWithCursors = Prisma.sql`
  (SELECT destination FROM relay_cursors UNION
    SELECT destination FROM relay_destinations WHERE configured_at > now() - interval '1 day') AS named
  LEFT JOIN relay_cursors c USING (destination)`;
const partitions = Prisma.sql`coalesce(nullif(count(c.partition), 0), ${PARTITIONS}::int)::int AS partitions`;

export async function readDestinations(db: Database): Promise<DestinationStanding[]> {
  return db.$queryRaw`
    SELECT destination, ${partitions},
      count(*) FILTER (WHERE c.lease_owner IS NOT NULL AND c.lease_until > now())::int AS served,
      (SELECT count(*)::int FROM relay_members m WHERE m.destination = named.destination AND m.alive_until > now()) AS relays
    FROM ${destinationsWithCursors} GROUP BY destination ORDER BY destination`;
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

/** How a destination stands with one relay. */
export type Standing = {
  /** When it took an event last. */
  takenAt: Date | null;
  /** Since when it has taken nothing that it was sent; null = it takes, or nothing was sent. */
  failingSince: Date | null;
  /** What it said last of an event that it has not taken; null = there is none. */
  error: string | null;
  /** Until when it has asked to be left alone. */
  leftAloneUntil: Date | null;
};

export async function noteStanding(
  db: Database,
  { destination, owner }: { destination: string; owner: string },
  { takenAt, failingSince, error, leftAloneUntil }: Standing,
): Promise<void> {
  await db.$executeRaw`
    WITH taken AS (
      INSERT INTO relay_destinations AS d (destination, taken_at)
      SELECT ${destination}, ${takenAt}::timestamptz WHERE ${takenAt}::timestamptz IS NOT NULL
      ON CONFLICT (destination) DO UPDATE SET taken_at = greatest(d.taken_at, excluded.taken_at)
    )
    UPDATE relay_members SET failing_since = ${failingSince}::timestamptz, error = ${error},
      left_alone_until = ${leftAloneUntil}::timestamptz
    WHERE destination = ${destination} AND owner = ${owner}`;
}

/** @returns when it took an event last, of whichever relay; null if it never has, or that was made to be forgotten */
export async function readTakenAt(db: Database, destination: string): Promise<Date | null> {
  const row = await db.relayDestination.findUnique({ where: { destination }, select: { takenAt: true } });
  return row?.takenAt ?? null;
}

/** A partition of the orders: up to where the destination has been served, since when the cursor is there, and whether a relay serves it. */
export type PartitionStanding = { partition: number; cursor: string; movedAt: string; served: boolean };
type Deliveries = DestinationStanding & {
  configuredAt: Date | null;
  takenAt: Date | null;
  failingSince: Date | null;
  error: string | null;
  leftAloneUntil: Date | null;
  cursors: PartitionStanding[];
};

/**
 * `unserved` = no relay serves it, or not all of it · `failing` = it takes nothing · `left-alone` = it has asked for a pause ·
 * `troubled` = it takes some orders’ events and others’ not · `behind` = it takes, and more is owed · `current` = nothing is owed.
 */
export const DESTINATION_STATES = ['unserved', 'failing', 'left-alone', 'troubled', 'behind', 'current'] as const;
export type DestinationState = (typeof DESTINATION_STATES)[number];
export type DestinationView = Deliveries & {
  state: DestinationState;
  owed: number;
  oldestOwedAt: Date | null;
  deadLetters: DeadLetterGroup[];
};

/** Every destination that has a cursor, or ought to have one, by name. Cheap however much is owed. */
export async function describeDestinations(db: Database): Promise<DestinationView[]> {
  const [destinations, backlogs, groups] = await Promise.all([
    readDeliveries(db),
    readBacklog(db),
    countDeadLetters(db),
  ]);
  return destinations.map((destination) => {
    const isIts = (other: { destination: string }) => other.destination === destination.destination;
    const backlog = backlogs.find(isIts);
    return {
      ...destination,
      state: stateOf(destination, backlog),
      owed: backlog?.events ?? 0,
      oldestOwedAt: backlog?.oldestAt ?? null,
      deadLetters: groups.filter(isIts),
    };
  });
}

function stateOf(
  { partitions, served, relays, failingSince, error, leftAloneUntil }: Deliveries,
  backlog: Backlog | undefined,
): DestinationState {
  if (relays === 0 || served < partitions) return 'unserved';
  if (leftAloneUntil !== null && leftAloneUntil.getTime() > Date.now()) return 'left-alone';
  if (failingSince !== null) return 'failing';
  if (error !== null) return 'troubled';
  return (backlog?.events ?? 0) > 0 ? 'behind' : 'current';
}

const readDeliveries = (db: Database): Promise<Deliveries[]> => db.$queryRaw`
  SELECT c.*, d.configured_at AS "configuredAt", d.taken_at AS "takenAt", m.*
  FROM (
    SELECT destination, ${partitions},
      count(*) FILTER (WHERE lease_owner IS NOT NULL AND lease_until > now())::int AS served,
      coalesce(json_agg(json_build_object('partition', partition, 'cursor', feed_xid || '.' || feed_position,
        'movedAt', to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'served', lease_owner IS NOT NULL AND lease_until > now()) ORDER BY partition) FILTER (WHERE partition IS NOT NULL), '[]') AS cursors
    FROM ${destinationsWithCursors} GROUP BY destination
  ) AS c
  LEFT JOIN relay_destinations d USING (destination)
  CROSS JOIN LATERAL (
    SELECT count(*)::int AS relays, min(failing_since) AS "failingSince", max(left_alone_until) AS "leftAloneUntil",
      (array_agg(error ORDER BY failing_since NULLS LAST) FILTER (WHERE error IS NOT NULL))[1] AS error
    FROM relay_members WHERE destination = c.destination AND alive_until > now()
  ) AS m
  ORDER BY c.destination`;

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
export async function readDeliveriesOf(db: Database, orderId: string): Promise<DeliveryStanding[]> {
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
