/**
 * Acts: what is done with an operator's rights. A change of ours and its act are one transaction; an act that goes to Temporal is
 * recorded before it is sent, and what came of it afterwards. The acts are one chain, kept for ever. What nobody with an
 * operator's rights did is not in it: an order of a customer passes no lock of the chain.
 */
import { Prisma, type PrismaClient } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';
import { type AuditKeys, ERASABLE, type Erasable, hashField, hex, mayFollow, signAct, UNKEYED } from './signatures.js';

/** Who, by which way. */
export type Actor = {
  /** null = nobody that could be told. */
  subject: string | null;
  /** Method and pattern of the path, or the command. */
  route: string;
  correlationId: string;
  /** Address of the caller, if it is known. */
  source: string | null;
};
export type Values = { [name: string]: unknown };
/** What it was done to, why, and how that stood before and after. */
export type Effect = {
  resource: string | null;
  reason?: string | null;
  before: Values | null;
  after: Values | null;
  /** HTTP status of the answer that says so. */
  status?: number | null;
};
export type ActKind = 'act' | 'outcome' | 'seal' | 'purge';
/** The place that an entry has got in the chain. */
export type Recorded = { id: number; hash: string };

/** The entry could not be written: what it is about has not been done. */
export class NotRecorded extends Error {
  override name = 'NotRecorded';
}

/** A change of ours, and how what it changes stands before and after: all in one transaction. */
export type Change<T, B = unknown> = {
  /** Reads what is about to be changed, and locks it, so that no other change comes between. */
  before: (tx: Database) => Promise<B>;
  change: (tx: Database) => Promise<T>;
  /** null = nothing was changed, and there is nothing to record. */
  effect: (result: T, before: B) => Effect | null;
};

/**
 * Does a change and records it, both or neither.
 * @throws NotRecorded if the entry cannot be written; the change is undone
 */
export async function act<T, B>(
  db: Database,
  keys: AuditKeys,
  actor: Actor,
  { before, change, effect }: Change<T, B>,
): Promise<{ result: T; recorded: Recorded | null }> {
  // Whoever acts has a client, not a transaction: an act is a transaction of its own.
  return (db as PrismaClient).$transaction(async (tx) => {
    const stood = await before(tx);
    const result = await change(tx);
    const made = effect(result, stood);
    return { result, recorded: made && (await append(tx, keys, 'act', actor, made)) };
  });
}

/** Records what is about to be done elsewhere, or what has come of it. @throws NotRecorded */
export const recordAct = (
  db: Database,
  keys: AuditKeys,
  kind: 'act' | 'outcome',
  actor: Actor,
  effect: Effect,
): Promise<Recorded> => (db as PrismaClient).$transaction((tx) => append(tx, keys, kind, actor, effect));

/** As long as the columns keep. */
const LENGTH_MAX: Record<Erasable, number> = { subject: 512, resource: 200, reason: 500, source: 64 };
/** What Postgres gives back as it was given: what it could not keep would look changed. */
export const storable = (name: Erasable, value: string | null | undefined): string | null =>
  value?.slice(0, LENGTH_MAX[name]).replace(UNSTORABLE, '') ?? null;
const UNSTORABLE = /[\0\p{Surrogate}]/gu;

/** The last statements of a transaction: whoever adds to the chain waits for whoever is adding, until that one's commit. */
export async function append(
  tx: Database,
  keys: AuditKeys,
  kind: ActKind,
  actor: Actor,
  effect: Effect,
): Promise<Recorded> {
  try {
    const head = await lockHead(tx);
    requireSuccession(keys, head?.keyId);
    const first = head ?? (await insert(tx, keys, { kind: 'seal', ...KEEPER, ...(await sealOfTrail(tx)) }, null));
    return await insert(tx, keys, { kind, ...actor, ...effect }, first);
  } catch (err) {
    if (err instanceof NotRecorded) throw err;
    throw new NotRecorded('the audit trail could not be written', { cause: err });
  }
}

/**
 * Begins the chain, with a seal of what was recorded before there was one; one that was begun without a key is signed as soon as
 * there is one, so that no other like it can take its place.
 * @returns false if there was nothing to do
 */
