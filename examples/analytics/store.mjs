/**
 * What is taken into a generation, and how far it has come: both in one transaction, under the generation's row. Whoever was killed
 * in between has done neither; whoever comes second with the same page finds that the place has moved on, and takes nothing.
 */
import { createDeltas, isSame, learn, NOTHING } from './facts.mjs';

/** @returns the generation of that state, or undefined */
export async function readGeneration(db, state) {
  const { rows } = await db.query(
    'SELECT id, cursor, as_of AS "asOf", listed_to AS "listedTo", listed FROM analytics.generations WHERE state = $1',
    [state],
  );
  return rows[0];
}

/** One is built at a time: if one is, that is all. */
export async function beginGeneration(db) {
  await db.query(`INSERT INTO analytics.generations (state) VALUES ('building') ON CONFLICT DO NOTHING`);
}

export async function giveUp(db, { id }) {
  await db.query(`UPDATE analytics.generations SET state = 'retired' WHERE id = $1 AND state = 'building'`, [id]);
}

/**
 * A page of the feed.
 * @param page.asOf what the feed says of its completeness; undefined = nothing, and what was said before stays true
 * @returns whether it was taken
 */
export function takePage(db, generation, { changes, unreadable, next, asOf }) {
  const { id, cursor } = generation;
  return inTransaction(db, async (client) => {
    const stand = await lock(client, id);
    if (!stand || stand.cursor !== cursor) return false;
    await take(client, id, changes);
    await note(client, id, unreadable);
    await client.query(
      'UPDATE analytics.generations SET cursor = $2, as_of = greatest(as_of, $3::timestamptz) WHERE id = $1',
      [id, next, asOf],
    );
    return true;
  });
}

/** A page of the orders API. @returns whether it was taken */
export function takeOrders(db, generation, { changes, unreadable, next }) {
  const { id, listedTo } = generation;
  return inTransaction(db, async (client) => {
    const stand = await lock(client, id);
    if (!stand || stand.listed || stand.listedTo !== listedTo) return false;
    await take(client, id, changes);
    await note(client, id, unreadable);
    await client.query('UPDATE analytics.generations SET listed_to = $2, listed = $3 WHERE id = $1', [
      id,
      next,
      next === null,
    ]);
    return true;
  });
}

/** The one that was built takes the live one's place, if it knows all that the live one does. @returns whether it did */
export function promote(db, { id }) {
  return inTransaction(db, async (client) => {
    const { rows } = await client.query(
      `SELECT id, state, as_of AS "asOf", listed FROM analytics.generations WHERE state <> 'retired' ORDER BY id FOR UPDATE`,
    );
    const live = rows.find(({ state }) => state === 'live');
    const built = rows.find((row) => row.id === id && row.state === 'building');
    if (!built?.listed || built.asOf === null || (live && built.asOf < live.asOf)) return false;
    if (live) await client.query(`UPDATE analytics.generations SET state = 'retired' WHERE id = $1`, [live.id]);
    await client.query(`UPDATE analytics.generations SET state = 'live' WHERE id = $1`, [id]);
    return true;
  });
}

/** What the live generation knows of these orders. @returns order id → facts */
export async function knownToLive(db, orderIds) {
  const live = await readGeneration(db, 'live');
  return live ? readOrders(db, live.id, orderIds) : new Map();
}

/** Removes a batch of what was retired. @returns whether there is more */
export async function sweep(db, limit = 5_000) {
  const { rows } = await db.query(`SELECT id FROM analytics.generations WHERE state = 'retired' ORDER BY id LIMIT 1`);
  if (rows.length === 0) return false;
  const [{ id }] = rows;
  for (const table of ['orders', 'totals', 'products', 'reasons', 'unreadable']) {
    const { rowCount } = await db.query(
      `DELETE FROM analytics.${table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM analytics.${table} WHERE generation = $1 LIMIT ${limit}))`,
      [id],
    );
    if (rowCount > 0) return true;
  }
  await db.query('DELETE FROM analytics.generations WHERE id = $1', [id]);
  return true;
}

async function lock(client, id) {
  const { rows } = await client.query(
    `SELECT cursor, listed_to AS "listedTo", listed FROM analytics.generations WHERE id = $1 AND state <> 'retired' FOR UPDATE`,
    [id],
  );
  return rows[0];
}

