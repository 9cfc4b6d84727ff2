/**
 * Past orders: finished ones, put into the tables by SQL as their sagas would have left them, with every invariant kept.
 * Days old, so that nothing looks for them: neither at the gateway, which has never heard of them, nor in the feed's tail.
 */
import type pg from 'pg';

const SKU = 'BENCH-PAST';
const UNIT_PRICE = 1_000;
const BATCH = 20_000;
/** They lie this far back, and this far apart; a day and less than a retention of 30 days. */
const YOUNGEST_HOURS = 72;
const SPACING_MS = 5_000;

/** @param count of finished orders; each is confirmed, of one line, with four events and three log entries */
export async function addPastOrders(
  client: pg.Client,
  count: number,
  say: (text: string) => void = () => {},
): Promise<void> {
  await client.query(
    `INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available) VALUES ($1, $1, ${UNIT_PRICE}, 'USD', 0, 0)
     ON CONFLICT DO NOTHING`,
    [SKU],
  );
  for (let done = 0; done < count; done += BATCH) {
    await addBatch(client, done, Math.min(BATCH, count - done), count);
    say(`  ${Math.min(done + BATCH, count)} of ${count} past orders`);
  }
  await client.query('VACUUM (ANALYZE)');
}

async function addBatch(client: pg.Client, from: number, size: number, total: number): Promise<void> {
  await client.query('BEGIN');
  await client.query(
    `CREATE TEMP TABLE past ON COMMIT DROP AS
     SELECT uuidv7(age) AS id, now() + age AS at, n FROM (
       SELECT n, - interval '${YOUNGEST_HOURS} hours' - ($2::int - n) * interval '${SPACING_MS} ms' AS age
       FROM generate_series($1::int, $1::int + $3::int - 1) AS n
     ) AS s`,
    [from, total, size],
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
   SELECT id, 'cus_' || n % 1000, 'past-' || n, 'CONFIRMED', 'USD', ${UNIT_PRICE}, 'pm_card_visa', id::text, 4, 1, at, at, at FROM past`,
  `INSERT INTO order_lines (order_id, sku, line_no, quantity, unit_price) SELECT id, '${SKU}', 1, 1, ${UNIT_PRICE} FROM past`,
  `INSERT INTO reservations (order_id, sku, quantity, state) SELECT id, '${SKU}', 1, 'SOLD' FROM past`,
  `INSERT INTO payments (order_id, status, amount, currency, gateway_reference, created_at, updated_at)
   SELECT id, 'CHARGED', ${UNIT_PRICE}, 'USD', 'pi_past_' || id, at, at FROM past`,
  // feed_xid 1: before every transaction that may still be running, as the past is.
  `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, occurred_at, feed_xid)
   SELECT id, e.sequence, e.type, jsonb_build_object('orderId', id), id::text, at, 1
   FROM past, (VALUES (1, 'order.created'), (2, 'inventory.reserved'), (3, 'payment.charged'), (4, 'order.confirmed')) AS e(sequence, type)
   ORDER BY n, e.sequence`,
  `INSERT INTO saga_log (order_id, step, outcome, attempts, at)
   SELECT id, s.step, 'completed', 1, at FROM past, (VALUES ('reserveInventory'), ('chargePayment'), ('confirmOrder')) AS s(step)
   ORDER BY n`,
  `INSERT INTO idempotency_keys (caller, route, key, fingerprint, order_id, response, expires_at)
   SELECT 'anonymous', 'POST /orders', 'past-' || n, sha256(id::text::bytea), id, '{}', at + interval '7 days' FROM past`,
];
