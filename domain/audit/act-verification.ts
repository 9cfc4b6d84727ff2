/** Verification of the acts: each signature covers the one before, so that the first entry that is not in order is found. */
import type { Database } from '../database.js';
import {
  changedField,
  type Flaw,
  firstIdAfter,
  hashesOf,
  isErased,
  type Part,
  type Place,
  PUT_BEFORE,
  type Signed,
} from './flaws.js';
import { type ActContent, type AuditKeys, hex, keyOf, signAct, UNKEYED } from './signatures.js';

const PAGE = 1_000;

type ActRow = Omit<ActContent, 'id' | 'hashes'> & {
  id: bigint;
  keyId: string;
  hash: string;
} & Signed;
/** @param place moved on to the last entry that is in order; back to the start at the chain's end is the caller's to do */
export async function findFlawInActs(
  db: Database,
  keys: AuditKeys,
  place: Place['acts'],
  limit: number,
): Promise<Part> {
  const part: Part = { flaw: null, erased: 0, checked: 0, isAtEnd: false };
  while (part.checked < limit) {
    const rows = await db.$queryRaw<ActRow[]>`
      SELECT id, at, kind, route, status, correlation_id AS "correlationId", before, after, key_id AS "keyId",
        encode(hash, 'hex') AS hash, subject, subject_hash AS "subjectHash", resource, resource_hash AS "resourceHash",
        reason, reason_hash AS "reasonHash", source, source_hash AS "sourceHash"
      FROM audit_acts WHERE id >= ${firstIdAfter(place.after)}::bigint ORDER BY id LIMIT ${PAGE}`;
    for (const row of rows) {
      part.flaw = flawOf(keys, place, row);
      if (part.flaw) return part;
      part.checked++;
      if (isErased(row)) part.erased++;
      Object.assign(place, { after: Number(row.id), hash: row.hash, atMs: row.at.getTime() });
      place.isKeyed ||= row.keyId !== UNKEYED;
    }
    part.isAtEnd = rows.length < PAGE;
    if (part.isAtEnd) break;
  }
  return part;
}

function flawOf(keys: AuditKeys, before: Place['acts'], row: ActRow): Flaw | null {
  const [id, expected] = [Number(row.id), before.after + 1];
  const flaw = (what: Flaw['what'], detail: string, at = id): Flaw => ({ table: 'acts', id: at, what, detail });
  if (id < 1) return flaw('changed', PUT_BEFORE);
  if (id !== expected) return flaw('missing', `after entry ${before.after} comes entry ${id}`, expected);
  const key = keyOf(keys, row.keyId, before.isKeyed);
  if (!key) return flaw('unknown-key', `it is signed with the key ${row.keyId}, which is not known here`);
  const isBackDated = row.at.getTime() < before.atMs;
  const content = { ...row, id, hashes: hashesOf(row) };
  if (hex(signAct(key, content, before.hash)) !== row.hash)
    return isBackDated
      ? flaw('back-dated', `its time is before that of entry ${before.after}`)
      : flaw('changed', 'it is not what was signed: it was changed, or put in its place');
  if (isBackDated) return flaw('back-dated', `its time is before that of entry ${before.after}`);
  const changed = changedField(key, row);
  return changed ? flaw('changed', `its ${changed} is not the one that was signed`) : null;
}
