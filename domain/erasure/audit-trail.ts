/**
 * What is erased of the audit trail: reasons of what was done to the customer's orders, and the customer as a caller. The keyed hashes of
 * what is erased are what was signed, so the chain stays whole. Who looks for a person's id looks for its keyed hash. All of it goes in
 * pages, each a transaction of the caller's: the trail is kept for ever, and one statement over all that it says would not end in its time.
 */
import type { IdentityKey } from '../customers.js';
import type { Statements } from '../database.js';
import { namesAmong } from './parts.js';

/** Of audited calls that are looked at by one statement, which takes some 50 ms. */
const PAGE = 100_000;

export type CallsPage = { since: bigint; before: bigint };

/** @returns the audited calls of now, in pages */
export async function pagesOfCalls(db: Statements, page = PAGE): Promise<CallsPage[]> {
  const [calls] = await db.$queryRaw<{ first: bigint | null; last: bigint | null }[]>`
    SELECT min(id) AS first, max(id) AS last FROM audit_calls`;
  const pages: CallsPage[] = [];
  for (let since = calls?.first ?? 1n; since <= (calls?.last ?? 0n); since += BigInt(page))
    pages.push({ since, before: since + BigInt(page) });
  return pages;
}

/** @returns the customer's own id, where it stands in these calls: as who called, or as what a path named */
export async function findNames(
  db: Statements,
  identityKey: IdentityKey,
  reference: string,
  { since, before }: CallsPage,
): Promise<string[]> {
  const rows = await db.$queryRaw<{ name: string }[]>`
    SELECT DISTINCT name FROM audit_calls CROSS JOIN LATERAL (VALUES (subject), (resource)) AS n (name)
    WHERE id >= ${since}::bigint AND id < ${before}::bigint AND name IS NOT NULL`;
  return namesAmong(
    db,
    identityKey,
    reference,
    rows.map(({ name }) => name),
  );
}

/** @returns how many; fewer than a page = there are no more */
export async function eraseAuditedActs(tx: Statements, reference: string, page: number): Promise<number> {
  const [row] = await tx.$queryRaw<{ erased: number }[]>`
    SELECT erase_audit_acts(${reference}::uuid, ${page}::int) AS erased`;
  return row?.erased ?? 0;
}

export async function eraseAuditedCalls(
  tx: Statements,
  reference: string,
  names: string[],
  { since, before }: CallsPage,
): Promise<number> {
  const [row] = await tx.$queryRaw<{ erased: number }[]>`
    SELECT erase_audit_calls(${reference}::uuid, ${names}::text[], ${since}::bigint, ${before}::bigint) AS erased`;
  return row?.erased ?? 0;
}
