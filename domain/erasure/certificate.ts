/**
 * The certificate of an erasure: what was erased, where, when and on whose request, without the person. It is made anew from what is
 * recorded whenever it is asked for, and signed by whoever hands it out: with a key of its own, whose public half anyone may verify it
 * with, or else with the key of the audit trail, for those who have that.
 */
import { createHash, createHmac, createPublicKey, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto';
import { type ErasedCounts, KEPT, type Kept } from '../../contracts/erasures.js';
import { type AuditKeys, canonical } from '../audit/signatures.js';
import type { Statements } from '../database.js';
import type { Erasure } from './erasures.js';

export const CERTIFICATE_TYPE = 'urn:order-saga:erasure-certificate:v1';

export type CertificateBody = {
  type: typeof CERTIFICATE_TYPE;
  installation: string;
  erasure: string;
  /** null = nobody was known by the id that was given. */
  customerReference: string | null;
  requestedBy: string;
  requestedAt: string;
  erasedAt: string;
  erased: ErasedCounts;
  kept: Kept[];
};
export type CertificateSignature = { algorithm: 'Ed25519' | 'HMAC-SHA256'; keyId: string; value: string };
export type Certificate = CertificateBody & { signature: CertificateSignature };

/** `own`: an Ed25519 key; undefined = the audit trail's signs. */
export type CertificateKeys = { audit: AuditKeys; own?: KeyObject | undefined };

/** @returns null as long as the erasure is not done */
export async function certificateOf(
  db: Statements,
  keys: CertificateKeys,
  { id, reference, requestedBy, requestedAt, doneAt, counts }: Erasure,
): Promise<Certificate | null> {
  if (doneAt === null) return null;
  const [installation] = await db.$queryRaw<{ id: string }[]>`SELECT id FROM installation`;
  const body: CertificateBody = {
    type: CERTIFICATE_TYPE,
    installation: installation?.id ?? '',
    erasure: id,
    customerReference: reference,
    requestedBy,
    requestedAt: requestedAt.toISOString(),
    erasedAt: doneAt.toISOString(),
    erased: counts,
    kept: KEPT,
  };
  return { ...body, signature: signBody(body, keys) };
}

function signBody(body: CertificateBody, { audit, own }: CertificateKeys): CertificateSignature {
  const text = textOf(body);
  if (own) return { algorithm: 'Ed25519', keyId: publicKeyId(own), value: sign(null, text, own).toString('base64') };
  const { id: keyId, secret } = audit.signing;
  return { algorithm: 'HMAC-SHA256', keyId, value: hmac(secret, text) };
}

const textOf = (body: CertificateBody): Buffer => Buffer.from(canonical([CERTIFICATE_TYPE, body]));
const hmac = (secret: string, text: Buffer): string =>
  createHmac('sha256', secret).update('erasure certificate\n').update(text).digest('base64');

/** @param key either half of a pair */
export const publicKeyId = (key: KeyObject): string =>
  createHash('sha256')
    .update((key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 12);

/** `own`: either half of the pair. */
export type Verdict = 'genuine' | 'changed' | 'unknown-key';

export function verifyCertificate({ signature, ...body }: Certificate, { audit, own }: CertificateKeys): Verdict {
  const text = textOf(body);
  const { algorithm, keyId, value } = signature;
  if (algorithm === 'Ed25519') {
    if (!own || publicKeyId(own) !== keyId) return 'unknown-key';
    const half = own.type === 'private' ? createPublicKey(own) : own;
    return verify(null, text, half, Buffer.from(value, 'base64')) ? 'genuine' : 'changed';
  }
  const key = audit.known.get(keyId);
  if (!key) return 'unknown-key';
  const [expected, given] = [Buffer.from(hmac(key.secret, text)), Buffer.from(`${value}`)];
  return expected.length === given.length && timingSafeEqual(expected, given) ? 'genuine' : 'changed';
}
