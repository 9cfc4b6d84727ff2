/** The wrapped data keys in Postgres: one function per statement. A customer is known by its reference here, never by its id. */
import type { WrappedKey } from '../../contracts/key-encryption.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { Statements } from '../database.js';

/** `key` is undefined once it is destroyed. */
export type CustomerKey = { version: number; key: WrappedKey | undefined };

/** What a data key is wrapped for: it unwraps as nothing else. */
export const contextOf = (reference: string, version: number): string =>
  `order-saga/customer-key/${reference}/${version}`;

/** @returns the customer's keys, newest first, at most `KEYS_READ_MAX`: a version a rotation, and nobody rotates as often */
export async function readCustomerKeys(db: Statements, reference: string): Promise<CustomerKey[]> {
  const rows = await db.$queryRaw<{ version: number; keyId: string | null; wrapped: Uint8Array | null }[]>`
    SELECT version, kek_id AS "keyId", wrapped FROM customer_keys
    WHERE reference = ${reference}::uuid ORDER BY version DESC LIMIT ${KEYS_READ_MAX}::int`;
  return rows.map(({ version, keyId, wrapped }) => ({
    version,
    key: wrapped === null || keyId === null ? undefined : { keyId, wrapped },
  }));
}
const KEYS_READ_MAX = 1_000;

/**
 * @returns false if another process has made this version meanwhile
 * @throws a violation of `customer_keys_not_made_again` if the customer's keys are destroyed
 */
export async function addCustomerKey(
  db: Statements,
  { reference, version, key }: { reference: string; version: number; key: WrappedKey },
): Promise<boolean> {
  const added = await db.$executeRaw`
    INSERT INTO customer_keys (reference, version, kek_id, wrapped)
    VALUES (${reference}::uuid, ${version}::int, ${key.keyId}, ${Prisma.sql`${bytes(key.wrapped)}`})
    ON CONFLICT DO NOTHING`;
  return added > 0;
}

/**
 * Destroys all keys of a customer, those that are being made included, and leaves a tombstone: none is made again. Repeatable,
 * and part of a larger transaction if `db` is one.
 * @returns how many it has destroyed; 0 = there was none, or they were destroyed before
 */
export async function destroyCustomerKeys(db: Statements, reference: string): Promise<number> {
  const [row] = await db.$queryRaw<{ destroyed: number }[]>`
    SELECT destroy_customer_keys(${reference}::uuid) AS destroyed`;
  return row?.destroyed ?? 0;
}

/** As the driver's types want them. */
const bytes = (of: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(of);
