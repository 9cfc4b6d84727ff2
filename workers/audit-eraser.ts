/** The part of an erasure that goes through the audit trail: page by page, so that a long trail is no long transaction. */
import type { IdentityKey } from '../domain/customers.js';
import type { Database } from '../domain/database.js';
import { eraseAuditedActs, eraseAuditedCalls, findNames, pagesOfCalls } from '../domain/erasure/audit-trail.js';
import { countErased } from '../domain/erasure/erasures.js';

/** Acts of a transaction: some 50 ms, for which they are locked. */
const PAGE = 1_000;

type Erased = { id: string; reference: string; identityKey: IdentityKey };
type Pages = {
  page?: number;
  callsPage?: number;
  /** false = another process has it by now, or this one ends. */
  mayGoOn(): Promise<boolean>;
  /** Before each page is committed. */
  onPage?(): void;
};
type Transactions = { $transaction<T>(work: (tx: Database) => Promise<T>): Promise<T> };

/** @returns whether it has come to the trail's end. What a page has erased is not found again by whoever goes on */
export async function eraseAuditTrail(
  db: Database & Transactions,
  { id, reference, identityKey }: Erased,
  { page = PAGE, callsPage, mayGoOn, onPage }: Pages,
): Promise<boolean> {
  for (let erased = page; erased === page; ) {
    if (!(await mayGoOn())) return false;
    erased = await db.$transaction(async (tx) => {
      const auditedActs = await eraseAuditedActs(tx, reference, page);
      await countErased(tx, id, { auditedActs });
      onPage?.();
      return auditedActs;
    });
  }
  for (const calls of await pagesOfCalls(db, callsPage)) {
    if (!(await mayGoOn())) return false;
    const names = await findNames(db, identityKey, reference, calls);
    if (names.length === 0) continue;
    await db.$transaction(async (tx) => {
      await countErased(tx, id, { auditedCalls: await eraseAuditedCalls(tx, reference, names, calls) });
      onPage?.();
    });
  }
  return true;
}
