/**
 * Verification of audited calls: each by its signature, which covers the one before, those of a sealed day by their seal, none missing
 * that retention spared. What the chain of acts says of seals and removals counts once that chain has been verified.
 */
import type { Database } from '../database.js';
import { type AuditKeys, type CallContent, hex, keyOf, sealCalls, signCall, UNKEYED } from './signatures.js';
import {
  changedField,
  type Flaw,
  hashesOf,
  isErased,
  type Part,
  type Place,
  PUT_BEFORE,
  type Signed,
} from './flaws.js';

const PAGE = 1_000;

type CallRow = Omit<CallContent, 'id' | 'hashes'> & { id: bigint; keyId: string; hash: Uint8Array } & Signed;
type Seal = { day: string; fromId: number; toId: number; count: number; digest: string; keyId: string };
/** Of the last call that was removed. */
type Purge = { day: string; toId: number; hash?: string; keyId?: string };

/** @param place moved on; in parts, to the end of a sealed day or of a page of what is not sealed yet */
export async function findFlawInCalls(
  db: Database,
  keys: AuditKeys,
  place: Place['calls'],
  limit: number,
): Promise<Part> {
  const part: Part = { flaw: null, erased: 0, checked: 0, isAtEnd: false };
  const { seals, purges } = await readSeals(db);
  const purgedTo = purges.at(-1)?.toId ?? 0;
  part.flaw = flawOfPurges(seals, purges) ?? (await findPutIn(db, purgedTo));
  if (part.flaw) return part;
  skipRemoved(place, purges.at(-1));
  /** Retention may remove a day while it is looked at. */
  const isPurgedSince = async () => ((await readSeals(db)).purges.at(-1)?.toId ?? 0) > purgedTo;
  while (part.checked < limit) {
    const seal = seals.find(({ toId }) => toId > place.after);
    const signatures: Uint8Array[] = [];
    for (;;) {
      const rows = await readPage(db, place.after, seal?.toId);
      for (const row of rows) {
        part.flaw = flawOf(keys, place, row);
        if (part.flaw) return (await isPurgedSince()) ? findFlawInCalls(db, keys, place, limit) : part;
        part.checked++;
        if (isErased(row)) part.erased++;
        signatures.push(row.hash);
        Object.assign(place, { after: Number(row.id), hash: hex(row.hash) });
        place.isKeyed ||= row.keyId !== UNKEYED;
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

/** A part that begins where calls were removed goes on with what the removal says of the last of them. */
function skipRemoved(place: Place['calls'], purge: Purge | undefined): void {
  if (!purge || place.after >= purge.toId) return;
  const { toId, hash = null, keyId = UNKEYED } = purge;
  Object.assign(place, { after: toId, hash, isKeyed: keyId !== UNKEYED });
}

/** Retention removes days that were sealed, and nothing else. */
function flawOfPurges(seals: Seal[], purges: Purge[]): Flaw | null {
  const sealed = new Set(seals.map(({ toId, day }) => `${toId} ${day}`));
  const n = purges.findIndex(({ toId, day }) => !sealed.has(`${toId} ${day}`));
  const wrong = purges[n];
  if (!wrong) return null;
  const detail = `calls up to ${wrong.toId} were removed as those of ${wrong.day}, and no such day was sealed`;
  return { table: 'calls', id: (purges[n - 1]?.toId ?? 0) + 1, what: 'missing', detail };
}

async function findPutIn(db: Database, purgedTo: number): Promise<Flaw | null> {
  const [first] = await db.$queryRaw<{ id: bigint | null }[]>`SELECT min(id) AS id FROM audit_calls`;
  if (first?.id == null || first.id > purgedTo) return null;
  return { table: 'calls', id: Number(first.id), what: 'changed', detail: PUT_BEFORE };
}

async function readSeals(db: Database): Promise<{ seals: Seal[]; purges: Purge[] }> {
  const rows = await db.$queryRaw<{ kind: string; keyId: string; after: Omit<Seal, 'keyId'> & Purge }[]>`
    SELECT kind, key_id AS "keyId", after FROM audit_acts
    WHERE kind IN ('seal', 'purge') AND after ->> 'of' = 'calls' ORDER BY id`;
  const of = (kind: string) => rows.filter((row) => row.kind === kind);
  const seals = of('seal').map(({ after, keyId }) => ({ ...after, keyId }));
  return { seals, purges: of('purge').map(({ after }) => after) };
}

const readPage = (db: Database, after: number, toId = Number.MAX_SAFE_INTEGER): Promise<CallRow[]> => db.$queryRaw`
  SELECT id, at, first_at AS "firstAt", kind, route, status, correlation_id AS "correlationId", times, key_id AS "keyId", hash,
    subject, subject_hash AS "subjectHash", resource, resource_hash AS "resourceHash", NULL AS reason, NULL::bytea AS "reasonHash",
    source, source_hash AS "sourceHash"
  FROM audit_calls WHERE id > ${after}::bigint AND id <= ${toId}::bigint ORDER BY id LIMIT ${PAGE}`;

function flawOf(keys: AuditKeys, { after, hash, isKeyed }: Place['calls'], row: CallRow): Flaw | null {
  const [id, expected] = [Number(row.id), after + 1];
  const flaw = (what: Flaw['what'], detail: string, at = id): Flaw => ({ table: 'calls', id: at, what, detail });
  if (id !== expected) return flaw('missing', `after call ${after} comes call ${id}`, expected);
  const key = keyOf(keys, row.keyId, isKeyed);
  if (!key) return flaw('unknown-key', `it is signed with the key ${row.keyId}, which is not known here`);
  if (hex(signCall(key, { ...row, id, hashes: hashesOf(row) }, hash)) !== hex(row.hash))
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
