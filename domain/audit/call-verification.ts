/** Verification of audited calls: each by its own signature, those of a sealed day by their seal, none missing that retention spared. */
import type { Database } from '../database.js';
import { type AuditKeys, type CallContent, hex, sealCalls, signCall } from './signatures.js';
import { changedField, type Flaw, hashesOf, isErased, type Part, type Place, type Signed } from './flaws.js';

const PAGE = 1_000;

type CallRow = Omit<CallContent, 'id' | 'hashes'> & { id: bigint; keyId: string; hash: Uint8Array } & Signed;
type Seal = { fromId: number; toId: number; count: number; digest: string; keyId: string };

/** @param place moved on; in parts, to the end of a sealed day or of a page of what is not sealed yet */
export async function findFlawInCalls(
  db: Database,
  keys: AuditKeys,
  place: Place['calls'],
  limit: number,
): Promise<Part> {
  const part: Part = { flaw: null, erased: 0, checked: 0, isAtEnd: false };
  const { seals, purgedTo } = await readSeals(db);
  place.after = Math.max(place.after, purgedTo);
  /** Retention may remove a day while it is looked at. */
  const isPurgedSince = async () => (await readSeals(db)).purgedTo > purgedTo;
  while (part.checked < limit) {
    const seal = seals.find(({ toId }) => toId > place.after);
    const signatures: Uint8Array[] = [];
    for (;;) {
      const rows = await readPage(db, place.after, seal?.toId);
      for (const row of rows) {
        part.flaw = flawOf(keys, place.after, row);
        if (part.flaw) return (await isPurgedSince()) ? findFlawInCalls(db, keys, place, limit) : part;
        part.checked++;
        if (isErased(row)) part.erased++;
        signatures.push(row.hash);
        place.after = Number(row.id);
      }
      if (rows.length < PAGE && !seal) part.isAtEnd = true;
      if (rows.length < PAGE || !seal) break;
    }
    if (seal) {
      part.flaw = flawOfSeal(keys, seal, place.after, signatures);
      if (part.flaw) return (await isPurgedSince()) ? findFlawInCalls(db, keys, place, limit) : part;
    }
    if (part.isAtEnd) break;
  }
  return part;
}

async function readSeals(db: Database): Promise<{ seals: Seal[]; purgedTo: number }> {
  const rows = await db.$queryRaw<{ kind: string; keyId: string; after: Omit<Seal, 'keyId'> }[]>`
    SELECT kind, key_id AS "keyId", after FROM audit_acts
    WHERE kind IN ('seal', 'purge') AND after ->> 'of' = 'calls' ORDER BY id`;
  const of = (kind: string) => rows.filter((row) => row.kind === kind);
  const seals = of('seal').map(({ after, keyId }) => ({ ...after, keyId }));
  return { seals, purgedTo: of('purge').at(-1)?.after.toId ?? 0 };
}

const readPage = (db: Database, after: number, toId = Number.MAX_SAFE_INTEGER): Promise<CallRow[]> => db.$queryRaw`
  SELECT id, at, first_at AS "firstAt", kind, route, status, correlation_id AS "correlationId", times, key_id AS "keyId", hash,
    subject, subject_hash AS "subjectHash", resource, resource_hash AS "resourceHash", NULL AS reason, NULL::bytea AS "reasonHash",
    source, source_hash AS "sourceHash"
  FROM audit_calls WHERE id > ${after}::bigint AND id <= ${toId}::bigint ORDER BY id LIMIT ${PAGE}`;

function flawOf({ known }: AuditKeys, after: number, row: CallRow): Flaw | null {
  const [id, expected] = [Number(row.id), after + 1];
  const flaw = (what: Flaw['what'], detail: string, at = id): Flaw => ({ table: 'calls', id: at, what, detail });
  if (id !== expected) return flaw('missing', `after call ${after} comes call ${id}`, expected);
  const key = known.get(row.keyId);
  if (!key) return flaw('unknown-key', `it is signed with the key ${row.keyId}, which is not known here`);
  if (hex(signCall(key, { ...row, id, hashes: hashesOf(row) })) !== hex(row.hash))
    return flaw('changed', 'it is not what was signed: it was changed, or put in its place');
  const changed = changedField(key, row);
  return changed ? flaw('changed', `its ${changed} is not the one that was signed`) : null;
}

function flawOfSeal({ known }: AuditKeys, seal: Seal, lastId: number, signatures: Uint8Array[]): Flaw | null {
  const { fromId, toId, digest } = seal;
  if (lastId < toId) {
    const detail = `calls ${fromId} to ${toId} were sealed, and no retention has removed any`;
    return { table: 'calls', id: lastId + 1, what: 'missing', detail };
  }
  const key = known.get(seal.keyId);
  // Begun within the day: what is before was looked at with the part before.
  if (!key || signatures.length < seal.count) return null;
  if (sealCalls(key, fromId, signatures) === digest) return null;
  return {
    table: 'calls',
    id: fromId,
    what: 'replaced',
    detail: `calls ${fromId} to ${toId} are not those that were sealed`,
  };
}
