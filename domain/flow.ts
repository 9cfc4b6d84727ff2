/**
 * The flow of orders, minute by minute: accepted, confirmed and cancelled, as the feed has it. Read by places of the feed, a page at a
 * time, so that a busy hour costs many small statements instead of a large one.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';
import { type FeedPlace, isSettled } from './outbox.js';
import { PROBE_CUSTOMER } from './probes.js';

/** `minute`: ms since 1970 at which it begins. */
export type FlowOfMinute = { minute: number; accepted: number; confirmed: number; cancelled: number };
/** What a page of the feed adds. `end` = its last event; null = there is none. `isLast` = the page was not full. */
export type FlowPage = { minutes: FlowOfMinute[]; end: FeedPlace | null; isLast: boolean };

/** Some 20 ms of Postgres. */
export const FLOW_PAGE = 20_000;

type Row = FlowOfMinute & FeedPlace & { events: number };

/** @returns what came after a place, oldest first */
export const readFlowAfter = (db: Database, after: FeedPlace): Promise<FlowPage> =>
  readPage(
    db,
    Prisma.sql`(feed_xid, feed_position) > (${after.feedXid}::bigint, ${after.feedPosition}::bigint) AND ${isSettled}`,
    OLDEST_FIRST,
  );

/** @returns what came before a place and that place itself, newest first */
export const readFlowUpTo = (db: Database, upTo: FeedPlace): Promise<FlowPage> =>
  readPage(
    db,
    Prisma.sql`(feed_xid, feed_position) <= (${upTo.feedXid}::bigint, ${upTo.feedPosition}::bigint)`,
    NEWEST_FIRST,
  );

type Order = { first: Prisma.Sql; last: Prisma.Sql };
const OLDEST: Prisma.Sql = Prisma.sql`feed_xid ASC, feed_position ASC`;
const NEWEST: Prisma.Sql = Prisma.sql`feed_xid DESC, feed_position DESC`;
const OLDEST_FIRST: Order = { first: OLDEST, last: NEWEST };
const NEWEST_FIRST: Order = { first: NEWEST, last: OLDEST };

/** Without probes. */
async function readPage(db: Database, where: Prisma.Sql, { first: order, last }: Order): Promise<FlowPage> {
  const rows = await db.$queryRaw<Row[]>`
    WITH page AS MATERIALIZED (
      SELECT feed_xid, feed_position, occurred_at, type, correlation_id = ${PROBE_CUSTOMER}::text || '-' || order_id::text AS is_probe
      FROM outbox WHERE ${where} ORDER BY ${order} LIMIT ${FLOW_PAGE}
    ), edge AS (SELECT feed_xid, feed_position FROM page ORDER BY ${last} LIMIT 1)
    SELECT extract(epoch FROM date_trunc('minute', p.occurred_at))::float8 * 1000 AS minute, count(*)::int AS events,
      (count(*) FILTER (WHERE type = 'order.created' AND NOT is_probe))::int AS accepted,
      (count(*) FILTER (WHERE type = 'order.confirmed' AND NOT is_probe))::int AS confirmed,
      (count(*) FILTER (WHERE type = 'order.cancelled' AND NOT is_probe))::int AS cancelled,
      edge.feed_xid AS "feedXid", edge.feed_position AS "feedPosition"
    FROM page p CROSS JOIN edge GROUP BY 1, edge.feed_xid, edge.feed_position`;
  const events = rows.reduce((sum, row) => sum + row.events, 0);
  const [first] = rows;
  return {
    minutes: rows.map(({ minute, accepted, confirmed, cancelled }) => ({ minute, accepted, confirmed, cancelled })),
    end: first ? { feedXid: first.feedXid, feedPosition: first.feedPosition } : null,
    isLast: events < FLOW_PAGE,
  };
}
