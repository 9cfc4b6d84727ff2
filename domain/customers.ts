/**
 * The customer: whom orders are placed for. Inside, it is a random reference; the client's id that stands behind it is in one row,
 * found by its keyed hash, and is what an erasure destroys. A client's id has one reference at a time: one that is being erased
 * is followed by another as soon as the same client's id orders again. Orders older than references have the client's id itself
 * until it is replaced (domain/pseudonyms); a client's id that is somebody's reference is never taken for one of those.
 */
import { createHmac } from 'node:crypto';
import { Prisma } from '../prisma/generated/client.js';
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

/** So that a hash of one thing is never that of another, whatever their texts are. */
type HashedThing = 'customer' | 'caller' | 'request';

/** HMAC-SHA-256; it tells nothing to whoever does not have the key. */
export const keyedHash = (key: IdentityKey, thing: HashedThing, text: string): Buffer =>
  createHmac('sha256', key)
    .update(JSON.stringify([thing, text]))
    .digest();

/** Of a client's id, by which its customer is found. */
export const lookupOf = (key: IdentityKey, clientId: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(keyedHash(key, 'customer', clientId));

/** How the audit trail calls who is known by the id of a customer, of ours or not: a keyed hash. */
export const auditedCustomer = (key: IdentityKey, clientId: string): string =>
  `customer:${keyedHash(key, 'customer', clientId).toString('hex').slice(0, 32)}`;

/** @returns every reference whose orders are this client's id's, those that are being erased included */
export async function findReferences(db: Statements, key: IdentityKey, clientId: string): Promise<string[]> {
  const rows = await db.$queryRaw<{ reference: string }[]>`${referencesOf(key, clientId)}`;
  return rows.map(({ reference }) => reference);
}

/** The references of a client's id that are not erased, newest first. */
export async function customersBehind(
  db: Statements,
  key: IdentityKey,
  clientId: string,
): Promise<{ reference: string; since: Date; erasingSince: Date | null }[]> {
  return db.$queryRaw`
    SELECT reference::text, created_at AS since, erasing_since AS "erasingSince" FROM customers
    WHERE reference IN (SELECT r.reference::uuid FROM (${referencesOf(key, clientId)}) AS r) ORDER BY created_at DESC`;
}

/** A subquery: `reference`, of each that is this client's id's. Each half has an index of its own. */
const referencesOf = (key: IdentityKey, clientId: string): Prisma.Sql => referencesFoundBy(lookupOf(key, clientId));
export const referencesFoundBy = (lookup: Uint8Array<ArrayBuffer>): Prisma.Sql => Prisma.sql`
  SELECT reference::text AS reference FROM customers WHERE lookup = ${lookup} AND erasing_since IS NULL
  UNION ALL SELECT reference::text FROM customers WHERE lookup = ${lookup} AND erasing_since IS NOT NULL`;

const REFERENCE = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** A row if the client's id itself may stand in orders: not all are replaced yet, and it is nobody's reference. */
export const unlessReplaced = (clientId: string): Prisma.Sql => Prisma.sql`
  SELECT ${clientId} AS reference FROM installation WHERE pseudonyms_complete_at IS NULL
    AND NOT EXISTS (SELECT FROM customers WHERE reference = ${REFERENCE.test(clientId) ? clientId : null}::uuid)`;

/** A subquery: `reference`, by everything that orders.customer_id may hold of this client's id. */
export const customerIdsOf = (key: IdentityKey, clientId: string): Prisma.Sql => Prisma.sql`
  ${referencesOf(key, clientId)} UNION ALL ${unlessReplaced(clientId)}`;

/** Who stands behind a reference; null values = erased. `clientId` as it is stored: it may be sealed. */
export type CustomerBehind = { clientId: string | null; lookup: string | null };

/** The reference in this column of text, as customers' index has it; null = it holds a client's id itself. */
export const referenceIn = (column: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`CASE WHEN ${column} ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN ${column}::uuid END`;

/** A scalar subquery: the CustomerBehind of the reference in this column of text; null = it holds a client's id itself. */
export const customerBehind = (column: Prisma.Sql): Prisma.Sql => Prisma.sql`(
  SELECT json_build_object('clientId', c.client_id, 'lookup', encode(c.lookup, 'hex')) FROM customers c
  WHERE c.reference = ${referenceIn(column)})`;

/** What is told of an order's or event's customer, whose client's id is not sealed (else domain/sealing/of-customers): `customerId` is the client's id, or the reference if that is erased. */
export type ToldCustomer = { customerId: string; customerReference?: string };

/** @param held what orders.customer_id holds */
export function toldCustomer(held: string, behind: CustomerBehind | null): ToldCustomer {
  return behind === null ? { customerId: held } : { customerId: behind.clientId ?? held, customerReference: held };
}

/** Whether the order is this client's id's: by the lookup, for an erased customer is nobody, whatever it is called. */
export const isOf = (
  key: IdentityKey,
  clientId: string,
  { held, behind }: { held: string; behind: CustomerBehind | null },
): boolean =>
  behind === null ? held === clientId : behind.lookup === Buffer.from(lookupOf(key, clientId)).toString('hex');
