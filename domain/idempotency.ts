/**
 * Idempotency keys: a key belongs to one caller and route, and stands for one request, known by its fingerprint, and for the
 * first answer that was not a refusal. POST /orders claims its key in the order's own statement, so that key and order are
 * one. Any other POST claims first, works, and then keeps its answer: between the two the key is locked, for a time that its
 * holder extends. What a crash left behind is claimed again by the same request when the lock has ended; the work that
 * stands behind it must therefore be safe to repeat. All times are the database's.
 *
 * Answers that are the same bytes are kept once, however many keys stand for them: cancelling an order a thousand times with
 * fresh keys keeps a few answers, and a short row for each key, of which an order has `KEYS_PER_ORDER_MAX`.
 */
import { createHash } from 'node:crypto';
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';
import { isErasedKey } from './erasure/tombstones.js';
import {
  hasNoRowOfBefore,
  isSameRequest,
  type KeptClaim,
  type KeyClaim,
  keptAs,
  mayBeInserted,
  sameKey,
} from './kept-claims.js';
import { isOver } from './leases.js';
import { forgetStage } from './pseudonyms.js';

/** Of one order's cancellation: a client needs one. Beyond, requests are carried out without their key. */
export const KEYS_PER_ORDER_MAX = 100;

export type Earlier =
  /** The key has been used for the same request: here is the first answer's body as it was kept, and the order's correlation id. */
  | { outcome: 'replayed'; status: number; response: string; orderId: string | null; correlationId: string | null }
  /** The same request is under way. */
  | { outcome: 'in-progress' }
  /** The key has been used for another request. */
  | { outcome: 'key-reused' }
  /** The key stands for an order whose customer was erased: what it was used for is not known any more. */
  | { outcome: 'erased' };

/**
 * A CTE `claimed`: one row if the key is new, or if its time is over; else none, and a concurrent request with the same key
 * waits here and then loses.
 * @param admitted the CTE without whose single row nothing is claimed: there is none if the stage is another one than the claim's
 */
export const claimedForOrder = (
  claim: KeptClaim & { response: string },
  orderId: string,
  admitted: Prisma.Sql,
): Prisma.Sql => Prisma.sql`
  claimed AS (
    INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint, order_id, response, expires_at)
    SELECT ${claim.storedCaller}, ${claim.route}, ${claim.key}, ${claim.storedFingerprint}, ${orderId}::uuid,
      ${claim.response}, ${fromNow(claim.ttlMs)}
    FROM ${admitted} WHERE ${hasNoRowOfBefore(claim)} AND NOT ${isErasedKey(claim)}
    ON CONFLICT (caller, route, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
      response = excluded.response, expires_at = excluded.expires_at
    WHERE k.expires_at <= now()
    RETURNING 1
  ),`;

/**
 * What the key, if there is one, was used for before; an answer is without what is a person's (domain/kept-answers).
 * @returns undefined if it is free
 */
export async function earlierAnswer(db: Statements, claim: KeyClaim | undefined): Promise<Earlier | undefined> {
  if (!claim) return undefined;
  const kept = await keptAs(db, claim);
  const rows = await db.$queryRaw<
    {
      fingerprint: Uint8Array | null;
      orderId: string | null;
      status: number;
      response: string | null;
      correlationId: string | null;
    }[]
  >`
    SELECT fingerprint, order_id AS "orderId", k.status, coalesce(k.response, a.response) AS response,
      (SELECT correlation_id FROM orders o WHERE o.id = k.order_id) AS "correlationId"
    FROM idempotency_keys k LEFT JOIN idempotency_answers a ON a.digest = k.answer
    WHERE ${sameKey(kept)} AND k.expires_at > now()
    UNION ALL SELECT NULL, NULL, 0, NULL, NULL WHERE ${isErasedKey(kept)}`;
  // A tombstone comes before the key goes, and says nothing until then.
  const row = rows.find((one): one is typeof one & { fingerprint: Uint8Array } => one.fingerprint !== null);
  if (!row) return rows.length > 0 ? { outcome: 'erased' } : undefined;
  const { fingerprint, response, ...rest } = row;
  if (!isSameRequest(kept, fingerprint)) return { outcome: 'key-reused' };
  return response === null ? { outcome: 'in-progress' } : { outcome: 'replayed', response, ...rest };
}

/** A claim whose work is under way; `id` tells its holder from a request that takes over after the lock's end. */
export type HeldClaim = KeyClaim & { id: string; lockMs: number };

