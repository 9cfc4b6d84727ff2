/**
 * Texts of a person, sealed: encrypted with a key of the customer's (AES-256-GCM), and bound to the place where they stand, so that none
 * can be read at another. With encryption off they stay as they are, at no cost. What is stored tells by itself which it is:
 *
 *   sealed:v1:<key version>:<base64 of nonce, ciphertext and tag>
 *   plain:v1:<text>   a text that would be taken for one of these two
 *   <text>            any other, of whenever there was no encryption
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { DataKey, DataKeys } from './data-keys.js';
import { KeyDestroyed, KeyUnavailable, SealBroken } from './errors.js';
import { keepInstallationKey } from './installation-key.js';
import { ERASED, INSTALLATION, type Place, type Sealing } from './port.js';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^sealed:v1:([1-9]\d{0,8}):([A-Za-z0-9+/]+={0,2})$/;
const MARKED = /^(?:sealed|plain):v1:/;
const PLAIN = 'plain:v1:';

/** @param keys undefined = encryption is off */
export function createSealing(keys: DataKeys | undefined): Sealing {
  const need = (): DataKeys => {
    if (keys) return keys;
    throw new KeyUnavailable('KEY_ENCRYPTION is off in this process, and this is sealed');
  };
  const own = keys && keepInstallationKey(keys);
  return {
    isOn: keys !== undefined,
    seal: async (text, place) => {
      if (!keys) return asPlain(text);
      try {
        const key = await (own && place.reference === INSTALLATION ? own.newest() : keys.newest(place.reference));
        return `sealed:v1:${key.version}:${encrypt(key, Buffer.from(text, 'utf8'), aadOf(place)).toString('base64')}`;
      } catch (err) {
        if (err instanceof KeyDestroyed) return ERASED;
        throw err;
      }
    },
    open: async (stored, place) => {
      const sealed = SEALED.exec(stored);
      if (!sealed) return stored.startsWith(PLAIN) ? stored.slice(PLAIN.length) : stored;
      try {
        const version = Number(sealed[1]);
        const isOwn = own && place.reference === INSTALLATION;
        const key = await (isOwn ? own.ofVersion(version) : need().ofVersion(place.reference, version));
        return decrypt(key, Buffer.from(sealed[2] ?? '', 'base64'), aadOf(place)).toString('utf8');
      } catch (err) {
        if (err instanceof KeyDestroyed) return ERASED;
        throw err;
      }
    },
    sealBytes: async (bytes, { reference, about }) => {
      const key = await need().newest(reference);
      return { keyVersion: key.version, data: encrypt(key, bytes, bytesAad(reference, about)) };
    },
    openBytes: async ({ keyVersion, data }, { reference, about }) =>
      decrypt(await need().ofVersion(reference, keyVersion), Buffer.from(data), bytesAad(reference, about)),
    forget: (reference) => keys?.forget(reference),
  };
}

/** Of a process that seals nothing. */
export const NO_SEALING: Sealing = createSealing(undefined);

/** A text as it may be stored where it is not sealed. */
export const asPlain = (text: string): string => (MARKED.test(text) ? PLAIN + text : text);

/** Whether what is stored is not the text itself. */
export const isMarked = (stored: string): boolean => MARKED.test(stored);

/** Whether what is stored is sealed. */
export const isSealed = (stored: string): boolean => SEALED.test(stored);

const aadOf = ({ table, column, row, reference }: Place): Buffer =>
  Buffer.from(JSON.stringify(['order-saga/sealed/v1', table, column, row, reference]));
const bytesAad = (reference: string, about: string): Buffer =>
  Buffer.from(JSON.stringify(['order-saga/sealed-bytes/v1', about, reference]));

/** A random nonce is good for 2^32 texts under one key; no customer comes near. */
function encrypt({ key }: DataKey, plain: Uint8Array, aad: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt({ key }: DataKey, data: Buffer, aad: Buffer): Buffer {
  if (data.length < NONCE_BYTES + TAG_BYTES) throw new SealBroken('What is sealed is too short');
  const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(data.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch (err) {
    throw new SealBroken('What is sealed was changed, or belongs elsewhere', { cause: err });
  }
}
