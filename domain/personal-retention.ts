/**
 * Retention of what is personal: once an order came to its end long ago, what a person or a client has chosen leaves it, and with the last
 * such order of a customer the client's id does. What stays are facts of the books: what was sold to which reference, when, for how much,
 * and what was paid and given back. An order that anything is still in hand of stays as it is.
 */
import { ERASED } from '../contracts/erasures.js';
import { Prisma } from '../prisma/generated/client.js';
import { referenceIn } from './customers.js';
import type { Statements } from './database.js';
import { eraseRows } from './erasure/parts.js';
import { blankDetails } from './finding-details.js';
import { orderNumberDigest } from './erasure/tombstones.js';

/** What was blanked of one batch, and where the next begins; `next` undefined = no order is old beyond this one. */
export type BlankedBatch = { orders: number; customers: number; next: string | undefined };

const FIRST = '00000000-0000-0000-0000-000000000000';

/**
 * Looks at the next orders, by id and with that by age, and blanks those that are old and have come to their end. In a transaction of the
 * caller's: an order is blanked whole or not at all, and its number stays taken (erased_order_numbers).
 * @param after where the batch before ended
 */
export async function blankOldOrders(
  tx: Statements,
  { after = FIRST, olderThanMs, limit }: { after?: string | undefined; olderThanMs: number; limit: number },
): Promise<BlankedBatch> {
  const page = await tx.$queryRaw<{ id: string }[]>`
    SELECT id::text AS id FROM orders WHERE id > ${after}::uuid AND id < ${idOf(Date.now() - olderThanMs)}::uuid
    ORDER BY id LIMIT ${limit}`;
  const next = page.length === limit ? page.at(-1)?.id : undefined;
  const old = await lockOld(
    tx,
    page.map(({ id }) => id),
    olderThanMs,
  );
  if (old.length === 0) return { orders: 0, customers: 0, next };
  const ids = old.map(({ id }) => id);
  await tx.$executeRaw`
    INSERT INTO erased_order_numbers (digest)
    SELECT ${orderNumberDigest(Prisma.sql`c.lookup`, Prisma.sql`o.external_order_id`)}
    FROM orders o JOIN customers c ON c.reference = ${referenceIn(Prisma.sql`o.customer_id`)}
    WHERE o.id = ANY(${ids}::uuid[]) AND o.external_order_id IS NOT NULL AND o.status <> 'CANCELLED' AND c.lookup IS NOT NULL
    ON CONFLICT (digest) DO NOTHING`;
  await tx.$queryRaw`SELECT events FROM blank_old_order_texts(${ids}::uuid[])`;
  await tx.$executeRaw`
    UPDATE dead_letters SET error = ${ERASED}, reason = CASE WHEN reason IS NOT NULL THEN ${ERASED} END,
      decided_by = CASE WHEN decided_by IS NOT NULL THEN ${ERASED} END
    WHERE order_id = ANY(${ids}::uuid[]) AND closed_at IS NOT NULL AND error <> ${ERASED}`;
  await tx.$executeRaw(blankDetails(ids));
  const orders = await eraseRows(tx, ids);
  const customers = await forgetCustomers(tx, [...new Set(old.map(({ customerId }) => customerId))]);
  return { orders, customers, next };
}

/** A UUIDv7 of that moment, before all others of it. */
const idOf = (ms: number): string => {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
};

/**
 * Those of the orders of which nothing is in hand: not of their saga, their money, a finding, an event. An order whose customer has no
 * reference yet waits until it has: its number could not be kept as taken. One that is locked is for the next pass.
 */
const lockOld = (tx: Statements, ids: string[], olderThanMs: number): Promise<{ id: string; customerId: string }[]> =>
  tx.$queryRaw<{ id: string; customerId: string }[]>`
    SELECT o.id::text AS id, o.customer_id AS "customerId" FROM orders o
    WHERE o.id = ANY(${ids}::uuid[]) AND o.payment_method <> ${ERASED}
      AND o.updated_at < now() - ${olderThanMs}::float8 * interval '1 ms'
      AND (o.status = 'CANCELLED' OR (o.status = 'CONFIRMED' AND o.unwinding_reason IS NULL AND NOT o.forward_due))
      AND EXISTS (SELECT FROM customers c WHERE c.reference = ${referenceIn(Prisma.sql`o.customer_id`)} AND c.erasing_since IS NULL)
      AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.status = 'REFUNDING')
      AND NOT EXISTS (SELECT FROM dead_letters l WHERE l.order_id = o.id AND l.closed_at IS NULL)
      AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.order_id = o.id::text AND f.action IN ('waiting', 'refunding', 'cancelling'))
    ORDER BY o.id FOR UPDATE OF o SKIP LOCKED`;

/**
 * Forgets those of the customers who have no order any more with anything personal in it. Whoever accepts an order holds its customer's
 * row: such a one is passed over here, and meets a customer that is known.
 */
async function forgetCustomers(tx: Statements, references: string[]): Promise<number> {
  const locked = await tx.$queryRaw<{ reference: string }[]>`
    SELECT reference::text AS reference FROM customers WHERE reference = ANY(${references}::uuid[]) AND erasing_since IS NULL
    ORDER BY reference FOR UPDATE SKIP LOCKED`;
  const forgotten = await tx.$queryRaw<{ reference: string }[]>`
    UPDATE customers c SET lookup = NULL, client_id = NULL, erasing_since = now(), erased_at = now()
    WHERE c.reference = ANY(${locked.map(({ reference }) => reference)}::uuid[])
      AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.reference::text AND o.payment_method <> ${ERASED})
    RETURNING c.reference::text AS reference`;
  for (const { reference } of forgotten)
    await tx.$queryRaw`SELECT destroy_customer_keys(${reference}::uuid) AS destroyed`;
  return forgotten.length;
}

/** Blanks what was said of events that were decided on long ago. @returns how many */
export const blankOldDeadLetters = (
  db: Statements,
  olderThanMs: number,
  limit: number,
): Promise<number> => db.$executeRaw`
  UPDATE dead_letters SET error = ${ERASED}, reason = CASE WHEN reason IS NOT NULL THEN ${ERASED} END,
    decided_by = CASE WHEN decided_by IS NOT NULL THEN ${ERASED} END
  WHERE id IN (SELECT id FROM dead_letters WHERE closed_at < now() - ${olderThanMs}::float8 * interval '1 ms' AND error <> ${ERASED}
    ORDER BY id LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;

/** Blanks who asked for erasures that were done long ago, and why. @returns how many */
export const blankOldErasures = (db: Statements, olderThanMs: number, limit: number): Promise<number> => db.$executeRaw`
  UPDATE erasures SET requested_by = ${ERASED}, reason = ${ERASED}
  WHERE id IN (SELECT id FROM erasures WHERE done_at < now() - ${olderThanMs}::float8 * interval '1 ms' AND reason <> ${ERASED}
    ORDER BY id LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
