/**
 * Tombstones of an erasure: keyed hashes of what a repeated request would carry. With them a repetition is known to be one although
 * nothing is known any more of what it repeats, and makes no second order.
 */
import { createHash } from 'node:crypto';
import { Prisma } from '../../prisma/generated/client.js';
import type { IdentityKey } from '../customers.js';
import type { Statements } from '../database.js';
import type { KeptClaim } from '../kept-claims.js';

/**
 * What Postgres' function erasure_digest gives of the same parts. Each order that is accepted asks for two: made here they take some
 * microseconds, and there a tenth of a millisecond each, for a function with a search path of its own is never inlined.
 */
export function erasureDigest(key: IdentityKey, ...parts: string[]): Uint8Array<ArrayBuffer> {
  const sha256 = (data: Buffer | string) => createHash('sha256').update(key).update(data).digest();
  return new Uint8Array(sha256(sha256(JSON.stringify(parts))));
}

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
  identityKey,
  storedCaller,
  route,
  key,
}: Pick<KeptClaim, 'identityKey' | 'storedCaller' | 'route' | 'key'>): Prisma.Sql =>
  route === ROUTE
    ? Prisma.sql`EXISTS (SELECT FROM erased_keys e
        WHERE e.digest = ${erasureDigest(identityKey, 'key', storedCaller, route, key)} AND e.expires_at > now())`
    : Prisma.sql`false`;

const ORDER_NUMBER = 'order number';
/** A digest of a customer's order number. @param lookup the customer's keyed hash, an expression of type bytea */
export const orderNumberDigest = (lookup: Prisma.Sql, externalOrderId: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`erasure_digest(${ORDER_NUMBER}, encode(${lookup}, 'hex'), ${externalOrderId})`;

/** A condition: the customer had an order of this number when they were erased. @param lookup the customer's keyed hash */
export const isErasedNumber = (key: IdentityKey, lookup: Uint8Array, externalOrderId: string): Prisma.Sql => Prisma.sql`
  EXISTS (SELECT FROM erased_order_numbers e
    WHERE e.digest = ${erasureDigest(key, ORDER_NUMBER, Buffer.from(lookup).toString('hex'), externalOrderId)})`;

/** Removes tombstones of keys whose time is over. @returns how many */
export const purgeErasedKeys = (db: Statements, limit: number): Promise<number> => db.$executeRaw`
  DELETE FROM erased_keys WHERE digest IN (
    SELECT digest FROM erased_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT ${limit})`;
