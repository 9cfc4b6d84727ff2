/**
 * Inbox: the ids of the events whose effect a consumer has had. Events arrive at least once; an id and its effect are
 * written in one transaction, so that both are there or neither is. An id that was written first, by itself, would lose
 * the effect in a crash; one written afterwards would repeat it.
 */
import pg from 'pg';

/** The example's effect: what was sold. An addition, which shows every repetition and every loss. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS inbox (consumer text, event_id text, PRIMARY KEY (consumer, event_id));
  CREATE TABLE IF NOT EXISTS sales (consumer text, currency text, orders int, amount bigint, PRIMARY KEY (consumer, currency));`;

/**
 * @param consumer its name: several may share a database
 * @returns `once(event)`: has the event's effect, unless it was had before. Throws if it could not: then do not acknowledge
 */
export async function openInbox(consumer) {
  const db = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
  await db.query(`SELECT pg_advisory_lock(1); ${TABLES} SELECT pg_advisory_unlock(1)`); // two may start at once
  return async function once(event) {
    const client = await db.connect();
    try {
      await client.query('BEGIN');
      const { rowCount } = await client.query('INSERT INTO inbox VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        consumer,
        event.id,
      ]);
      if (rowCount === 1) await haveEffect(client, consumer, event);
      await client.query('COMMIT');
      client.release();
    } catch (err) {
      client.release(err); // closes the connection, and with it the transaction
      throw err;
    }
  };
}

async function haveEffect(client, consumer, { type, data }) {
  if (type !== 'order.confirmed') return; // types that came after this was written, too: they are no error
  await client.query(
    `INSERT INTO sales VALUES ($1, $2, 1, $3) ON CONFLICT (consumer, currency)
     DO UPDATE SET orders = sales.orders + 1, amount = sales.amount + excluded.amount`,
    [consumer, data.total.currency, data.total.amount],
  );
}
