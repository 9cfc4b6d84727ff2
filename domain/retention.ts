/**
 * Retention: what may go once it is old. Events, when every destination in use has them and no dead letter holds their order;
 * Idempotency-Keys, when their time is over. Orders, their lines and payments, and the saga log stay for ever, and
 * `orders.event_count` goes on counting: what is left of an order's events keeps its sequence.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { reach } from './progress-marks.js';
import { FEED_START, type FeedPlace, partitionOfOrder } from './outbox.js';

/** A destination that no relay has had configured for this long has been given up: it holds nothing back any more. */
const GIVEN_UP_AFTER = Prisma.sql`interval '30 days'`;

/** Says that these destinations are configured: their cursors count. */
export async function confirmDestinations(db: Database, destinations: string[]): Promise<void> {
  if (destinations.length === 0) return;
  await db.$executeRaw`
    INSERT INTO relay_destinations (destination) SELECT unnest(${destinations}::text[])
    ON CONFLICT (destination) DO UPDATE SET configured_at = now()`;
}

/** Every destination in use has the event `o`. One that has no cursor yet has nothing. */
const isDelivered = Prisma.sql`NOT EXISTS (
  SELECT FROM relay_destinations d WHERE d.configured_at > now() - ${GIVEN_UP_AFTER}
    AND NOT EXISTS (SELECT FROM relay_cursors c WHERE c.destination = d.destination
      AND c.partition = ${partitionOfOrder}
      AND (c.feed_xid, c.feed_position) >= (o.feed_xid, o.feed_position)))`;

/** A cursor passes over the events of an order that a dead letter holds: they are not delivered. */
const isBehindDeadLetter = Prisma.sql`EXISTS (SELECT FROM dead_letters l WHERE l.order_id = o.order_id AND l.closed_at IS NULL)`;

/**
 * Looks at one batch of old events, in the feed's order, and removes those that may go. The feed's newest event stays however
 * old it is: the feed's clock is read from it (feed-clock.ts).
 * @param after where the batch begins
 * @returns how many went, and where the next batch begins; undefined = there are no more old ones
 */
export async function purgeEvents(
  db: Database,
  { after = FEED_START, olderThanMs, limit }: { after?: FeedPlace | undefined; olderThanMs: number; limit: number },
): Promise<{ purged: number; next: FeedPlace | undefined }> {
  const [row] = await db.$queryRaw<({ purged: number; looked: number } & FeedPlace)[]>`
    WITH oldest AS MATERIALIZED (
      SELECT order_id, sequence, feed_xid, feed_position, occurred_at FROM outbox
      WHERE (feed_xid, feed_position) > (${after.feedXid}::bigint, ${after.feedPosition}::bigint)
        AND feed_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
      ORDER BY feed_xid, feed_position LIMIT ${limit}
    ), old AS (
      SELECT * FROM oldest WHERE occurred_at < now() - ${olderThanMs}::float8 * interval '1 ms'
    ), purged AS (
      DELETE FROM outbox WHERE (order_id, sequence) IN (
        SELECT o.order_id, o.sequence FROM old o WHERE ${isDelivered} AND NOT (${isBehindDeadLetter})
          AND (o.feed_xid, o.feed_position) < (SELECT feed_xid, feed_position FROM outbox ORDER BY feed_xid DESC, feed_position DESC LIMIT 1))
      RETURNING 1
    ), marked AS (${reach('events-purged', Prisma.sql`SELECT now() - ${olderThanMs}::float8 * interval '1 ms' WHERE EXISTS (SELECT FROM purged)`)})
    SELECT (SELECT count(*)::int FROM purged) AS purged, (SELECT count(*)::int FROM old) AS looked,
      last.feed_xid AS "feedXid", last.feed_position AS "feedPosition"
    FROM (SELECT feed_xid, feed_position FROM oldest ORDER BY feed_xid DESC, feed_position DESC LIMIT 1) AS last`;
  if (!row) return { purged: 0, next: undefined };
  const { purged, looked, feedXid, feedPosition } = row;
  return { purged, next: looked === limit ? { feedXid, feedPosition } : undefined };
}

/**
 * Removes keys whose time is over, and the answers that no key stands for any more.
 * @returns how many keys
 */
export async function purgeKeys(db: Database, limit: number): Promise<number> {
  // An answer's time is over with its longest-lived key's; a request that needs it just now holds the row, and prolongs it.
  await db.$executeRaw`
    DELETE FROM idempotency_answers WHERE digest IN (
      SELECT digest FROM idempotency_answers WHERE expires_at <= now()
      ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  // A request may be taking one of them anew: it holds the row, and keeps it.
  return db.$executeRaw`
    DELETE FROM idempotency_keys WHERE (caller, route, key) IN (
      SELECT caller, route, key FROM idempotency_keys WHERE expires_at <= now()
      ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
}
