/**
 * Cursors: how far each destination has been served in each partition of the orders, and which relay process serves it
 * now. Leases share the work out; they are not what keeps the order of events: a relay begins to send at the cursor or
 * before it and sends each order's events in sequence, so even a relay that wakes up late only repeats what was sent. What
 * a lease does guard is the cursor: its epoch counts the owners, and a relay that has lost the lease moves no cursor any more.
 */
import { LEASES_MOVED, OUTBOX_CHANNEL } from '../contracts/ids.js';
import { Prisma } from '../prisma/generated/client.js';
import { isOver } from './leases.js';
import type { Database } from './database.js';
import { type FeedPlace, isSettled, PARTITIONS, partitionOfOrder } from './outbox.js';

/** A partition of a destination that one relay serves. */
export type PartitionLease = {
  destination: string;
  partition: number;
  owner: string;
  epoch: bigint;
  /** When the server began from which the lease is: another one, as a standby that was promoted, may lack what this process has seen. */
  serverSince: string;
};
export type LeasedCursor = Omit<PartitionLease, 'owner'> & FeedPlace;

/**
 * Where a destination begins that has no cursors yet: with the oldest event that is kept, or with what comes about from then
 * on. `agoMs` must reach back beyond the longest transaction that writes events, which may commit after that moment.
 */
export type Beginning = 'oldest' | { agoMs: number };

/**
 * Creates the cursors that are missing, all at one place; those that are there stay where they are, whatever is asked for. A
 * destination that has taken events before has lost its cursors: what it was owed is unknown, so that it begins with the oldest.
 * Of several relays at once one does it, for all partitions: the others wait at its first row.
 * @returns the destinations that have begun by this, and whether they had taken events before
 */
export async function createCursors(
  db: Database,
  destinations: string[],
  beginning: Beginning = 'oldest',
): Promise<{ destination: string; again: boolean }[]> {
  const isPast =
    beginning === 'oldest'
      ? Prisma.sql`false`
      : Prisma.sql`occurred_at < now() - ${beginning.agoMs}::float8 * interval '1 ms'`;
  return db.$queryRaw<{ destination: string; again: boolean }[]>`
    WITH known AS MATERIALIZED (
      SELECT d AS destination, EXISTS (
        SELECT FROM relay_destinations r WHERE r.destination = d AND r.taken_at IS NOT NULL) AS again
      FROM unnest(${destinations}::text[]) AS d
    ), made AS (
      INSERT INTO relay_cursors (destination, partition, feed_xid, feed_position)
      SELECT k.destination, p, coalesce(past.feed_xid, 0), coalesce(past.feed_position, 0)
      FROM known k CROSS JOIN generate_series(0, ${PARTITIONS - 1}::int) AS p
      LEFT JOIN (
        SELECT feed_xid, feed_position FROM outbox WHERE ${isPast} AND ${isSettled}
        ORDER BY feed_xid DESC, feed_position DESC LIMIT 1
      ) AS past ON NOT k.again
      ORDER BY k.destination, p
      ON CONFLICT DO NOTHING RETURNING destination
    )
    SELECT DISTINCT destination, again FROM made JOIN known USING (destination)`;
}

/** @returns those of the destinations that lack cursors: they are new, or somebody, or a failover, has removed them */
export async function listWithoutCursors(db: Database, destinations: string[]): Promise<string[]> {
  const rows = await db.$queryRaw<{ destination: string }[]>`
    SELECT d AS destination FROM unnest(${destinations}::text[]) AS d
    WHERE (SELECT count(*) FROM relay_cursors c WHERE c.destination = d) < ${PARTITIONS}::int`;
  return rows.map((row) => row.destination);
}

/** Each start of a server has its own, a standby's too: which one it was that answered. */
const serverSince = Prisma.sql`extract(epoch FROM pg_postmaster_start_time())::text`;

/**
 * Notes that this relay runs, renews its leases, takes what is free up to its share, and gives back what is beyond it. A
 * relay's share is the partitions divided by the relays that run, rounded up.
 * @param owner   the relay process, unique per process life
 * @param leaseMs how long a relay that stops answering delays its partitions at most
 * @returns what it holds from now on, and whether it has given something back
 */
export async function renewLeases(
  db: Database,
  { destinations, owner, leaseMs }: { destinations: string[]; owner: string; leaseMs: number },
): Promise<{ leased: LeasedCursor[]; gaveBack: boolean }> {
  const until = Prisma.sql`now() + ${leaseMs}::float8 * interval '1 ms'`;
  const rows = await db.$queryRaw<(LeasedCursor & { kept: boolean })[]>`
    WITH alive AS (
      INSERT INTO relay_members (destination, owner, alive_until)
      SELECT d, ${owner}, ${until} FROM unnest(${destinations}::text[]) AS d
      ON CONFLICT (destination, owner) DO UPDATE SET alive_until = excluded.alive_until
    ), forgotten AS (
      DELETE FROM relay_members WHERE owner <> ${owner} AND alive_until < now() - interval '1 hour'
    ), shares AS (
      SELECT d AS destination, ceil(${PARTITIONS}::float8 / (1 + count(m.owner))) AS size
      FROM unnest(${destinations}::text[]) AS d
      LEFT JOIN relay_members m ON m.destination = d AND m.owner <> ${owner} AND NOT (${isOver(Prisma.sql`m.alive_until`)})
      GROUP BY d
    ), free AS MATERIALIZED (
      SELECT destination, partition, lease_owner, lease_until FROM relay_cursors
      WHERE destination = ANY(${destinations}) AND (lease_owner = ${owner} OR lease_owner IS NULL OR ${isOver(Prisma.sql`lease_until`)})
      ORDER BY destination, partition FOR UPDATE
    ), ranked AS (
      SELECT f.*, f.lease_owner IS NOT DISTINCT FROM ${owner} AS is_mine, s.size, row_number() OVER (
        PARTITION BY destination ORDER BY f.lease_owner IS NOT DISTINCT FROM ${owner} DESC, partition) AS rank
      FROM free f JOIN shares s USING (destination)
    )
    UPDATE relay_cursors c SET
      lease_owner = CASE WHEN rank <= size THEN ${owner} END,
      lease_until = CASE WHEN rank <= size THEN ${until} END,
      lease_epoch = c.lease_epoch + CASE WHEN is_mine AND NOT (${isOver(Prisma.sql`r.lease_until`)}) THEN 0 ELSE 1 END
    FROM ranked r
    WHERE c.destination = r.destination AND c.partition = r.partition AND (is_mine OR rank <= size)
    RETURNING c.destination, c.partition, c.lease_epoch AS epoch, ${serverSince} AS "serverSince",
      c.feed_xid AS "feedXid", c.feed_position AS "feedPosition", c.lease_owner IS NOT NULL AS kept`;
  const leased = rows.filter((row) => row.kept);
  return { leased, gaveBack: leased.length < rows.length };
}

