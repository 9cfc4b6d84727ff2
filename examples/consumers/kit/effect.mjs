/**
 * The effect: what these examples do with events. Put yours in its place. It is given the transaction in which the inbox notes the
 * event, and does nothing that a rollback does not undo: what goes elsewhere (mail, another service) goes through a table, too.
 *
 * Here: what was sold, as additions, which show every repetition and every loss; and who bought it, which can be erased.
 */
import { eraseLetters, lockCustomer } from '../dead/table.mjs';

export const EFFECT_TABLES = `
  CREATE TABLE IF NOT EXISTS currencies (code text PRIMARY KEY);
  INSERT INTO currencies VALUES ('USD'), ('EUR'), ('GBP'), ('CHF'), ('JPY') ON CONFLICT DO NOTHING;
  CREATE TABLE IF NOT EXISTS sales (
    consumer text, currency text REFERENCES currencies, orders int NOT NULL, amount bigint NOT NULL, PRIMARY KEY (consumer, currency));
  CREATE TABLE IF NOT EXISTS purchases (
    consumer text, order_id text, customer_reference uuid, customer_id text, currency text, amount bigint, PRIMARY KEY (consumer, order_id));
  CREATE INDEX IF NOT EXISTS purchases_customer ON purchases (consumer, customer_reference);
  CREATE TABLE IF NOT EXISTS erased (consumer text, customer_reference uuid, PRIMARY KEY (consumer, customer_reference));`;

const EFFECTS = {
  'order.created': rememberCustomer,
  'order.confirmed': addSale,
  'order.cancelled': takeSaleBack,
  'customer.erased': eraseCustomer,
};

/** @returns whether there was anything to do. A type that is not in the table above is no error: types are added */
export async function haveEffect(client, consumer, event) {
  if (!Object.hasOwn(EFFECTS, event.type)) return false;
  await EFFECTS[event.type](client, consumer, event);
  return true;
}

/** Only what can be erased again is kept: without a reference, `customer.erased` could not say whose it is. */
async function rememberCustomer(client, consumer, { subject, data: { customerReference, customerId } }) {
  if (customerReference === undefined) return;
  await lockCustomer(client, customerReference);
  await client.query(
    `INSERT INTO purchases (consumer, order_id, customer_reference, customer_id)
     SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM erased WHERE consumer = $1 AND customer_reference = $3)
     ON CONFLICT (consumer, order_id) DO UPDATE
     SET customer_reference = excluded.customer_reference, customer_id = excluded.customer_id`,
    [consumer, subject, customerReference, customerId],
  );
}

async function addSale(client, consumer, { subject, data: { total } }) {
  await client.query(
    `INSERT INTO purchases (consumer, order_id, currency, amount) VALUES ($1, $2, $3, $4)
     ON CONFLICT (consumer, order_id) DO UPDATE SET currency = excluded.currency, amount = excluded.amount`,
    [consumer, subject, total.currency, total.amount],
  );
  await client.query(
    `INSERT INTO sales VALUES ($1, $2, 1, $3) ON CONFLICT (consumer, currency)
     DO UPDATE SET orders = sales.orders + 1, amount = sales.amount + excluded.amount`,
    [consumer, total.currency, total.amount],
  );
}

/** A confirmed order may be cancelled later; one that never was confirmed has sold nothing. */
async function takeSaleBack(client, consumer, { subject }) {
  await client.query(
    `WITH sold AS (SELECT * FROM purchases WHERE consumer = $1 AND order_id = $2 AND amount IS NOT NULL),
       cleared AS (UPDATE purchases p SET amount = NULL FROM sold WHERE (p.consumer, p.order_id) = (sold.consumer, sold.order_id))
     UPDATE sales s SET orders = s.orders - 1, amount = s.amount - sold.amount
     FROM sold WHERE (s.consumer, s.currency) = (sold.consumer, sold.currency)`,
    [consumer, subject],
  );
}

/**
 * What was sold stays, and nobody can tell to whom. The reference itself is kept, alone, for an event of that customer's orders may
 * still come: from a dead letter, or from a partition that lags behind the one that this event was in.
 */
async function eraseCustomer(client, consumer, { data: { customerReference } }) {
  await lockCustomer(client, customerReference);
  await client.query('INSERT INTO erased VALUES ($1, $2) ON CONFLICT DO NOTHING', [consumer, customerReference]);
  await client.query(
    `UPDATE purchases SET customer_reference = NULL, customer_id = NULL WHERE consumer = $1 AND customer_reference = $2`,
    [consumer, customerReference],
  );
  await eraseLetters(client, consumer, customerReference);
}
