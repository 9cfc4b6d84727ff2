/**
 * Verification of the audit trail: whether it is what was signed, from its first entry to the one that was anchored. It trusts
 * nothing that the database says of itself: no trigger, no function, no stored verdict. What was erased is no flaw, since the keyed
 * hashes of what identified a person are what was signed.
 */
import type { Database } from '../database.js';
import { findFlawInActs } from './act-verification.js';
import { findFlawInCalls } from './call-verification.js';
import { readLastCall } from './calls.js';
import { type Flaw, type Place, VERIFICATION_START } from './flaws.js';
import { type AuditKeys, UNKEYED } from './signatures.js';
import { findFlawInTrail } from './trail-verification.js';

/** The newest entry as it was noted outside the database, and the newest call. */
export type Anchor = { id: number; hash: string | null; calls: number; callsHash?: string | null };

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
  const end = anchor ? await findFlawAtEnd(db, anchor) : null;
  const flaw = acts.flaw ?? (end?.table === 'acts' ? end : null) ?? findUnproved(keys, place, head);
  if (flaw) return { flaw, ...verification };
  const calls = await findFlawInCalls(db, keys, place.calls, Number.POSITIVE_INFINITY);
  const trail = (calls.flaw ?? end) ? undefined : await findFlawInTrail(db, place.trail, Number.POSITIVE_INFINITY);
  return {
    flaw: calls.flaw ?? end ?? trail?.flaw ?? null,
    head,
    checked: { acts: acts.checked, calls: calls.checked, trail: trail?.checked ?? 0 },
    erased: acts.erased + calls.erased,
  };
}

/** A part of a verification that is done in several. */
export type VerifiedPart = {
  flaw: Flaw | null;
  checked: Verification['checked'];
  erased: number;
  /** Where the next part begins; undefined = there is none. */
  next: Place | undefined;
};

/** Verifies on from a place, some entries of each table, without an anchor: entries that were cut off the end are not missed. */
export async function verifyAuditPart(
  db: Database,
  keys: AuditKeys,
  from: Place,
  partMax: number,
): Promise<VerifiedPart> {
  const place = structuredClone(from);
  const acts = await findFlawInActs(db, keys, place.acts, partMax);
  const calls = await findFlawInCalls(db, keys, place.calls, partMax);
  const trail = await findFlawInTrail(db, place.trail, partMax);
  const { id, hash } = await readAnchor(db);
  const isAtEnd = acts.isAtEnd && calls.isAtEnd && trail.isAtEnd;
  const unproved = isAtEnd ? findUnproved(keys, place, hash === null ? null : { id, hash }) : null;
  const flaw = acts.flaw ?? calls.flaw ?? trail.flaw ?? unproved;
  return {
    flaw,
    checked: { acts: acts.checked, calls: calls.checked, trail: trail.checked },
    erased: acts.erased + calls.erased,
    next: flaw || isAtEnd ? undefined : place,
  };
}

/** With a key at hand, a chain that was never signed with one proves nothing: anyone can make another like it. */
function findUnproved({ signing }: AuditKeys, { acts }: Place, head: Verification['head']): Flaw | null {
  if (signing.id === UNKEYED || head === null || acts.isKeyed) return null;
  const detail = 'no entry is signed with a key, although there is one: all of them may have been replaced';
  return { table: 'acts', id: 1, what: 'unknown-key', detail };
}

/** What is newest in the database, to be noted outside it. It is asked every few seconds. */
export async function readAnchor(db: Database): Promise<Anchor> {
  const [newest] = await db.$queryRaw<{ id: bigint; hash: string }[]>`
    SELECT id, encode(hash, 'hex') AS hash FROM audit_acts ORDER BY id DESC LIMIT 1`;
  const { id: calls, hash: callsHash } = await readLastCall(db);
  return { id: Number(newest?.id ?? 0), hash: newest?.hash ?? null, calls, callsHash };
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
  return findFlawAtLastCall(db, anchor, calls);
}

async function findFlawAtLastCall(db: Database, anchor: Anchor, last: number): Promise<Flaw | null> {
  if (last < anchor.calls) {
    const detail = `audited calls end with ${last}, and ${anchor.calls} were anchored`;
    return { table: 'calls', id: last + 1, what: 'cut-off', detail };
  }
  const [anchored] = await db.$queryRaw<{ hash: string }[]>`
    SELECT encode(hash, 'hex') AS hash FROM audit_calls WHERE id = ${anchor.calls}::bigint`;
  // One that retention has removed since is missed by nobody: that it was is in the chain.
  if (!anchored || anchor.callsHash === undefined || anchored.hash === anchor.callsHash) return null;
  const detail = 'it has another signature than the anchored one';
  return { table: 'calls', id: anchor.calls, what: 'replaced', detail };
}