/** Lets go of everything, for a relay that ends: others may take over at once. */
export async function releaseLeases(db: Database, owner: string): Promise<void> {
  await db.$executeRaw`
    WITH gone AS (DELETE FROM relay_members WHERE owner = ${owner})
    UPDATE relay_cursors SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ${owner}`;
}

/** Has the relays look at their leases now. A hint, as every notification. */
export async function wakeRelays(db: Database): Promise<void> {
  await db.$queryRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, ${LEASES_MOVED})::text`;
}

/**
 * Moves cursors forward, all of a destination's in one statement; one that stands further on already stays. One that stands before
 * the place at which the process left it was set back, or comes from a standby that lacks the newest: events may have come into the
 * feed before what the process has read, so that it stays where it is.
 * @param moves to which place, and from which
 * @returns the partitions whose lease is still the one given, at the same server; of the others nothing that was read counts
 */
export async function advanceCursors(
  db: Database,
  { destination, owner }: Pick<PartitionLease, 'destination' | 'owner'>,
  moves: (Pick<PartitionLease, 'partition' | 'epoch' | 'serverSince'> & FeedPlace & { from: FeedPlace })[],
): Promise<number[]> {
  const rows = await db.$queryRaw<{ partition: number }[]>`
    WITH leased AS MATERIALIZED (
      SELECT c.partition, m.xid, m.position
      FROM relay_cursors c
      JOIN unnest(${moves.map((m) => m.partition)}::int[], ${moves.map((m) => m.epoch)}::bigint[],
        ${moves.map((m) => m.feedXid)}::bigint[], ${moves.map((m) => m.feedPosition)}::bigint[],
        ${moves.map((m) => m.from.feedXid)}::bigint[], ${moves.map((m) => m.from.feedPosition)}::bigint[],
        ${moves.map((m) => m.serverSince)}::text[])
        AS m (partition, epoch, xid, position, from_xid, from_position, server_since) ON m.partition = c.partition
      WHERE c.destination = ${destination} AND c.lease_owner = ${owner} AND c.lease_epoch = m.epoch
        AND ${serverSince} = m.server_since AND (c.feed_xid, c.feed_position) >= (m.from_xid, m.from_position)
      ORDER BY c.partition FOR UPDATE OF c
    ), moved AS (
      UPDATE relay_cursors c SET feed_xid = l.xid, feed_position = l.position, updated_at = now()
      FROM leased l WHERE c.destination = ${destination} AND c.partition = l.partition
        AND (c.feed_xid, c.feed_position) < (l.xid, l.position)
    )
    SELECT partition FROM leased`;
  return rows.map((row) => row.partition);
}

/** @param oldestAt when the oldest event that is owed came about; null = nothing is owed */
export type Backlog = { destination: string; events: number; oldestAt: Date | null };

/** Counted one by one up to here in each partition, estimated from the feed's positions beyond. */
const COUNTED_MAX = 500;

/**
 * What each destination has not been served yet, events that the feed holds back for an open transaction included. Cheap
 * however long the backlog is. Events that wait behind a dead letter are not in it: see `countDeadLetters`.
 */
export async function readBacklog(db: Database): Promise<Backlog[]> {
  const rows = await db.$queryRaw<(Omit<Backlog, 'events'> & { events: bigint })[]>`
    SELECT c.destination, sum(CASE WHEN o.counted < ${COUNTED_MAX}::int THEN o.counted
        ELSE greatest(o.counted, (n.position - o.first_position) / ${PARTITIONS}::int) END)::bigint AS events,
      min(o.oldest_at) AS "oldestAt"
    FROM relay_cursors c
    CROSS JOIN (SELECT coalesce(max(feed_position), 0) AS position FROM (
      SELECT feed_position FROM outbox ORDER BY feed_xid DESC, feed_position DESC LIMIT 1) AS newest) AS n
    CROSS JOIN LATERAL (
      SELECT count(*) AS counted, min(occurred_at) AS oldest_at, min(feed_position) AS first_position FROM (
        SELECT occurred_at, feed_position FROM outbox
        WHERE ${partitionOfOrder} = c.partition
          AND (feed_xid, feed_position) > (c.feed_xid, c.feed_position)
        ORDER BY feed_xid, feed_position LIMIT ${COUNTED_MAX}) AS owed
    ) AS o
    GROUP BY c.destination ORDER BY c.destination`;
  return rows.map((row) => ({ ...row, events: Number(row.events) }));
}
