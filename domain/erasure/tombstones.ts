/**
 * Tombstones of an erasure: keyed hashes of what a repeated request would carry. With them a repetition is known to be one although
 * nothing is known any more of what it repeats, and makes no second order.
 */
import { Prisma } from '../../prisma/generated/client.js';
import type { Statements } from '../database.js';
import type { KeptClaim } from '../kept-claims.js';

/** Of the key of a request; `k` has the columns of idempotency_keys. */
const ofKey = Prisma.sql`erasure_digest('key', k.caller, k.route, k.key)`;

/** Those of orders only: any other request with a key of before finds nothing that it could do twice. */
const ROUTE = 'POST /orders';

/**
 * Leaves a tombstone for each Idempotency-Key of the customer's orders that is still good. It says nothing while the key itself is
 * there. No order comes to a customer who is being erased, so that once is enough.
 */
export async function entombKeys(db: Statements, erasureId: string, reference: string): Promise<void> {
  // One of before, whose time is over, would be in the way.
  await db.$executeRaw`
    DELETE FROM erased_keys WHERE expires_at <= now() AND digest IN (
      SELECT ${ofKey} FROM orders o JOIN idempotency_keys k ON k.order_id = o.id
      WHERE o.customer_id = ${reference} AND k.route = ${ROUTE})`;
  await db.$executeRaw`
    WITH entombed AS (
      INSERT INTO erased_keys (digest, expires_at)
      SELECT ${ofKey}, k.expires_at FROM orders o JOIN idempotency_keys k ON k.order_id = o.id
      WHERE o.customer_id = ${reference} AND k.route = ${ROUTE} AND k.expires_at > now()
      ON CONFLICT (digest) DO NOTHING
    )
    UPDATE erasures SET entombed_at = now() WHERE id = ${erasureId}::uuid`;
}

/** A condition: the key of this request is that of an erased order. */
export const isErasedKey = ({
  storedCaller,
  route,
  key,
}: Pick<KeptClaim, 'storedCaller' | 'route' | 'key'>): Prisma.Sql =>
  route === ROUTE
    ? Prisma.sql`EXISTS (SELECT FROM erased_keys e
        WHERE e.digest = erasure_digest('key', ${storedCaller}, ${route}, ${key}) AND e.expires_at > now())`
    : Prisma.sql`false`;

/** A digest of a customer's order number. @param lookup the customer's keyed hash, an expression of type bytea */
export const orderNumberDigest = (lookup: Prisma.Sql, externalOrderId: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`erasure_digest('order number', encode(${lookup}, 'hex'), ${externalOrderId})`;

/** A condition: the customer had an order of this number when they were erased. */
export const isErasedNumber = (lookup: Uint8Array, externalOrderId: string): Prisma.Sql => Prisma.sql`
  EXISTS (SELECT FROM erased_order_numbers e
    WHERE e.digest = ${orderNumberDigest(Prisma.sql`${lookup}::bytea`, Prisma.sql`${externalOrderId}`)})`;

/** Removes tombstones of keys whose time is over. @returns how many */
export const purgeErasedKeys = (db: Statements, limit: number): Promise<number> => db.$executeRaw`
  DELETE FROM erased_keys WHERE digest IN (
    SELECT digest FROM erased_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT ${limit})`;
