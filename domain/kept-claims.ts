/**
 * How a claim to an Idempotency-Key is kept: by keyed hashes of who asked and what, since a caller may be a person, and a body may be
 * guessed; its answer without what is a person's (domain/kept-answers). Rows of before references began are as
 * the previous release reads them, and are looked for as well until they are replaced.
 */
import { Prisma } from '../prisma/generated/client.js';
import { type IdentityKey, identityKeyOf, keyedHash } from './customers.js';
import type { Statements } from './database.js';
import { isAtStage, type Stage, stageOf } from './pseudonyms.js';

/** Who asked what under which key; the key's life in milliseconds. `fingerprint` = SHA-256 of what was asked. */
export type KeyClaim = {
  caller: string;
  route: string;
  key: string;
  fingerprint: Uint8Array<ArrayBuffer>;
  ttlMs: number;
  /** The order that the request is about, of which there may be so many keys; undefined = they are not counted. */
  orderId?: string;
};

export type KeptClaim = KeyClaim & {
  identityKey: IdentityKey;
  stage: Stage;
  /** What a new row says of the caller, and of what was asked. */
  storedCaller: string;
  storedFingerprint: Uint8Array<ArrayBuffer>;
  /** The caller as rows of before say it, while there may be any. */
  callerBefore: string | null;
};

/** No hash is taken for a subject of before, nor the other way round. */
export const HASHED = 'hmac-sha256:';
export const hashedCaller = (key: IdentityKey, caller: string): string =>
  HASHED + keyedHash(key, 'caller', caller).toString('base64url');
export const hashedFingerprint = (key: IdentityKey, fingerprint: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(keyedHash(key, 'request', Buffer.from(fingerprint).toString('hex')));

export function keptWith<Claim extends KeyClaim>(key: IdentityKey, stage: Stage, claim: Claim): Claim & KeptClaim {
  const { caller, fingerprint } = claim;
  if (stage === 'plain')
    return {
      ...claim,
      identityKey: key,
      stage,
      storedCaller: caller,
      storedFingerprint: fingerprint,
      callerBefore: null,
    };
  return {
    ...claim,
    identityKey: key,
    stage,
    storedCaller: hashedCaller(key, caller),
    storedFingerprint: hashedFingerprint(key, fingerprint),
    callerBefore: stage === 'begun' && !caller.startsWith(HASHED) ? caller : null,
  };
}

export const keptAs = async <Claim extends KeyClaim>(db: Statements, claim: Claim): Promise<Claim & KeptClaim> =>
  keptWith(await identityKeyOf(db), await stageOf(db), claim);

/** Whether a row with this fingerprint is of the same request. One of before is as it was asked. */
export const isSameRequest = ({ storedFingerprint, fingerprint }: KeptClaim, found: Uint8Array): boolean =>
  [storedFingerprint, fingerprint].some((known) => Buffer.from(known).equals(found));

/** Of the row of the claim's key, in either form. */
export const sameKey = ({ storedCaller, callerBefore, route, key }: KeptClaim): Prisma.Sql => Prisma.sql`
  caller = ANY(${callerBefore === null ? [storedCaller] : [storedCaller, callerBefore]}::text[]) AND route = ${route} AND key = ${key}`;

/** The key has no row of before: at its stage, what is inserted on this condition is the key's one row. */
export const hasNoRowOfBefore = ({ callerBefore, route, key }: KeptClaim): Prisma.Sql =>
  callerBefore === null
    ? Prisma.sql`true`
    : Prisma.sql`NOT EXISTS (
    SELECT FROM idempotency_keys b WHERE b.caller = ${callerBefore} AND b.route = ${route} AND b.key = ${key} AND b.expires_at > now())`;

/** The same, where nothing else of the statement depends on the stage. */
export const mayBeInserted = (claim: KeptClaim): Prisma.Sql => Prisma.sql`
  EXISTS (SELECT FROM installation WHERE ${isAtStage(claim.stage)}) AND ${hasNoRowOfBefore(claim)}`;
