/** Dead letters in a table: for feed and webhook, which have no broker to keep them. Written in the transaction that holds the order. */
import { isReference } from '../kit/event.mjs';

export const TABLE_OF_LETTERS = `
  CREATE TABLE IF NOT EXISTS dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer text NOT NULL, event_id text, subject text, sequence int,
    cause text NOT NULL, headers jsonb NOT NULL, body text NOT NULL, at timestamptz NOT NULL DEFAULT now());
  CREATE INDEX IF NOT EXISTS dead_letters_subject ON dead_letters (consumer, subject, sequence);`;

export function openTable({ db, consumer }) {
  return {
    isTable: true,
    /** @param client of the transaction; none for a letter that is nobody's */
    async put({ id, subject, sequence, cause, headers, ...letter }, client = db) {
      const body = await mayBeKept(client, consumer, letter.body);
      await client.query(
        `INSERT INTO dead_letters (consumer, event_id, subject, sequence, cause, headers, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
        [
          consumer,
          id,
          subject,
          sequence,
          cause,
          JSON.stringify(headers).replaceAll('\\u0000', ''),
          body.replaceAll('\0', ''),
        ],
      );
    },
    async list(limit) {
      const { rows } = await db.query(
        `SELECT id AS place, event_id AS id, subject, sequence, cause, headers, body, at FROM dead_letters WHERE consumer = $1
         ORDER BY id LIMIT $2`,
        [consumer, limit],
      );
      return rows.map(({ place, ...letter }) => ({
        ...letter,
        remove: () => db.query('DELETE FROM dead_letters WHERE id = $1', [place]),
      }));
    },
    close: async () => undefined,
  };
}

/** Two transactions about one customer exclude each other: else each could miss what the other has not committed yet. */
export async function lockCustomer(client, customerReference) {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended(lower($1), 0))', [customerReference]);
}

/** An event of a customer who was erased before it came here must not bring the customer back, either. */
async function mayBeKept(client, consumer, body) {
  const customerReference = referenceIn(body);
  if (customerReference === undefined) return body;
  await lockCustomer(client, customerReference);
  const { rowCount } = await client.query(
    'SELECT FROM erased WHERE consumer = $1 AND customer_reference::text = lower($2)',
    [consumer, customerReference],
  );
  return rowCount === 0 ? body : withoutCustomer(body);
}

function referenceIn(body) {
  try {
    const { customerReference } = JSON.parse(body).data;
    return isReference(customerReference) ? customerReference : undefined;
  } catch {
    return undefined;
  }
}

/** What a customer's letters say of them. They can still be replayed; one that is not JSON can only be discarded. */
export async function eraseLetters(client, consumer, customerReference) {
  const { rows } = await client.query(
    'SELECT id, body FROM dead_letters WHERE consumer = $1 AND strpos(lower(body), lower($2)) > 0 FOR UPDATE',
    [consumer, customerReference],
  );
  for (const { id, body } of rows)
    await client.query('UPDATE dead_letters SET body = $2 WHERE id = $1', [id, withoutCustomer(body)]);
}

function withoutCustomer(body) {
  try {
    const event = JSON.parse(body);
    return JSON.stringify({ ...event, data: { ...event.data, customerId: 'erased' } });
  } catch {
    return '';
  }
}
