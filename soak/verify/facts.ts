/** What is, for the operation log to be held against. */
import type pg from 'pg';

export type StoredOrder = {
  id: string;
  customerId: string;
  externalOrderId: string | null;
  status: string;
  reason: string | null;
  paymentMethod: string;
  lines: { sku: string; quantity: number; unitPrice: number }[];
  /** A step that somebody vouched for. */
  isByHand: boolean;
};
export type Facts = {
  orders: StoredOrder[];
  /** The order that was accepted under each key. */
  keys: Map<string, string>;
  stock: { sku: string; onHand: number; unitPrice: number }[];
  /** Reasons that operators gave for their acts, as the audit trail has them. */
  acts: Set<string>;
};

export async function readOperationFacts(pool: pg.Pool): Promise<Facts> {
  const rowsOf = async <Row extends pg.QueryResultRow>(sql: string) => (await pool.query<Row>(sql)).rows;
  const orders = await rowsOf<StoredOrder>(`
    SELECT id, coalesce((SELECT client_id FROM customers c WHERE c.reference::text = o.customer_id), customer_id) AS "customerId", external_order_id AS "externalOrderId", status, unwinding_reason AS reason,
      payment_method AS "paymentMethod",
      (SELECT json_agg(json_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price))
        FROM order_lines WHERE order_id = o.id) AS lines,
      EXISTS (SELECT FROM outbox WHERE order_id = o.id AND data ? 'skippedBy') AS "isByHand"
    FROM orders o ORDER BY id`);
  const keys = await rowsOf<{ key: string; order_id: string }>(
    `SELECT key, order_id FROM idempotency_keys WHERE order_id IS NOT NULL`,
  );
  const stock = await rowsOf<{ sku: string; onHand: string; unitPrice: string }>(
    `SELECT sku, on_hand_total AS "onHand", unit_price AS "unitPrice" FROM inventory`,
  );
  const acts = await rowsOf<{ reason: string }>(`SELECT reason FROM audit_acts WHERE reason IS NOT NULL`);
  return {
    orders,
    keys: new Map(keys.map(({ key, order_id }) => [key, order_id])),
    stock: stock.map(({ sku, onHand, unitPrice }) => ({ sku, onHand: Number(onHand), unitPrice: Number(unitPrice) })),
    acts: new Set(acts.map(({ reason }) => reason)),
  };
}
