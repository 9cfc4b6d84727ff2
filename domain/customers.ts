/**
 * The customer: whom orders are placed for. Inside, it is a random reference; the client's id that stands behind it is in one row,
 * found by its keyed hash, and is what an erasure destroys. A client's id has one reference at a time: one that is being erased
 * is followed by another as soon as the same client's id orders again.
 */
import { createHmac } from 'node:crypto';
import type { Statements } from './database.js';

/** Of this installation, by which the keyed hashes of clients' ids are made. */
export type IdentityKey = Buffer;

/** @throws if the installation's row is gone, which nothing of ours removes */
export async function readIdentityKey(db: Statements): Promise<IdentityKey> {
  const [row] = await db.$queryRaw<{ key: string | null }[]>`SELECT identity_key AS key FROM installation`;
  if (!row?.key) throw new Error('Bug! The installation has no identity key');
  return Buffer.from(row.key, 'base64');
}

const keysRead = new WeakMap<Statements, Promise<IdentityKey>>();

/** The same, read once per client, for it never changes. Of a transaction it is read each time: give the client, if there is one. */
export function identityKeyOf(db: Statements): Promise<IdentityKey> {
  const known = keysRead.get(db);
  if (known) return known;
  const read = readIdentityKey(db);
  keysRead.set(db, read);
  read.catch(() => keysRead.delete(db));
  return read;
}

/** Of a client's id, by which its customer is found; it tells nothing to whoever does not have the key. */
export const lookupOf = (key: IdentityKey, clientId: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    createHmac('sha256', key)
      .update(JSON.stringify(['customer', clientId]))
      .digest(),
  );

/** @returns the reference that new orders of this client's id have; null = it has none yet */
export async function findReference(db: Statements, key: IdentityKey, clientId: string): Promise<string | null> {
  const [row] = await db.$queryRaw<{ reference: string }[]>`
    SELECT reference FROM customers WHERE lookup = ${lookupOf(key, clientId)} AND erasing_since IS NULL`;
  return row?.reference ?? null;
}

/** @returns every reference whose orders are this client's id's, those that are being erased included */
export async function findReferences(db: Statements, key: IdentityKey, clientId: string): Promise<string[]> {
  const rows = await db.$queryRaw<{ reference: string }[]>`
    SELECT reference FROM customers WHERE lookup = ${lookupOf(key, clientId)}`;
  return rows.map(({ reference }) => reference);
}
