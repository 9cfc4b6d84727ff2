/**
 * What is erased of the audit trail: reasons of what was done to the customer's orders, and the customer as a caller. The keyed hashes of
 * what is erased are what was signed, so the chain stays whole. Who looks for a person's id looks for its keyed hash.
 */
import type { ErasedCounts } from '../../contracts/erasures.js';
import type { IdentityKey } from '../customers.js';
import type { Statements } from '../database.js';
import { namesAmong } from './parts.js';

/** Of audited calls that are looked at by one statement, which takes some 50 ms. */
const PAGE = 100_000;

/** @returns the customer's own id, where it stands in audited calls: as who called, or as what a path named */
export async function findNames(
  db: Statements,
  identityKey: IdentityKey,
  reference: string,
  page = PAGE,
): Promise<string[]> {
  const [calls] = await db.$queryRaw<{ first: bigint | null; last: bigint | null }[]>`
    SELECT min(id) AS first, max(id) AS last FROM audit_calls`;
  const names = new Set<string>();
  for (let from = calls?.first ?? 1n; from <= (calls?.last ?? 0n); from += BigInt(page)) {
    const texts = await readNames(db, from, from + BigInt(page));
    for (const name of await namesAmong(db, identityKey, reference, texts)) names.add(name);
  }
  return [...names];
}

export async function eraseAuditTrail(tx: Statements, reference: string, names: string[]): Promise<ErasedCounts> {
  const [erased] = await tx.$queryRaw<{ acts: number; calls: number }[]>`
    SELECT acts, calls FROM erase_audit_texts(${reference}::uuid, ${names}::text[])`;
  return { auditedActs: erased?.acts ?? 0, auditedCalls: erased?.calls ?? 0 };
}

async function readNames(db: Statements, from: bigint, before: bigint): Promise<string[]> {
  const rows = await db.$queryRaw<{ name: string }[]>`
    SELECT DISTINCT name FROM audit_calls CROSS JOIN LATERAL (VALUES (subject), (resource)) AS n (name)
    WHERE id >= ${from}::bigint AND id < ${before}::bigint AND name IS NOT NULL`;
  return rows.map(({ name }) => name);
}
