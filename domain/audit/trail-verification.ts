/**
 * Verification of what was recorded before there was a chain. Its rows are a chain without a key, made by a trigger; what the
 * chain has sealed of them, nobody without the key can have made anew.
 */
import type { Database } from '../database.js';
import { type Flaw, firstIdAfter, type Part, type Place, PUT_BEFORE } from './flaws.js';

const PAGE = 1_000;

type Row = { id: bigint; hash: string; wanted: string };

/** @param place moved on to the last row that is in order */
export async function findFlawInTrail(db: Database, place: Place['trail'], limit: number): Promise<Part> {
  const part: Part = { flaw: null, erased: 0, checked: 0, isAtEnd: false };
  const seals = await db.$queryRaw<{ toId: bigint; hash: string | null }[]>`
    SELECT (after ->> 'toId')::bigint AS "toId", after ->> 'hash' AS hash FROM audit_acts
    WHERE kind = 'seal' AND after ->> 'of' = 'trail' ORDER BY id`;
  const sealed = new Map(seals.map(({ toId, hash }) => [Number(toId), hash]));
  const sealedTo = Math.max(0, ...sealed.keys());
  while (part.checked < limit) {
    const rows = await readPage(db, place);
    for (const { id, hash, wanted } of rows) {
      part.flaw = flawOf(place.after, Number(id), { hash, wanted, sealed: sealed.get(Number(id)) });
      if (part.flaw) return part;
      part.checked++;
      Object.assign(place, { after: Number(id), hash });
    }
    part.isAtEnd = rows.length < PAGE;
    if (part.isAtEnd) break;
  }
  if (part.isAtEnd && place.after < sealedTo) {
    const detail = `the rows of before the chain end with ${place.after}, and ${sealedTo} were sealed`;
    part.flaw = { table: 'trail', id: place.after + 1, what: 'cut-off', detail };
  }
  return part;
}

/** As the trigger of those days made them (migration audit_trail); its function is the database owner's to change. */
const readPage = (db: Database, { after, hash }: Place['trail']): Promise<Row[]> => db.$queryRaw`
  SELECT id, encode(hash, 'hex') AS hash, encode(sha256(coalesce(lag(hash) OVER (ORDER BY id), decode(${hash ?? ''}, 'hex')) ||
    convert_to(jsonb_build_array(id, extract(epoch FROM at), extract(epoch FROM first_at), subject, route, resource, status,
      correlation_id, source, times)::text, 'UTF8')), 'hex') AS wanted
  FROM audit_trail WHERE id >= ${firstIdAfter(after)}::bigint ORDER BY id LIMIT ${PAGE}`;

function flawOf(
  after: number,
  id: number,
  { hash, wanted, sealed }: Pick<Row, 'hash' | 'wanted'> & { sealed: string | null | undefined },
): Flaw | null {
  const flaw = (what: Flaw['what'], detail: string, at = id): Flaw => ({ table: 'trail', id: at, what, detail });
  if (id < 1) return flaw('changed', PUT_BEFORE);
  if (id !== after + 1) return flaw('missing', `after row ${after} comes row ${id}`, after + 1);
  if (hash !== wanted) return flaw('changed', 'it is not what was recorded: it was changed, or put in its place');
  if (sealed !== undefined && sealed !== hash)
    return flaw('replaced', 'the rows up to this one are not those that were sealed');
  return null;
}