/**
 * Takes a key that is free, or that the same request left locked in a crash; not if the order has all the keys it may have.
 * @returns whether it was taken
 */
export async function claimKey(db: Statements, claim: HeldClaim): Promise<boolean> {
  const held = await keptAs(db, claim);
  const claimed = await db.$executeRaw`
    INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint, order_id, claim, locked_until, expires_at)
    SELECT ${held.storedCaller}, ${held.route}, ${held.key}, ${held.storedFingerprint}, ${held.orderId ?? null}::uuid, ${held.id}::uuid,
      ${fromNow(held.lockMs)}, ${fromNow(held.ttlMs)}
    WHERE ${mayBeInserted(held)}
      AND (NOT ${hasAllKeys(held)} OR EXISTS (SELECT FROM idempotency_keys WHERE ${sameKey(held)}))
    ON CONFLICT (caller, route, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
      claim = excluded.claim, locked_until = excluded.locked_until, expires_at = excluded.expires_at, response = NULL,
      answer = NULL
    WHERE k.expires_at <= now()
      OR (k.response IS NULL AND k.answer IS NULL AND ${isOver(Prisma.sql`k.locked_until`)} AND k.fingerprint = excluded.fingerprint)`;
  if (claimed === 0 && held.stage !== 'complete') forgetStage(db); // it may be another one by now
  return claimed > 0;
}

/** Whether the order has all the keys that it may have, those of requests under way included. */
export async function isOutOfKeys(db: Statements, claim: KeyClaim): Promise<boolean> {
  const [row] = await db.$queryRaw<{ isOut: boolean }[]>`SELECT ${hasAllKeys(claim)} AS "isOut"`;
  return row?.isOut === true;
}

/** Counted on idempotency_keys_cancelled_order_idx, which is why the route stands in it as it is. */
const hasAllKeys = ({ orderId, route }: KeyClaim): Prisma.Sql =>
  orderId === undefined || route !== CANCELLATION
    ? Prisma.sql`false`
    : Prisma.sql`(SELECT count(*) >= ${KEYS_PER_ORDER_MAX}::int FROM (
        SELECT FROM idempotency_keys WHERE route = ${Prisma.raw(`'${CANCELLATION}'`)} AND order_id = ${orderId}::uuid
        LIMIT ${KEYS_PER_ORDER_MAX}::int) AS counted)`;
const CANCELLATION = 'POST /orders/:id/cancel';

/** Goes on holding the key. */
export async function extendClaim(db: Statements, claim: HeldClaim): Promise<void> {
  const held = await keptAs(db, claim);
  await db.$executeRaw`
    UPDATE idempotency_keys SET locked_until = ${fromNow(held.lockMs)}
    WHERE ${sameKey(held)} AND ${isUnanswered(held)}`;
}

/** Keeps the answer. @returns false if the claim had gone to a repetition of the request meanwhile */
export async function keepAnswer(
  db: Statements,
  claim: HeldClaim,
  { status, response }: { status: number; response: string },
): Promise<boolean> {
  const held = await keptAs(db, claim);
  const digest = new Uint8Array(createHash('sha256').update(response).digest());
  const kept = await db.$executeRaw`
    WITH kept AS (
      INSERT INTO idempotency_answers AS a (digest, response, expires_at)
      VALUES (${digest}, ${response}, ${fromNow(held.ttlMs)})
      ON CONFLICT (digest) DO UPDATE SET expires_at = greatest(a.expires_at, excluded.expires_at)
    )
    UPDATE idempotency_keys SET status = ${status}::int, answer = ${digest}, locked_until = NULL,
      expires_at = ${fromNow(held.ttlMs)}
    WHERE ${sameKey(held)} AND ${isUnanswered(held)}`;
  return kept > 0;
}

/** Gives the key back: a refused request does not burn it. */
export async function releaseClaim(db: Statements, claim: HeldClaim): Promise<void> {
  const held = await keptAs(db, claim);
  await db.$executeRaw`
    DELETE FROM idempotency_keys WHERE ${sameKey(held)} AND ${isUnanswered(held)}`;
}

const isUnanswered = ({ id }: HeldClaim): Prisma.Sql =>
  Prisma.sql`claim = ${id}::uuid AND response IS NULL AND answer IS NULL`;

const fromNow = (ms: number): Prisma.Sql => Prisma.sql`now() + ${ms}::float8 * interval '1 ms'`;
