/**
 * Past orders: finished ones, put into the tables by SQL as their sagas would have left them, with every invariant kept.
 * Days old, so that nothing looks for them: neither at the gateway, which has never heard of them, nor in the feed's tail;
 * unless their events are to be owed to the destinations, as after an outage of an hour.
 */
import type pg from 'pg';

const SKU = 'BENCH-PAST';
const UNIT_PRICE = 1_000;
const BATCH = 20_000;
/** They lie this far back, and this far apart; a day and less than a retention of 30 days. */
const YOUNGEST_HOURS = 72;
const SPACING_MS = 5_000;

/** An order that is owed now was accepted in the last hour; in the feed it is the newest. */
const OWED_WITHIN = "interval '1 hour'";

export type PastOptions = {
  /** Whether their events are still to be delivered. */
  areOwed?: boolean;
  say?: (text: string) => void;
};

/** @param count of finished orders; each is confirmed, of one line, with four events and three log entries */
export async function addPastOrders(
  client: pg.Client,
  count: number,
  { areOwed = false, say = () => {} }: PastOptions = {},
): Promise<void> {
  await client.query(
    `INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available) VALUES ($1, $1, ${UNIT_PRICE}, 'USD', 0, 0)
     ON CONFLICT DO NOTHING`,
    [SKU],
  );
  for (let done = 0; done < count; done += BATCH) {
    await addBatch(client, { from: done, size: Math.min(BATCH, count - done), total: count, areOwed });
    say(`  ${Math.min(done + BATCH, count)} of ${count} past orders`);
  }
  await client.query('VACUUM (ANALYZE)');
}

type Batch = { from: number; size: number; total: number; areOwed: boolean };

async function addBatch(client: pg.Client, { from, size, total, areOwed }: Batch): Promise<void> {
  await client.query('BEGIN');
  await client.query(
    `CREATE TEMP TABLE past ON COMMIT DROP AS
     SELECT uuidv7(age) AS id, now() + age AS at, n,
       CASE WHEN $4 THEN now() - ${OWED_WITHIN} * ($2::int - n) / $2::int ELSE now() + age END AS told_at,
       -- 1: before every transaction that may still be running, and before every cursor that has moved.
       CASE WHEN $4 THEN pg_current_xact_id()::text::bigint ELSE 1 END AS feed_xid
     FROM (
       SELECT n, - interval '${YOUNGEST_HOURS} hours' - ($2::int - n) * interval '${SPACING_MS} ms' AS age
       FROM generate_series($1::int, $1::int + $3::int - 1) AS n
     ) AS s`,
    [from, total, size, areOwed],
  );
  for (const statement of STATEMENTS) await client.query(statement);
  await client.query('UPDATE inventory SET on_hand_total = on_hand_total + $2, sold = sold + $2 WHERE sku = $1', [
    SKU,
    size,
  ]);
  await client.query('COMMIT');
}

const STATEMENTS = [
  `INSERT INTO orders (id, customer_id, external_order_id, status, currency, total_amount, payment_method, correlation_id,
     event_count, event_xid, saga_started_at, created_at, updated_at)
   SELECT id, 'cus_' || n % 1000, 'past-' || n || '-' || feed_xid, 'CONFIRMED', 'USD', ${UNIT_PRICE}, 'pm_card_visa', id::text, 4, feed_xid, at, at, at FROM past`,
  `INSERT INTO order_lines (order_id, sku, line_no, quantity, unit_price) SELECT id, '${SKU}', 1, 1, ${UNIT_PRICE} FROM past`,
  `INSERT INTO reservations (order_id, sku, quantity, state) SELECT id, '${SKU}', 1, 'SOLD' FROM past`,
  `INSERT INTO payments (order_id, status, amount, currency, gateway_reference, created_at, updated_at)
   SELECT id, 'CHARGED', ${UNIT_PRICE}, 'USD', 'pi_past_' || id, at, at FROM past`,
  `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, occurred_at, feed_xid)
   SELECT id, e.sequence, e.type, jsonb_build_object('orderId', id) || e.data, id::text, told_at, feed_xid
   FROM past, jsonb_build_object('amount', ${UNIT_PRICE}, 'currency', 'USD') AS money, LATERAL (VALUES
     (1, 'order.created', jsonb_build_object('customerId', 'cus_' || n % 1000, 'total', money,
       'items', '[{"sku":"${SKU}","quantity":1,"unitPrice":${UNIT_PRICE}}]'::jsonb)),
     (2, 'inventory.reserved', '{"items":[{"sku":"${SKU}","quantity":1}]}'::jsonb),
     (3, 'payment.charged', jsonb_build_object('amount', money, 'gatewayReference', 'pi_past_' || id)),
     (4, 'order.confirmed', jsonb_build_object('total', money))) AS e(sequence, type, data)
   ORDER BY n, e.sequence`,
  `INSERT INTO saga_log (order_id, step, outcome, attempts, at)
   SELECT id, s.step, 'completed', 1, at FROM past, (VALUES ('reserveInventory'), ('chargePayment'), ('confirmOrder')) AS s(step)
   ORDER BY n`,
  `INSERT INTO idempotency_keys (caller, route, key, fingerprint, order_id, response, expires_at)
   SELECT 'anonymous', 'POST /orders', 'past-' || n || '-' || feed_xid, sha256(id::text::bytea), id, '{}', at + interval '7 days' FROM past`,
];