export async function beginChain(db: Database, keys: AuditKeys): Promise<boolean> {
  return (db as PrismaClient).$transaction(async (tx) => {
    const head = await lockHead(tx);
    if (head !== null && (head.keyId !== UNKEYED || keys.signing.id === UNKEYED)) return false;
    await insert(tx, keys, { kind: 'seal', ...KEEPER, ...(await sealOfTrail(tx)) }, head);
    return true;
  });
}

/** The service itself, where it seals or removes. */
export const KEEPER: Actor = { subject: null, route: 'audit', correlationId: 'audit', source: null };

type Head = Recorded & { keyId: string };

/** Waits for its turn. The head is read by a statement of its own, so that it sees what the one before has committed. */
export async function lockHead(tx: Database): Promise<Head | null> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_acts'))`;
  const [head] = await tx.$queryRaw<(Omit<Head, 'id'> & { id: bigint })[]>`
    SELECT id, encode(hash, 'hex') AS hash, key_id AS "keyId" FROM audit_acts ORDER BY id DESC LIMIT 1`;
  return head ? { ...head, id: Number(head.id) } : null;
}

/** @throws NotRecorded */
export function requireSuccession(keys: AuditKeys, lastKeyId: string | null | undefined): void {
  if (mayFollow(keys, lastKeyId)) return;
  throw new NotRecorded(
    `the audit chain is signed with the key ${lastKeyId}, which AUDIT_KEY or AUDIT_KEY_FILE does not hold here`,
  );
}

/** The trail of before is a chain, too: the hash of its last row covers all of them. */
async function sealOfTrail(tx: Database): Promise<Effect> {
  const [last] = await tx.$queryRaw<{ id: bigint; hash: Uint8Array }[]>`
    SELECT id, hash FROM audit_trail ORDER BY id DESC LIMIT 1`;
  const after = { of: 'trail', toId: Number(last?.id ?? 0), hash: hex(last?.hash) };
  return { resource: null, before: null, after };
}

type NewEntry = { kind: ActKind } & Actor & Effect;

async function insert(tx: Database, { signing }: AuditKeys, entry: NewEntry, head: Recorded | null): Promise<Recorded> {
  const fields = Object.fromEntries(ERASABLE.map((name) => [name, storable(name, entry[name])]));
  const hashes = Object.fromEntries(ERASABLE.map((name) => [name, hashField(signing, name, fields[name])]));
  const [clock] = await tx.$queryRaw<{ at: Date }[]>`
    SELECT greatest(date_trunc('milliseconds', clock_timestamp()), (SELECT at FROM audit_acts ORDER BY id DESC LIMIT 1)) AS at`;
  if (!clock) throw new Error('Bug! A SELECT without FROM gave no row');
  const { kind, route, correlationId, status = null } = entry;
  const [before, after] = [asStored(entry.before), asStored(entry.after)];
  const content = {
    ...{ id: (head?.id ?? 0) + 1, at: clock.at, kind, route, status, correlationId, before, after },
    hashes: hashes as Record<Erasable, Buffer | null>,
  };
  const hash = signAct(signing, content, head?.hash ?? null);
  await tx.$executeRaw`
    INSERT INTO audit_acts (id, at, kind, route, subject, subject_hash, resource, resource_hash, reason, reason_hash, source,
      source_hash, status, correlation_id, before, after, key_id, hash)
    VALUES (${content.id}::bigint, ${clock.at.toISOString()}::timestamptz, ${kind}, ${route},
      ${Prisma.join(ERASABLE.flatMap((name) => [Prisma.sql`${fields[name]}::text`, Prisma.sql`${hashes[name]}::bytea`]))},
      ${status}::int, ${correlationId}, ${json(before)}::jsonb, ${json(after)}::jsonb, ${signing.id}, ${hash}::bytea)`;
  return { id: content.id, hash: hash.toString('hex') };
}
const json = (values: Values | null): string | null => (values === null ? null : JSON.stringify(values));
const asStored = (values: Values | null): Values | null => JSON.parse(JSON.stringify(values));
