/**
 * What is erased of a customer's orders, a batch of orders in a transaction: whatever was chosen by the person, or by a client for them.
 * What stays are facts of the accounts: what was sold and when, what was paid, by which reference at the gateway, and how it came to
 * that. Each statement finds nothing more to do where it has been before.
 */
import { ERASED, type ErasedCounts } from '../../contracts/erasures.js';
import { Prisma } from '../../prisma/generated/client.js';
import { type IdentityKey, lookupOf } from '../customers.js';
import type { Statements } from '../database.js';
import { blankDetails } from '../finding-details.js';
import { orderNumberDigest } from './tombstones.js';

export type ErasedBatch = { counts: ErasedCounts; last: string | null };

/** The next orders of a pass, locked: nobody changes one of them while its parts are erased. All of them are final. */
async function lockOrders(tx: Statements, reference: string, place: string | null, limit: number): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM orders WHERE customer_id = ${reference} AND id > ${place ?? FIRST}::uuid ORDER BY id LIMIT ${limit} FOR UPDATE`;
  return rows.map(({ id }) => id);
}
const FIRST = '00000000-0000-0000-0000-000000000000';

/** Erases what is personal of the next orders, in a transaction of the caller's. @returns `last` null once there are no more */
export async function eraseOrders(
  tx: Statements,
  identityKey: IdentityKey,
  reference: string,
  { place, limit }: { place: string | null; limit: number },
): Promise<ErasedBatch> {
  const ids = await lockOrders(tx, reference, place, limit);
  const last = ids.at(-1);
  if (last === undefined) return { counts: {}, last: null };
  const names = [ERASED, ...(await namesAmong(tx, identityKey, reference, await readActors(tx, ids)))];
  await entombOrderNumbers(tx, reference, ids);
  const idempotencyKeys = await eraseKeys(tx, ids);
  const [texts] = await tx.$queryRaw<{ events: number; log: number; closings: number }[]>`
    SELECT events, log_entries AS log, closings FROM erase_order_texts(${reference}::uuid, ${ids}::uuid[], ${names.slice(1)}::text[])`;
  const deadLetters = await tx.$executeRaw`
    UPDATE dead_letters SET error = ${ERASED}, reason = CASE WHEN reason IS NOT NULL THEN ${ERASED} END
    WHERE order_id = ANY(${ids}::uuid[]) AND (error <> ${ERASED} OR reason <> ${ERASED})`;
  const findings = await tx.$executeRaw(blankDetails(ids));
  await eraseOperationTexts(tx, ids);
  const orders = await eraseRows(tx, ids);
  const { events = 0, log: sagaLogEntries = 0, closings = 0 } = texts ?? {};
  return { counts: { orders, events, sagaLogEntries, deadLetters, findings, closings, idempotencyKeys }, last };
}

/**
 * What operators wrote of the operations that one of these orders was part of, whatever others were. One that has begun meanwhile holds the
 * erasure (holds.ts), and what it says is still to be written of its other orders; one that has not is of these orders no more.
 */
async function eraseOperationTexts(tx: Statements, ids: string[]): Promise<void> {
  await tx.$executeRaw`
  DELETE FROM operation_items i USING operations o
  WHERE i.order_id = ANY(${ids}::uuid[]) AND o.id = i.operation_id AND o.state = 'previewed'`;
  await tx.$executeRaw`
  UPDATE operations SET reason = CASE WHEN reason IS NOT NULL THEN ${ERASED} END,
    paused_because = CASE WHEN paused_because IS NOT NULL THEN ${ERASED} END,
    abort_reason = CASE WHEN abort_reason IS NOT NULL THEN ${ERASED} END
  WHERE id IN (SELECT operation_id FROM operation_items WHERE order_id = ANY(${ids}::uuid[])) AND ended_at IS NOT NULL
    AND (reason <> ${ERASED} OR paused_because <> ${ERASED} OR abort_reason <> ${ERASED})`;
}

/** Last, since a row that says so is taken to be done. What was fixed for the charge is not asked for again: it is final. */
export const eraseRows = (tx: Statements, ids: string[]): Promise<number> => tx.$executeRaw`
  UPDATE orders SET payment_method = ${ERASED}, external_order_id = NULL, cancellation_message = NULL, traceparent = NULL,
    correlation_id = id::text, charge_correlation_id = CASE WHEN charge_correlation_id IS NOT NULL THEN id::text END
  WHERE id = ANY(${ids}::uuid[]) AND (payment_method <> ${ERASED} OR cancellation_message IS NOT NULL)`;

/** A number of an order that was cancelled may be ordered again, as before. */
const entombOrderNumbers = (tx: Statements, reference: string, ids: string[]): Promise<number> => tx.$executeRaw`
  INSERT INTO erased_order_numbers (digest)
  SELECT ${orderNumberDigest(Prisma.sql`c.lookup`, Prisma.sql`o.external_order_id`)}
  FROM orders o JOIN customers c ON c.reference = ${reference}::uuid
  WHERE o.id = ANY(${ids}::uuid[]) AND o.external_order_id IS NOT NULL AND o.status <> 'CANCELLED'
  ON CONFLICT (digest) DO NOTHING`;

/** With their answers, which are about these orders alone. */
async function eraseKeys(tx: Statements, ids: string[]): Promise<number> {
  const [row] = await tx.$queryRaw<{ count: number }[]>`
    WITH gone AS (DELETE FROM idempotency_keys WHERE order_id = ANY(${ids}::uuid[]) RETURNING answer),
    answers AS (DELETE FROM idempotency_answers WHERE digest IN (SELECT answer FROM gone))
    SELECT count(*)::int AS count FROM gone`;
  return row?.count ?? 0;
}

async function readActors(tx: Statements, ids: string[]): Promise<string[]> {
  const rows = await tx.$queryRaw<{ actor: string }[]>`
    SELECT DISTINCT actor FROM saga_log WHERE order_id = ANY(${ids}::uuid[]) AND actor IS NOT NULL`;
  return rows.map(({ actor }) => actor);
}

/** @returns those of the texts that are the customer's own id, which nothing else here knows in plain */
export async function namesAmong(
  db: Statements,
  identityKey: IdentityKey,
  reference: string,
  texts: string[],
): Promise<string[]> {
  const [customer] = await db.$queryRaw<{ lookup: Uint8Array | null }[]>`
    SELECT lookup FROM customers WHERE reference = ${reference}::uuid`;
  if (!customer?.lookup) return [];
  const lookup = Buffer.from(customer.lookup);
  return texts.filter((text) => lookup.equals(lookupOf(identityKey, text)));
}
