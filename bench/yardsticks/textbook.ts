/**
 * The textbook's activities: one plain statement each, and one charge. No events, no idempotency, no guards: what is
 * compared with our service is the cheapest that a saga of four ordinary activities can be.
 */
import pg from 'pg';
import Stripe from 'stripe';
import type { Servers } from './messages.js';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS textbook_stock (sku text PRIMARY KEY, available bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS textbook_orders (id uuid PRIMARY KEY, sku text NOT NULL, status text NOT NULL, charge text)`;
const PLENTY = 1_000_000_000;
const AMOUNT = 1_000;

export type TextbookActivities = Awaited<ReturnType<typeof createTextbookActivities>>;

export async function createTextbookActivities({ databaseUrl, sandbox }: Servers) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 16 });
  await pool.query(SCHEMA);
  const { hostname, port } = new URL(sandbox);
  const stripe = new Stripe('sk_test_bench', { host: hostname, port: Number(port), protocol: 'http' });
  const run = async (sql: string, values: unknown[]): Promise<void> => void (await pool.query(sql, values));
  return {
    createOrder: (id: string, sku: string) =>
      run(`INSERT INTO textbook_orders (id, sku, status) VALUES ($1, $2, 'PENDING')`, [id, sku]),
    reserveInventory: (_id: string, sku: string) =>
      run(
        `INSERT INTO textbook_stock VALUES ($1, ${PLENTY}) ON CONFLICT (sku) DO UPDATE SET available = textbook_stock.available - 1`,
        [sku],
      ),
    chargePayment: async (id: string) => {
      const intent = await stripe.paymentIntents.create(
        { amount: AMOUNT, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, metadata: { orderId: id } },
        { idempotencyKey: `textbook/${id}` },
      );
      await run('UPDATE textbook_orders SET charge = $2 WHERE id = $1', [id, intent.id]);
    },
    confirmOrder: (id: string) => run(`UPDATE textbook_orders SET status = 'CONFIRMED' WHERE id = $1`, [id]),
    cancelOrder: (id: string) => run(`UPDATE textbook_orders SET status = 'CANCELLED' WHERE id = $1`, [id]),
    releaseInventory: (_id: string, sku: string) =>
      run('UPDATE textbook_stock SET available = available + 1 WHERE sku = $1', [sku]),
    refundPayment: async (id: string) => {
      const { rows } = await pool.query<{ charge: string }>('SELECT charge FROM textbook_orders WHERE id = $1', [id]);
      await stripe.refunds.create(
        { payment_intent: rows[0]?.charge ?? '' },
        { idempotencyKey: `textbook/${id}/refund` },
      );
    },
  };
}
