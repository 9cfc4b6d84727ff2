/** How the service stands, in figures that Postgres knows: for metrics. Each costs an index scan that has an end. */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { type FeedPlace, PARTITIONS } from './outbox.js';
import { isProbe } from './probes.js';

/** Beyond these somebody should look. The sweep starts what the API did not within 5 s. */
export const UNSTARTED_WARN_S = 10;
/** Idle, events leave within 2 s; a destination that is just back is served within 10. */
export const LAG_WARN_MS = 15_000;
export const FEED_HELD_WARN_S = 15;

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

/** Upper bounds, in seconds, of the groups that `countFinal` makes of the times that orders took. */
export const SAGA_SECONDS = [0.25, 1, 2.5, 10, 30, 120, 3_600];

/** Orders of one end, one currency and about one duration. */
export type FinalOrders = {
  status: 'CONFIRMED' | 'CANCELLED';
  /** '' if confirmed. */
  reason: string;
  currency: string;
  /** They had been confirmed before: how long after that somebody wanted the order back says nothing about its saga. */
  takenBack: boolean;
  count: number;
  /** From acceptance to the end, of all of them together. */
  seconds: number;
  /** Of all of them together, in the currency's minor unit. */
  amount: number;
  /** Of one of them whose trace is recorded. */
  traceparent: string | null;
};

/** Of one scrape: minutes of a busy service, should scrapes have stayed away. */
const FINAL_MAX = 50_000;

/** Orders that became final between two places of the feed, probes excepted; what is more than 50,000 is not counted. */
export async function countFinal(db: Database, after: FeedPlace, upTo: FeedPlace): Promise<FinalOrders[]> {
  return db.$queryRaw`
    WITH events AS MATERIALIZED (
      SELECT order_id, type, data->>'reason' AS reason, occurred_at, traceparent FROM outbox
      WHERE (feed_xid, feed_position) > (${after.feedXid}::bigint, ${after.feedPosition}::bigint)
        AND (feed_xid, feed_position) <= (${upTo.feedXid}::bigint, ${upTo.feedPosition}::bigint)
        AND type IN ('order.confirmed', 'order.cancelled')
      ORDER BY feed_xid, feed_position LIMIT ${FINAL_MAX}
    ), ends AS (
      SELECT CASE e.type WHEN 'order.confirmed' THEN 'CONFIRMED' ELSE 'CANCELLED' END AS status,
        coalesce(e.reason, '') AS reason, trim(o.currency) AS currency, o.total_amount AS amount, e.traceparent,
        greatest(extract(epoch FROM e.occurred_at - o.created_at), 0)::float8 AS seconds,
        e.type = 'order.cancelled' AND EXISTS (
          SELECT FROM outbox c WHERE c.order_id = e.order_id AND c.type = 'order.confirmed') AS "takenBack"
      FROM events e CROSS JOIN LATERAL (
        SELECT currency, total_amount, created_at FROM orders o WHERE id = e.order_id AND NOT ${isProbe} LIMIT 1) AS o
    )
    SELECT status, reason, currency, "takenBack", count(*)::int AS count, sum(seconds)::float8 AS seconds,
      sum(amount)::float8 AS amount, max(traceparent) FILTER (WHERE traceparent LIKE '%-01') AS traceparent
    FROM ends GROUP BY status, reason, currency, "takenBack", width_bucket(seconds, ${SAGA_SECONDS}::float8[])`;
}

/** Enough to see that they pile up; for how long the oldest has waited says the rest. */
const OPEN_MAX = 1_000;

/** Orders that are neither confirmed nor cancelled: how many (1,000 at most), and for how long the oldest has been so. */
export async function readOpenOrders(db: Database): Promise<{ count: number; oldestSeconds: number }> {
  const [row] = await db.$queryRaw<{ count: number; oldestSeconds: number }[]>`
    SELECT count(*)::int AS count,
      greatest(coalesce(extract(epoch FROM now() - min(created_at)), 0), 0)::float8 AS "oldestSeconds"
    FROM (SELECT created_at FROM orders WHERE status = 'PENDING' ORDER BY id LIMIT ${OPEN_MAX}) AS open`;
  return row ?? { count: 0, oldestSeconds: 0 };
}

/** What an order is promised: to be final within this time. */
export const FINAL_WITHIN_S = 30;
/** An order's id has the clock of the process that accepted it, as its `created_at` has; the two are read a moment apart. */
const ID_MARGIN_MS = 5_000;

/** Orders that were accepted after `from` and until `upTo`: how many were final in time, and how many were not. */
export async function countDue(db: Database, from: Date, upTo: Date): Promise<{ inTime: number; late: number }> {
  const within = Prisma.sql`created_at + ${FINAL_WITHIN_S}::float8 * interval '1 s'`;
  const [row] = await db.$queryRaw<{ inTime: number; late: number }[]>`
    SELECT (count(*) FILTER (WHERE due."inTime"))::int AS "inTime", (count(*) FILTER (WHERE NOT due."inTime"))::int AS late
    FROM (
      SELECT status <> 'PENDING' AND (updated_at <= ${within} OR EXISTS (
          SELECT FROM outbox e WHERE e.order_id = orders.id AND e.type IN ('order.confirmed', 'order.cancelled')
            AND e.occurred_at <= ${within})) AS "inTime"
      FROM orders
      WHERE id >= ${firstIdOf(from.getTime() - ID_MARGIN_MS)}::uuid AND id < ${firstIdOf(upTo.getTime() + ID_MARGIN_MS)}::uuid
        AND created_at > ${from} AND created_at <= ${upTo}
    ) AS due`;
  return row ?? { inTime: 0, late: 0 };
}

/** @returns the lowest id (UUID version 7) that is made at this time */
const firstIdOf = (timeMs: number): string => {
  const hex = Math.max(0, timeMs).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
};

/**
 * Shares of orders that no relay serves, as another role sees it: of destinations that a relay had configured within a day. A
 * lease that has just ended is about to be renewed. One that lacks its cursors is served as little.
 */
export async function countUnservedPartitions(db: Database): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM relay_destinations d CROSS JOIN generate_series(0, ${PARTITIONS - 1}::int) AS p
    LEFT JOIN relay_cursors c ON c.destination = d.destination AND c.partition = p
    WHERE d.configured_at > now() - interval '1 day'
      AND (c.lease_until IS NULL OR c.lease_until < now() - interval '15 s')`;
  return row?.count ?? 0;
}
