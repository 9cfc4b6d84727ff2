/**
 * A payload as it stands in Temporal once it is encrypted (AES-256-GCM): which key it needs is beside it, all else is inside.
 *
 *   metadata.encoding   binary/encrypted
 *   metadata.format     order-saga/1
 *   metadata.key        version of the installation's payload key
 *   metadata.workflow   the workflow id that it belongs to; absent = made where nobody knows it (the codec server)
 *   metadata.customer   reference of the customer whose key has sealed texts inside; absent = there are none
 *   metadata.shape      text = it is a string by itself, by which no saga decides anything; absent = anything else
 *   data                nonce, ciphertext, tag
 *
 * Each workflow has a key of its own, made from the payload key: a payload that is moved to another workflow cannot be read there, and
 * no key ever meets as many random nonces as would be dangerous.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import type { Payload } from '@temporalio/common';

export type PayloadKey = { version: number; key: Buffer };
/** `workflow` '' = not known. */
export type Envelope = { version: number; workflow: string; customer: string | undefined; isText: boolean };

/** What is encrypted is no payload of ours, was changed, or belongs to another workflow. */
export class PayloadBroken extends Error {
  override name = 'PayloadBroken';
}

const ENCODING = Buffer.from('binary/encrypted');
const FORMAT = Buffer.from('order-saga/1');
const VERSION = /^[1-9]\d{0,8}$/;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export const isEncrypted = ({ metadata }: Payload): boolean =>
  metadata?.['encoding'] !== undefined && ENCODING.equals(metadata['encoding']);

/** @returns undefined if it is not encrypted. @throws PayloadBroken if it is, but not by a build that this one knows */
export function envelopeOf(payload: Payload): Envelope | undefined {
  const { metadata } = payload;
  if (!metadata || !isEncrypted(payload)) return undefined;
  const format = textOf(metadata['format']);
  const version = textOf(metadata['key']) ?? '';
  if (format !== FORMAT.toString() || !VERSION.test(version))
    throw new PayloadBroken(
      `A payload is encrypted in a form that this build does not know (${format ?? 'no format'})`,
    );
  return {
    version: Number(version),
    workflow: textOf(metadata['workflow']) ?? '',
    customer: textOf(metadata['customer']),
    isText: textOf(metadata['shape']) === TEXT,
  };
}

export function encrypt(
  payload: Payload,
  { version, key }: PayloadKey,
  { workflow, customer }: Pick<Envelope, 'workflow' | 'customer'>,
): Payload {
  const isText = isTextual(payload);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', workflowKey(key, version, workflow), nonce, {
    authTagLength: TAG_BYTES,
  }).setAAD(aadOf({ customer, isText }));
  const data = Buffer.concat([nonce, cipher.update(toBytes(payload)), cipher.final(), cipher.getAuthTag()]);
  const metadata: Record<string, Uint8Array> = { encoding: ENCODING, format: FORMAT, key: Buffer.from(`${version}`) };
  if (workflow !== '') metadata['workflow'] = Buffer.from(workflow);
  if (customer !== undefined) metadata['customer'] = Buffer.from(customer);
  if (isText) metadata['shape'] = Buffer.from(TEXT);
  return { metadata, data };
}
/** @throws PayloadBroken */
export function decrypt({ data }: Payload, { version, key }: PayloadKey, envelope: Envelope): Payload {
  const bytes = Buffer.from(data ?? []);
  if (bytes.length < NONCE_BYTES + TAG_BYTES + 1) throw new PayloadBroken('An encrypted payload is too short');
  const decipher = createDecipheriv(
    'aes-256-gcm',
    workflowKey(key, version, envelope.workflow),
    bytes.subarray(0, NONCE_BYTES),
    { authTagLength: TAG_BYTES },
  )
    .setAAD(aadOf(envelope))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return fromBytes(Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]));
  } catch (err) {
    throw err instanceof PayloadBroken ? err : new PayloadBroken('An encrypted payload was changed', { cause: err });
  }
}

const textOf = (bytes: Uint8Array | null | undefined): string | undefined =>
  bytes ? Buffer.from(bytes).toString('utf8') : undefined;
const aadOf = ({ customer = '', isText }: { customer?: string | undefined; isText: boolean }): Buffer =>
  Buffer.from(`order-saga/payload/1/${customer}/${isText ? TEXT : ''}`);

const TEXT = 'text';
const QUOTE = 0x22;
const isTextual = ({ metadata, data }: Payload): boolean =>
  data?.[0] === QUOTE && metadata?.['encoding'] !== undefined && JSON_PLAIN.equals(metadata['encoding']);
/** A string as the SDK makes a payload of it. */
export const textPayload = (text: string): Payload => ({
  metadata: { encoding: JSON_PLAIN },
  data: Buffer.from(JSON.stringify(text)),
});

/** Made once for the sagas at work: some 15 payloads of each go through this process. */
const derived = new Map<string, Buffer>();
const DERIVED_MAX = 2_000;

function workflowKey(key: Buffer, version: number, workflow: string): Buffer {
  // Of this very key: tests have several of the same version.
  const name = `${key.toString('latin1', 0, 16)}/${version}/${workflow}`;
  const known = derived.get(name);
  if (known) return known;
  const made = createHmac('sha256', key).update(`order-saga/payload-key/1/${workflow}`).digest();
  if (derived.size >= DERIVED_MAX) derived.delete(derived.keys().next().value ?? '');
  derived.set(name, made);
  return made;
}

/**
 * Inside: a byte that says which metadata it had (nearly all are JSON, or nothing at all), and its data. Of any other the metadata
 * follows, with its length.
 */
const PLAIN = { json: 1, nothing: 2, other: 0 } as const;
const JSON_PLAIN = Buffer.from('json/plain');
const NULL = Buffer.from('binary/null');

function toBytes({ metadata, data }: Payload): Buffer {
  const bytes = data ?? new Uint8Array();
  const encoding = metadata?.['encoding'];
  if (encoding && Object.keys(metadata).length === 1) {
    if (JSON_PLAIN.equals(encoding)) return Buffer.concat([Buffer.of(PLAIN.json), bytes]);
    if (NULL.equals(encoding)) return Buffer.concat([Buffer.of(PLAIN.nothing), bytes]);
  }
  const said = Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  const head = Buffer.from(JSON.stringify(Object.fromEntries(said)));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(head.length);
  return Buffer.concat([Buffer.of(PLAIN.other), length, head, bytes]);
}

function fromBytes(bytes: Buffer): Payload {
  const kind = bytes[0];
  if (kind === PLAIN.json) return { metadata: { encoding: JSON_PLAIN }, data: bytes.subarray(1) };
  if (kind === PLAIN.nothing) return { metadata: { encoding: NULL }, data: bytes.subarray(1) };
  if (kind !== PLAIN.other) throw new PayloadBroken(`An encrypted payload has a form that this build does not know`);
  const end = 5 + bytes.readUInt32BE(1);
  const said = JSON.parse(bytes.toString('utf8', 5, end)) as Record<string, string>;
  const metadata = Object.fromEntries(
    Object.entries(said).map(([name, value]) => [name, Buffer.from(value, 'base64')]),
  );
  return { metadata, data: bytes.subarray(end) };
}
