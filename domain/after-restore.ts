/**
 * How orders stand, in the terms in which a database that was restored can be compared with what Temporal and the gateway still know: it
 * may be older than they are, or newer, and each of them knows of what it may have lost.
 */
import type { CancellationReason, OrderStatus } from '../contracts/orders.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';
import type { PaymentStatus } from './payments.js';

export type RestoredOrder = {
  id: string;
  /** As the row holds it: its saga is found by it. */
  customer: string;
  status: OrderStatus;
  unwindingReason: CancellationReason | null;
  /** It is not final, or not finished: a saga has to work on it. */
  isDue: boolean;
  /** null = no outcome of a charge is on record. */
  payment: PaymentStatus | null;
  /** The charge that is on record. */
  reference: string | null;
  /** Steps and undos whose effect has committed here, whatever they came to. */
  logged: string[];
};

const columns = Prisma.sql`
  o.id::text, o.customer_id AS customer, o.status, o.unwinding_reason AS "unwindingReason",
  o.status = 'PENDING' OR (o.status = 'CONFIRMED' AND (o.unwinding_reason IS NOT NULL OR o.forward_due)) AS "isDue",
  (SELECT p.status FROM payments p WHERE p.order_id = o.id) AS payment,
  (SELECT p.gateway_reference FROM payments p WHERE p.order_id = o.id) AS reference,
  ARRAY(SELECT DISTINCT l.step FROM saga_log l WHERE l.order_id = o.id) AS logged`;

/** @returns those of the orders that are there */
export async function readRestored(db: Statements, orderIds: string[]): Promise<RestoredOrder[]> {
  return db.$queryRaw<RestoredOrder[]>`SELECT ${columns} FROM orders o WHERE o.id = ANY(${orderIds}::uuid[])`;
}

/** All orders that a saga has to work on, by id. Each condition has an index. @param afterId where the page before ended */
export async function listDue(db: Statements, afterId: string, limit: number): Promise<RestoredOrder[]> {
  return db.$queryRaw<RestoredOrder[]>`
    SELECT ${columns} FROM orders o WHERE o.id IN (
      (SELECT id FROM orders WHERE status = 'PENDING' AND id > ${afterId}::uuid ORDER BY id LIMIT ${limit})
      UNION (SELECT id FROM orders WHERE status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AND id > ${afterId}::uuid ORDER BY id LIMIT ${limit})
      UNION (SELECT id FROM orders WHERE status = 'CONFIRMED' AND forward_due AND id > ${afterId}::uuid ORDER BY id LIMIT ${limit})
    ) ORDER BY o.id LIMIT ${limit}`;
}

/** @returns those of these lost orders that an operator has settled, or of which there is a finding */
export async function listKnownLost(db: Statements, orderIds: string[]): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT id FROM unnest(${orderIds}::text[]) AS named(id)
    WHERE EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'ORPHAN_CHARGE' AND f.order_id = named.id)
      OR EXISTS (SELECT FROM audit_acts a WHERE a.resource = named.id AND a.before->>'difference' = 'ORDER_LOST')`;
  return rows.map(({ id }) => id);
}
