/** Whose an order is, for what is sealed about it outside of our tables. */
import type { Statements } from '../database.js';

/** @returns the reference of the order's customer; undefined if there is no such order, or it still has its client's id */
export async function findReferenceOfOrder(db: Statements, orderId: string): Promise<string | undefined> {
  if (!UUID.test(orderId)) return undefined;
  const [row] = await db.$queryRaw<{ reference: string }[]>`
    SELECT c.reference FROM orders o JOIN customers c ON c.reference = CASE WHEN o.customer_id ~ ${UUID.source} THEN o.customer_id::uuid END
    WHERE o.id = ${orderId}::uuid`;
  return row?.reference;
}
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
