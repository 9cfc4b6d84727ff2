/**
 * Audited calls: refused ones, reads by operators and auditors, and privileged calls that changed nothing. Apart from the acts,
 * since strangers can cause them: they are a chain of their own, a day of them is sealed by one entry of the acts' chain, and what
 * is older than its retention goes. That it went is an entry, too: a row that is missing without one has been taken out.
 */
import { Prisma, type PrismaClient } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';
import { type Actor, append, KEEPER, requireSuccession, storable } from './acts.js';
import { type AuditKeys, ERASABLE, type Erasable, hashField, hex, sealCalls, signCall } from './signatures.js';

export const CALL_KINDS = ['refused', 'read', 'no-effect'] as const;
export type AuditedCall = Actor & {
  kind: (typeof CALL_KINDS)[number];
  /** What the path named; null = nothing, or several things. */
  resource: string | null;
  /** HTTP status of the answer. */
  status: number;
  /** How many calls this entry stands for, and when the first of them was. */
  times?: number;
  firstAt?: Date;
};

/**
 * Writers wait for each other: the entries of many calls belong in one statement.
 * @throws NotRecorded if the trail is signed with a key that is not known here
 */
export async function recordCalls(db: Database, keys: AuditKeys, calls: readonly AuditedCall[]): Promise<void> {
  if (calls.length === 0) return;
  const { signing } = keys;
  await (db as PrismaClient).$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_calls'))`;
    const [place] = await tx.$queryRaw<{ at: Date; keyId: string | null }[]>`
      SELECT greatest(date_trunc('milliseconds', clock_timestamp()), (SELECT at FROM audit_calls ORDER BY id DESC LIMIT 1)) AS at,
        (SELECT key_id FROM audit_acts ORDER BY id DESC LIMIT 1) AS "keyId"`;
    if (!place) throw new Error('Bug! A SELECT without FROM gave no row');
    requireSuccession(keys, place.keyId);
    const last = await readLastCall(tx);
    let previous = last.hash;
    const rows = calls.map((call, i) => {
      const { kind, route, status, correlationId, times = 1, firstAt } = call;
      const fields = { subject: call.subject, resource: call.resource, reason: null, source: call.source };
      const stored = ERASABLE.map((name) => storable(name, fields[name]));
      const hashes = ERASABLE.map((name, n) => hashField(signing, name, stored[n]));
      const content = {
        ...{ id: last.id + 1 + i, at: place.at, kind, route, status, correlationId, times },
        firstAt: firstAt === undefined || firstAt > place.at ? place.at : firstAt,
        hashes: Object.fromEntries(ERASABLE.map((name, n) => [name, hashes[n]])) as Record<Erasable, Buffer | null>,
      };
      const hash = signCall(signing, content, previous);
      previous = hex(hash);
      return { ...content, stored, hash };
    });
    const columns = ERASABLE.flatMap((name, n) =>
      name === 'reason'
        ? []
        : [
            Prisma.sql`${rows.map(({ stored }) => stored[n])}::text[]`,
            Prisma.sql`${rows.map(({ hashes }) => hex(hashes[name]))}::text[]`, // the driver guesses an array's type by its first
          ],
    );
    await tx.$executeRaw`
      INSERT INTO audit_calls (id, at, first_at, kind, route, status, correlation_id, times, hash, key_id,
        subject, subject_hash, resource, resource_hash, source, source_hash)
      SELECT id, ${place.at.toISOString()}::timestamptz, first_at, kind, route, status, correlation_id, times, hash, ${signing.id},
        subject, decode(subject_hash, 'hex'), resource, decode(resource_hash, 'hex'), source, decode(source_hash, 'hex')
      FROM unnest(${rows.map(({ id }) => id)}::bigint[], ${rows.map((row) => row.firstAt.toISOString())}::timestamptz[],
        ${rows.map(({ kind }) => kind)}::text[], ${rows.map(({ route }) => route)}::text[],
        ${rows.map(({ status }) => status)}::int[], ${rows.map(({ correlationId }) => correlationId)}::text[],
        ${rows.map(({ times }) => times)}::int[], ${rows.map(({ hash }) => hash)}::bytea[], ${Prisma.join(columns)})
      AS c (id, first_at, kind, route, status, correlation_id, times, hash,
        subject, subject_hash, resource, resource_hash, source, source_hash)
      ORDER BY id`;
  });
}

/** The newest call, though retention may have removed it. Read under the writers' lock, or for what may be a little old. */
export async function readLastCall(db: Database): Promise<{ id: number; hash: string | null }> {
  const [last] = await db.$queryRaw<{ id: bigint; hash: string | null }[]>`
    (SELECT id, encode(hash, 'hex') AS hash FROM audit_calls ORDER BY id DESC LIMIT 1)
    UNION ALL
    (SELECT (after ->> 'toId')::bigint, after ->> 'hash' FROM audit_acts WHERE kind = 'purge' ORDER BY id DESC LIMIT 1)
    ORDER BY id DESC LIMIT 1`;
  return { id: Number(last?.id ?? 0), hash: last?.hash ?? null };
}

