/**
 * Replacement: what is older than references gets them, in batches, once an operator has begun: orders and their first events, and
 * Idempotency-Keys with their answers. It is safe to do twice and beside everything else; when a whole pass has found
 * nothing left, references are complete.
 */
import { createHash, randomUUID } from 'node:crypto';
import { Prisma } from '../prisma/generated/client.js';
import { type IdentityKey, lookupOf } from './customers.js';
import type { Database, Statements } from './database.js';
import { withoutPersonIn } from './kept-answers.js';
import { HASHED, hashedCaller, hashedFingerprint } from './kept-claims.js';
import { sealClientId } from './sealing/of-customers.js';

/** Writers that are at work finish first, and the next ones see it: none of them stores ids beside one that stores references. */
export async function beginReferences(tx: Database): Promise<boolean> {
  await tx.$executeRaw`SET LOCAL lock_timeout = '1s'`; // orders wait behind it
  await tx.$executeRaw`LOCK TABLE idempotency_keys, orders IN SHARE ROW EXCLUSIVE MODE`;
  const begun = await tx.$executeRaw`UPDATE installation SET pseudonyms_since = now() WHERE pseudonyms_since IS NULL`;
  return begun > 0;
}

/** Where a pass has come to: through the orders, then through the keys. */
export type PassPlace = { afterOrder: string; afterKey: KeyPlace | null; found: number };
type KeyPlace = { caller: string; route: string; key: string };
export const PASS_START: PassPlace = { afterOrder: '00000000-0000-0000-0000-000000000000', afterKey: null, found: 0 };

/** What a process that believed in the stage before had in hand has ended by then. */
const SETTLED = Prisma.sql`pseudonyms_since < now() - interval '10 s'`;

/**
 * One batch of a pass. @returns where the pass goes on, and how many rows were replaced; `place` undefined = the pass has ended, and
 * references are complete if it found nothing
 */
export async function replaceBatch(
  db: Statements,
  key: IdentityKey,
  place: PassPlace,
  limit: number,
): Promise<{ place: PassPlace | undefined; replaced: number }> {
  if (place.afterKey === null) {
    const { replaced, last } = await replaceOrders(db, key, place.afterOrder, limit);
    const found = place.found + replaced;
    if (last !== undefined) return { place: { ...place, afterOrder: last, found }, replaced };
    return { place: { ...place, afterKey: { caller: '', route: '', key: '' }, found }, replaced };
  }
  const { replaced, last } = await replaceKeys(db, key, place.afterKey, limit);
  const found = place.found + replaced;
  if (last !== undefined) return { place: { ...place, afterKey: last, found }, replaced };
  if (found === 0) await complete(db);
  return { place: undefined, replaced };
}

async function complete(db: Statements): Promise<void> {
  // No key stands for them any more.
  await db.$executeRaw`DELETE FROM idempotency_answers WHERE response ~ '"customerId":"[^"]'`;
  await db.$executeRaw`UPDATE installation SET pseudonyms_complete_at = now() WHERE pseudonyms_complete_at IS NULL AND ${SETTLED}`;
}

type OldOrder = { id: string; clientId: string; isOld: boolean };

async function replaceOrders(db: Statements, key: IdentityKey, after: string, limit: number) {
  const page = await db.$queryRaw<OldOrder[]>`
    SELECT id::text, customer_id AS "clientId", NOT EXISTS (
      SELECT FROM customers c WHERE c.reference = CASE WHEN customer_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN customer_id::uuid END
    ) AS "isOld"
    FROM orders WHERE id > ${after}::uuid ORDER BY id LIMIT ${limit}`;
  const old = page.filter(({ isOld }) => isOld);
  if (old.length > 0) await giveReferences(db, key, old);
  // A statement of its own, since the app itself may not change events: a crash before it is made good by the next pass.
  const [events] = await db.$queryRaw<{ replaced: number }[]>`
    SELECT replace_event_customers(${page.map(({ id }) => id)}::uuid[]) AS replaced`;
  return { replaced: old.length + (events?.replaced ?? 0), last: page.length < limit ? undefined : page.at(-1)?.id };
}

