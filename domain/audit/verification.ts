/**
 * Verification of the audit trail: whether it is what was signed, from its first entry to the one that was anchored. It trusts
 * nothing that the database says of itself: no trigger, no function, no stored verdict. What was erased is no flaw, since the keyed
 * hashes of what identified a person are what was signed.
 */
import type { Database } from '../database.js';
import { findFlawInActs } from './act-verification.js';
import { findFlawInCalls } from './call-verification.js';
import { type Flaw, type Place, VERIFICATION_START } from './flaws.js';
import { type AuditKeys, UNKEYED } from './signatures.js';
import { findFlawInTrail } from './trail-verification.js';

/** The newest entry as it was noted outside the database, and how many calls there were. */
export type Anchor = { id: number; hash: string | null; calls: number };

export type Verification = {
  flaw: Flaw | null;
  head: { id: number; hash: string } | null;
  checked: { acts: number; calls: number; trail: number };
  /** Entries of which something was erased. */
  erased: number;
};

/** All of it, in pages. @param anchor undefined = none is known, and entries that were cut off the end are not missed */
export async function verifyAudit(db: Database, keys: AuditKeys, anchor?: Anchor): Promise<Verification> {
  const place = structuredClone(VERIFICATION_START);
  const acts = await findFlawInActs(db, keys, place.acts, Number.POSITIVE_INFINITY);
  const { id, hash } = await readAnchor(db);
  const head = hash === null ? null : { id, hash };
  const verification = { head, checked: { acts: acts.checked, calls: 0, trail: 0 }, erased: acts.erased };
  const flaw = acts.flaw ?? (anchor ? await findFlawAtEnd(db, anchor) : null) ?? findUnproved(keys, place, head);
  if (flaw) return { flaw, ...verification };
  const calls = await findFlawInCalls(db, keys, place.calls, Number.POSITIVE_INFINITY);
  const trail = calls.flaw ? undefined : await findFlawInTrail(db, place.trail, Number.POSITIVE_INFINITY);
  return {
    flaw: calls.flaw ?? trail?.flaw ?? null,
    head,
    checked: { acts: acts.checked, calls: calls.checked, trail: trail?.checked ?? 0 },
    erased: acts.erased + calls.erased,
  };
}

/** With a key at hand, a chain that was never signed with one proves nothing: anyone can make another like it. */
function findUnproved({ signing }: AuditKeys, { acts }: Place, head: Verification['head']): Flaw | null {
  if (signing.id === UNKEYED || head === null || acts.isKeyed) return null;
  const detail = 'no entry is signed with a key, although there is one: all of them may have been replaced';
  return { table: 'acts', id: 1, what: 'unknown-key', detail };
}

/** What is newest in the database, to be noted outside it. One statement: it is asked every few seconds. */
export async function readAnchor(db: Database): Promise<Anchor> {
  const [newest] = await db.$queryRaw<{ id: bigint | null; hash: string | null; calls: bigint }[]>`
    SELECT head.id, encode(head.hash, 'hex') AS hash,
      coalesce(greatest((SELECT max(id) FROM audit_calls), (SELECT max((after ->> 'toId')::bigint) FROM audit_acts
        WHERE kind IN ('seal', 'purge') AND after ->> 'of' = 'calls')), 0) AS calls
    FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT id, hash FROM audit_acts ORDER BY id DESC LIMIT 1) AS head ON true`;
  return { id: Number(newest?.id ?? 0), hash: newest?.hash ?? null, calls: Number(newest?.calls ?? 0) };
}

/** Whether the newest entries, as they were noted outside, are there. */
export async function findFlawAtEnd(db: Database, anchor: Anchor): Promise<Flaw | null> {
  const { id: last, calls } = await readAnchor(db);
  if (last < anchor.id) {
    const detail = `the chain ends with entry ${last}, and entry ${anchor.id} was anchored`;
    return { table: 'acts', id: last + 1, what: 'cut-off', detail };
  }
  const [anchored] = await db.$queryRaw<{ hash: string }[]>`
    SELECT encode(hash, 'hex') AS hash FROM audit_acts WHERE id = ${anchor.id}::bigint`;
  if (anchor.id > 0 && anchored?.hash !== anchor.hash) {
    const detail = anchored ? 'it has another signature than the anchored one' : 'it was anchored, and is not there';
    return { table: 'acts', id: anchor.id, what: anchored ? 'replaced' : 'missing', detail };
  }
  if (calls >= anchor.calls) return null;
  const detail = `audited calls end with ${calls}, and ${anchor.calls} were anchored`;
  return { table: 'calls', id: calls + 1, what: 'cut-off', detail };
}
