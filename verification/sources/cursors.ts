/** How far each destination has been served, as the relays' cursors say. */
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerCursor } from '../ledgers.js';
import { readOnly } from './read-only.js';

/** As what watches the leases (`order_saga_relay_partitions_unserved`) takes it: one that was given up is nobody's business after a day. */
const IN_USE = Prisma.sql`interval '1 day'`;
/** Longer than any restart, deployment or failover of the relays. */
const OWED_TOO_LONG = Prisma.sql`interval '15 minutes'`;

export async function readCursors(db: DatabaseClient): Promise<LedgerCursor[]> {
  const { cursors } = await readOnly<{ cursors: LedgerCursor[] }>(
    db,
    Prisma.sql`SELECT coalesce(json_agg(json_build_object('destination', c.destination, 'partition', c.partition,
        'isServed', coalesce(c.lease_until > now() - interval '15 s', false),
        'isWithinFeed', (c.feed_xid, c.feed_position) <= (newest.feed_xid, newest.feed_position),
        'owedTooLong', (SELECT order_id FROM (
          SELECT order_id, occurred_at FROM outbox WHERE (get_byte(uuid_send(order_id), 15) & 15) = c.partition
            AND (feed_xid, feed_position) > (c.feed_xid, c.feed_position) ORDER BY feed_xid, feed_position LIMIT 1) AS first
          WHERE occurred_at < now() - ${OWED_TOO_LONG}))), '[]') AS cursors
      FROM relay_cursors c JOIN relay_destinations d USING (destination)
      CROSS JOIN (SELECT feed_xid, feed_position FROM (
        SELECT feed_xid, feed_position FROM feed_horizon
        UNION ALL (SELECT feed_xid, feed_position FROM outbox ORDER BY feed_xid DESC, feed_position DESC LIMIT 1)
        UNION ALL SELECT 0, 0) AS places ORDER BY feed_xid DESC, feed_position DESC LIMIT 1) AS newest
      WHERE d.configured_at > now() - ${IN_USE}`,
  );
  return cursors;
}
