/** What Postgres says beside its orders: the keys under which callers were answered, and how far the destinations have been served. */
import type pg from 'pg';
import type { LedgerCursor, LedgerKey } from '../../verification/ledgers.js';

export async function readKeys(pool: pg.Pool): Promise<LedgerKey[]> {
  const { rows } = await pool.query<LedgerKey>(
    `SELECT k.order_id AS "orderId", o.id IS NOT NULL AS "isThere",
       coalesce(k.response::json->>'id' = k.order_id::text, true) AS "isAboutIt"
     FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.order_id
     WHERE k.route = 'POST /orders' AND k.order_id IS NOT NULL`,
  );
  return rows;
}

/** Once all is quiet nothing may be owed, for however short a time; and each share has a relay that serves it. */
export async function readCursors(pool: pg.Pool): Promise<LedgerCursor[]> {
  const { rows } = await pool.query<LedgerCursor>(
    `SELECT c.destination, c.partition, coalesce(c.lease_until > now(), false) AS "isServed",
       (c.feed_xid, c.feed_position) <= (SELECT feed_xid, feed_position FROM outbox ORDER BY feed_xid DESC, feed_position DESC LIMIT 1)
         AS "isWithinFeed",
       (SELECT order_id FROM outbox e WHERE ('x' || right(e.order_id::text, 1))::bit(4)::int = c.partition
         AND (e.feed_xid, e.feed_position) > (c.feed_xid, c.feed_position) ORDER BY feed_xid, feed_position LIMIT 1) AS "owedTooLong"
     FROM relay_cursors c ORDER BY c.destination, c.partition`,
  );
  return rows;
}