/** Up to which id calls were removed, as the chain says. */
const purgedTo = Prisma.sql`coalesce((SELECT (after ->> 'toId')::bigint FROM audit_acts WHERE kind = 'purge' ORDER BY id DESC LIMIT 1), 0)`;
const sealedTo = Prisma.sql`coalesce((SELECT (after ->> 'toId')::bigint FROM audit_acts
  WHERE kind = 'seal' AND after ->> 'of' = 'calls' ORDER BY id DESC LIMIT 1), 0)`;

/** A transaction that read the clock before midnight has committed by then. */
const DAY_SETTLES = Prisma.sql`interval '1 minute'`;

/**
 * Seals the oldest day that is over and not sealed.
 * @returns whether there was one; then there may be another
 */
export async function sealDay(db: Database, keys: AuditKeys): Promise<boolean> {
  const [first] = await db.$queryRaw<{ id: bigint; day: string }[]>`
    SELECT id, (at AT TIME ZONE 'UTC')::date::text AS day FROM audit_calls
    WHERE id > greatest(${sealedTo}, ${purgedTo}) ORDER BY id LIMIT 1`;
  if (!first) return false;
  const { id: firstId, day } = first;
  return (db as PrismaClient).$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_seal'))`;
    const rows = await tx.$queryRaw<{ id: bigint; hash: Uint8Array }[]>`
      SELECT id, hash FROM audit_calls
      WHERE id >= ${firstId} AND ${firstId}::bigint > ${sealedTo} AND at < (${day}::date + 1)::timestamp AT TIME ZONE 'UTC'
        AND clock_timestamp() > (${day}::date + 1)::timestamp AT TIME ZONE 'UTC' + ${DAY_SETTLES} ORDER BY id`;
    const last = rows.at(-1);
    if (!last) return false;
    const fromId = Number(firstId);
    const signatures = rows.map(({ hash }) => hash);
    const digest = sealCalls(keys.signing, fromId, signatures);
    const after = { of: 'calls', day, fromId, toId: Number(last.id), count: rows.length, digest };
    await append(tx, keys, 'seal', KEEPER, { resource: null, before: null, after });
    return true;
  });
}

/** Seals what the code of before has added to its own trail since; at most once a day, since it is rarely more than nothing. */
export async function sealTrail(db: Database, keys: AuditKeys): Promise<boolean> {
  return (db as PrismaClient).$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_seal'))`;
    const [last] = await tx.$queryRaw<{ id: bigint; hash: string }[]>`
      SELECT id, encode(hash, 'hex') AS hash FROM audit_trail WHERE id > (
        SELECT (after ->> 'toId')::bigint FROM audit_acts WHERE kind = 'seal' AND after ->> 'of' = 'trail' ORDER BY id DESC LIMIT 1)
      AND (SELECT max(at) FROM audit_acts WHERE kind = 'seal' AND after ->> 'of' = 'trail') < now() - interval '1 day'
      ORDER BY id DESC LIMIT 1`;
    if (!last) return false;
    const after = { of: 'trail', toId: Number(last.id), hash: last.hash };
    await append(tx, keys, 'seal', KEEPER, { resource: null, before: null, after });
    return true;
  });
}

/** Removes the oldest sealed day that is older than that. @returns how many calls went; 0 = there was none */
export async function purgeCalls(db: Database, keys: AuditKeys, olderThanMs: number): Promise<number> {
  return (db as PrismaClient).$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_seal'))`;
    const [day] = await tx.$queryRaw<{ toId: bigint; day: string }[]>`
      SELECT (after ->> 'toId')::bigint AS "toId", after ->> 'day' AS day FROM audit_acts
      WHERE kind = 'seal' AND after ->> 'of' = 'calls' AND (after ->> 'toId')::bigint > ${purgedTo}
        AND ((after ->> 'day')::date + 1)::timestamp AT TIME ZONE 'UTC' < now() - ${olderThanMs}::float8 * interval '1 ms'
      ORDER BY id LIMIT 1`;
    if (!day) return 0;
    const [last] = await tx.$queryRaw<{ hash: string; keyId: string }[]>`
      SELECT encode(hash, 'hex') AS hash, key_id AS "keyId" FROM audit_calls WHERE id = ${day.toId}`;
    const removed = await tx.$executeRaw`DELETE FROM audit_calls WHERE id <= ${day.toId}`;
    const after = { of: 'calls', day: day.day, toId: Number(day.toId), count: removed, ...last };
    await append(tx, keys, 'purge', KEEPER, { resource: null, before: null, after });
    return removed;
  });
}
