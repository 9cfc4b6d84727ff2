/**
 * Signatures of the audit chain: HMAC-SHA256 under a key that the database does not know, so that whoever owns the database can
 * change an entry, but not make it look whole. What identifies a person is signed as a keyed hash of its own: the text may be
 * erased later, the hash stays.
 */
import { createHash, createHmac } from 'node:crypto';

type AuditKey = { id: string; secret: string };
export type AuditKeys = {
  /** Signs what is added. */
  signing: AuditKey;
  /** By id: that one, and those of before a rotation. */
  known: ReadonlyMap<string, AuditKey>;
};

/** Of a process without a key: its entries are a chain that anyone could have made. For laptops and tests. */
export const UNKEYED = 'unkeyed';
const NO_KEY: AuditKey = { id: UNKEYED, secret: '' };

/** @param secrets the first signs, the others only verify; none = nothing is proved */
export function auditKeys(secrets: readonly string[]): AuditKeys {
  const keys = secrets.map((secret) => ({ id: keyId(secret), secret }));
  const [signing = NO_KEY] = keys;
  return { signing, known: new Map([signing, ...keys].map((key) => [key.id, key])) };
}
/**
 * Whose signature an entry carries. Entries of before there was a key are taken up to the first one that is signed with one, which
 * covers them; after it, not having a key is no excuse.
 * @returns undefined if the key is not known here
 */
export const keyOf = ({ known }: AuditKeys, keyId: string, isKeyed: boolean): AuditKey | undefined =>
  keyId === UNKEYED ? (isKeyed ? undefined : NO_KEY) : known.get(keyId);
/** A process with another key, or none, would break the trail; a rotation gives every process the new key first (runbook). */
export const mayFollow = ({ known }: AuditKeys, lastKeyId: string | null | undefined): boolean =>
  lastKeyId == null || lastKeyId === UNKEYED || known.has(lastKeyId);
/** Says which key it was, and nothing of the key. */
const keyId = (secret: string) =>
  createHash('sha256').update(`order-saga audit key\n${secret}`).digest('hex').slice(0, 12);

/** What may be erased; each is signed by its hash. */
export const ERASABLE = ['subject', 'resource', 'reason', 'source'] as const;
export type Erasable = (typeof ERASABLE)[number];

export const hashField = (key: AuditKey, name: Erasable, value: string | null | undefined): Buffer | null =>
  value == null
    ? null
    : createHmac('sha256', key.secret)
        .update(JSON.stringify(['field', name, value]))
        .digest();

export type ActContent = {
  id: number;
  at: Date;
  kind: string;
  route: string;
  status: number | null;
  correlationId: string;
  before: unknown;
  after: unknown;
  hashes: Record<Erasable, Uint8Array | null>;
};

/** @param previous the signature of the entry before, in hex; null = it is the first */
export const signAct = (key: AuditKey, act: ActContent, previous: string | null): Buffer =>
  createHmac('sha256', key.secret)
    .update(
      canonical([
        ...['act/1', key.id, act.id, act.at.toISOString(), act.kind, act.route, act.status, act.correlationId],
        ERASABLE.map((name) => hex(act.hashes[name])),
        act.before,
        act.after,
        previous,
      ]),
    )
    .digest();

export type CallContent = Omit<ActContent, 'before' | 'after'> & { firstAt: Date; times: number };

/** @param previous as of acts */
export const signCall = (key: AuditKey, call: CallContent, previous: string | null): Buffer =>
  createHmac('sha256', key.secret)
    .update(
      canonical([
        ...['call/1', key.id, call.id, call.at.toISOString(), call.firstAt.toISOString(), call.kind, call.route],
        ...[call.status, call.correlationId, call.times],
        ERASABLE.map((name) => hex(call.hashes[name])),
        previous,
      ]),
    )
    .digest();

/** Over the signatures of the calls from one id to another, in their order. */
export function sealCalls(key: AuditKey, fromId: number, signatures: readonly Uint8Array[]): string {
  const seal = createHmac('sha256', key.secret).update(canonical(['calls/1', key.id, fromId, signatures.length]));
  for (const signature of signatures) seal.update(signature);
  return seal.digest('hex');
}

export const hex = (bytes: Uint8Array | null | undefined): string | null =>
  bytes == null ? null : Buffer.from(bytes).toString('hex');

/** JSON with sorted keys: Postgres keeps a document's content, and not its spelling. */
export function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`;
}