/** @param changes [{ orderId, facts, isEvent }], in the order in which they were told */
async function take(client, generation, changes) {
  if (changes.length === 0) return;
  const before = await readOrders(client, generation, [...new Set(changes.map(({ orderId }) => orderId))]);
  const after = new Map();
  for (const { orderId, facts, isEvent } of changes)
    after.set(orderId, learn(after.get(orderId) ?? before.get(orderId) ?? NOTHING, facts, isEvent));
  const deltas = createDeltas();
  const changed = [...after].filter(([orderId, facts]) => !isSame(facts, before.get(orderId) ?? NOTHING));
  for (const [orderId, facts] of changed) deltas.move(before.get(orderId) ?? NOTHING, facts);
  await writeOrders(client, generation, changed);
  await move(client, generation, TOTALS, deltas.totals);
  await move(client, generation, PRODUCTS, deltas.products);
  await move(client, generation, REASONS, deltas.reasons);
}

async function note(client, generation, unreadable) {
  await client.query(
    `INSERT INTO analytics.unreadable SELECT $1, u.id, u.why FROM jsonb_to_recordset($2) AS u (id text, why text)
     ON CONFLICT DO NOTHING`,
    [generation, JSON.stringify(unreadable)],
  );
}

async function readOrders(client, generation, orderIds) {
  const { rows } = await client.query(
    `SELECT order_id AS "orderId", placed_at AS "placedAt", confirmed_at AS "confirmedAt", cancelled_at AS "cancelledAt",
       reason, currency, total, items
     FROM analytics.orders WHERE generation = $1 AND order_id = ANY ($2::uuid[])`,
    [generation, orderIds],
  );
  return new Map(
    rows.map(({ orderId, placedAt, confirmedAt, cancelledAt, total, ...rest }) => [
      orderId,
      {
        ...rest,
        placedAt: placedAt?.toISOString() ?? null,
        confirmedAt: confirmedAt?.toISOString() ?? null,
        cancelledAt: cancelledAt?.toISOString() ?? null,
        total: total === null ? null : Number(total),
      },
    ]),
  );
}

async function writeOrders(client, generation, changed) {
  const rows = changed.map(([orderId, facts]) => ({ orderId, ...facts }));
  await client.query(
    `INSERT INTO analytics.orders
     SELECT $1, o."orderId", o."placedAt", o."confirmedAt", o."cancelledAt", o.reason, o.currency, o.total, o.items
     FROM jsonb_to_recordset($2) AS o ("orderId" uuid, "placedAt" timestamptz, "confirmedAt" timestamptz,
       "cancelledAt" timestamptz, reason text, currency text, total bigint, items jsonb)
     ON CONFLICT (generation, order_id) DO UPDATE SET placed_at = excluded.placed_at, confirmed_at = excluded.confirmed_at,
       cancelled_at = excluded.cancelled_at, reason = excluded.reason, currency = excluded.currency,
       total = excluded.total, items = excluded.items`,
    [generation, JSON.stringify(rows)],
  );
}

const sums = (table, keys, columns) => ({
  columns,
  sql: `
    INSERT INTO analytics.${table} AS t (generation, ${keys}, ${columns.map(([, column]) => column)})
    SELECT $1, ${keys}, ${columns.map(([field]) => `coalesce(d."${field}", 0)`)}
    FROM jsonb_to_recordset($2) AS d (grain text, start timestamptz, currency text, sku text, reason text,
      ${columns.map(([field]) => `"${field}" bigint`)})
    ON CONFLICT (generation, ${keys}) DO UPDATE SET ${columns.map(([, column]) => `${column} = t.${column} + excluded.${column}`)}`,
});
const TOTALS = sums('totals', 'grain, start, currency', [
  ['placed', 'placed'],
  ['placedAmount', 'placed_amount'],
  ['confirmed', 'confirmed'],
  ['revenue', 'revenue'],
  ['cancelled', 'cancelled'],
  ['reversed', 'reversed'],
  ['reversedAmount', 'reversed_amount'],
]);
const PRODUCTS = sums('products', 'grain, start, currency, sku', [
  ['sold', 'sold'],
  ['soldAmount', 'sold_amount'],
  ['returned', 'returned'],
  ['returnedAmount', 'returned_amount'],
]);
const REASONS = sums('reasons', 'grain, start, currency, reason', [['cancelled', 'cancelled']]);

async function move(client, generation, { columns, sql }, deltas) {
  const moved = [...deltas.values()].filter((sum) => columns.some(([field]) => sum[field] ?? 0));
  if (moved.length > 0) await client.query(sql, [generation, JSON.stringify(moved)]);
}

async function inTransaction(db, work) {
  const client = await db.connect();
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    client.release();
    return result;
  } catch (err) {
    client.release(err); // closes the connection, and with it the transaction
    throw err;
  }
}