/** Order by order under its row's lock: a saga that has it in hand ends its statement first. */
async function giveReferences(db: Statements, key: IdentityKey, orders: OldOrder[]): Promise<void> {
  const ids = [...new Set(orders.map(({ clientId }) => clientId))].sort();
  const references = ids.map(() => randomUUID());
  const stored = await Promise.all(ids.map((id, i) => sealClientId(db, id, references[i] ?? '')));
  await db.$executeRaw`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM unnest(${ids}::text[], ${ids.map((id) => lookupOf(key, id))}::bytea[], ${references}::uuid[], ${stored}::text[])
        AS w (client_id, lookup, reference, stored)
    ), known AS MATERIALIZED (
      SELECT w.client_id, coalesce(
        (SELECT c.reference FROM customers c WHERE c.lookup = w.lookup AND c.erasing_since IS NOT NULL ORDER BY c.created_at LIMIT 1),
        (SELECT c.reference FROM customers c WHERE c.lookup = w.lookup AND c.erasing_since IS NULL)) AS reference FROM wanted w
    ), made AS (
      INSERT INTO customers AS c (reference, lookup, client_id)
      SELECT w.reference, w.lookup, w.stored FROM wanted w JOIN known k USING (client_id) WHERE k.reference IS NULL ORDER BY w.client_id
      ON CONFLICT (lookup) WHERE erasing_since IS NULL DO UPDATE SET lookup = excluded.lookup
      RETURNING lookup, reference
    ), given AS (
      SELECT client_id, reference::text AS reference FROM known WHERE reference IS NOT NULL
      UNION ALL SELECT w.client_id, m.reference::text FROM made m JOIN wanted w USING (lookup)
    )
    UPDATE orders o SET customer_id = g.reference FROM given g
    WHERE o.id = ANY(${orders.map(({ id }) => id)}::uuid[]) AND o.customer_id = g.client_id`;
}

type OldKey = KeyPlace & {
  fingerprint: Uint8Array;
  response: string | null;
  answer: Uint8Array | null;
  answered: string | null;
};

async function replaceKeys(db: Statements, key: IdentityKey, after: KeyPlace, limit: number) {
  // Of one whose time is over nobody is told anything any more, and its place may be taken.
  await db.$executeRaw`
    DELETE FROM idempotency_keys WHERE (caller, route, key) IN (
      SELECT caller, route, key FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  const page = await db.$queryRaw<OldKey[]>`
    SELECT k.caller, k.route, k.key, k.fingerprint, k.response, k.answer, a.response AS answered
    FROM idempotency_keys k LEFT JOIN idempotency_answers a ON a.digest = k.answer
    WHERE (k.caller, k.route, k.key) > (${after.caller}, ${after.route}, ${after.key})
    ORDER BY k.caller, k.route, k.key LIMIT ${limit}`;
  const old = page.filter(
    ({ caller, route, response, answered }) =>
      !caller.startsWith(HASHED) || [response, answered].some((text) => withoutPersonIn(route, text) !== text),
  );
  for (const row of old) await replaceKey(db, key, row);
  const last = page.at(-1);
  return {
    replaced: old.length,
    last: page.length < limit || !last ? undefined : { caller: last.caller, route: last.route, key: last.key },
  };
}

/** Unless its request has answered, or taken it anew, in between: then the next pass finds it. */
async function replaceKey(db: Statements, key: IdentityKey, row: OldKey): Promise<void> {
  const isHashed = row.caller.startsWith(HASHED);
  const caller = isHashed ? row.caller : hashedCaller(key, row.caller);
  const fingerprint = isHashed ? new Uint8Array(row.fingerprint) : hashedFingerprint(key, row.fingerprint);
  const response = withoutPersonIn(row.route, row.response);
  const answered = withoutPersonIn(row.route, row.answered);
  const digest = answered === null ? null : new Uint8Array(createHash('sha256').update(answered).digest());
  await db.$executeRaw`
    WITH kept AS (
      INSERT INTO idempotency_answers AS a (digest, response, expires_at)
      SELECT ${digest}::bytea, ${answered}::text, expires_at FROM idempotency_answers
      WHERE digest = ${row.answer === null ? null : new Uint8Array(row.answer)}::bytea
      ON CONFLICT (digest) DO UPDATE SET expires_at = greatest(a.expires_at, excluded.expires_at)
    )
    UPDATE idempotency_keys SET caller = ${caller}, fingerprint = ${fingerprint}, response = ${response}, answer = ${digest}::bytea
    WHERE caller = ${row.caller} AND route = ${row.route} AND key = ${row.key} AND fingerprint = ${new Uint8Array(row.fingerprint)}
      AND response IS NOT DISTINCT FROM ${row.response}::text AND answer IS NOT DISTINCT FROM ${row.answer === null ? null : new Uint8Array(row.answer)}::bytea`;
}
