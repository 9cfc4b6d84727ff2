/** How the service stands, in figures that Postgres knows: for metrics. Each costs an index scan that has an end. */
import type { Database } from './database.js';
import type { FeedPlace } from './outbox.js';

/** What is more than that is shown as that: an alarm has long gone off. */
const COUNT_MAX = 100_000;

/** Orders without a saga, and for how long the oldest has waited. */
export async function readUnstarted(db: Database): Promise<{ count: number; oldestSeconds: number }> {
  const [row] = await db.$queryRaw<{ count: number; oldestSeconds: number }[]>`
    SELECT count(*)::int AS count, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS "oldestSeconds"
    FROM (SELECT created_at FROM orders WHERE saga_started_at IS NULL ORDER BY created_at LIMIT ${COUNT_MAX}) AS unstarted`;
  return row ?? { count: 0, oldestSeconds: 0 };
}

/** How long the feed has been held back by a transaction that is still open. */
export async function readFeedHeldSeconds(db: Database): Promise<number> {
  const [row] = await db.$queryRaw<{ seconds: number }[]>`
    SELECT greatest(coalesce(extract(epoch FROM now() - min(occurred_at)), 0), 0)::float8 AS seconds
    FROM outbox WHERE feed_xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint`;
  return row?.seconds ?? 0;
}

/** Findings of the reconciler that are not settled. */
export async function countFindings(db: Database): Promise<{ kind: string; action: string; count: number }[]> {
  return db.$queryRaw`
    SELECT kind, action, count(*)::int AS count FROM reconciliation_findings
    WHERE action NOT IN ('refunded', 'cancelled') GROUP BY kind, action`;
}

/** @returns the newest event that the feed shows; null if it shows none */
export async function readFeedEnd(db: Database): Promise<FeedPlace | null> {
  const [place] = await db.$queryRaw<FeedPlace[]>`
    SELECT feed_xid AS "feedXid", feed_position AS "feedPosition" FROM outbox
    WHERE feed_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY feed_xid DESC, feed_position DESC LIMIT 1`;
  return place ?? null;
}

/** Orders that became final between two places of the feed. @returns how many, by their end; `reason` is '' if confirmed */
export async function countFinal(
  db: Database,
  after: FeedPlace,
  upTo: FeedPlace,
): Promise<{ status: string; reason: string; count: number }[]> {
  return db.$queryRaw`
    SELECT CASE type WHEN 'order.confirmed' THEN 'CONFIRMED' ELSE 'CANCELLED' END AS status,
      coalesce(data->>'reason', '') AS reason, count(*)::int AS count
    FROM outbox
    WHERE (feed_xid, feed_position) > (${after.feedXid}::bigint, ${after.feedPosition}::bigint)
      AND (feed_xid, feed_position) <= (${upTo.feedXid}::bigint, ${upTo.feedPosition}::bigint)
      AND type IN ('order.confirmed', 'order.cancelled')
    GROUP BY 1, 2`;
}
