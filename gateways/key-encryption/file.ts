/**
 * Key-encryption keys in a file, for laptops and single servers: a line `<id> <32 bytes in base64>` each, of which the **first** wraps and all
 * unwrap. Whoever can read the file and the database can read what is sealed: keep it out of the database's backups.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { KeyStore } from './several.js';
import { KeyStoreError } from './errors.js';

/** Before the ids of its keys, among those of other stores. */
const PREFIX = 'file:';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Some hundred rotations. */
const FILE_BYTES_MAX = 64 * 1024;
const LINE = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})[ \t]+([A-Za-z0-9+/]{43}=)$/;

type Keks = { current: string; byId: ReadonlyMap<string, Buffer> };

/**
 * Reads the file at once, and again whenever it was changed: a new first line wraps from then on. A change that cannot be read leaves the
 * keys of before, and is told.
 * @throws KeyStoreError naming what is wrong with the file
 */
export function openKeyFile(path: string, onUnreadable: (err: KeyStoreError) => void = () => undefined): KeyStore {
  let stamp = stampOf(path);
  let keks = readKeks(path);
  let isUnreadable = false;
  const read = (): Keks => {
    try {
      const seen = stampOf(path);
      if (seen === stamp) return keks;
      keks = readKeks(path);
      stamp = seen; // one that cannot be read is read again
      isUnreadable = false;
    } catch (err) {
      if (!isUnreadable) onUnreadable(err as KeyStoreError);
      isUnreadable = true;
    }
    return keks;
  };
  return {
    prefix: PREFIX,
    currentId: async () => PREFIX + read().current,
    wrap: async (dataKey, context) => {
      const { current, byId } = read();
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', kekOf(byId, current), nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(aadOf(current, context));
      const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
      return { keyId: PREFIX + current, wrapped };
    },
    unwrap: async ({ keyId, wrapped }, context) => {
      const id = keyId.startsWith(PREFIX) ? keyId.slice(PREFIX.length) : keyId;
      const data = Buffer.from(wrapped);
      const kek = kekOf(read().byId, id, keyId);
      const decipher = createDecipheriv('aes-256-gcm', kek, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(aadOf(id, context))
        .setAuthTag(data.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch (err) {
        throw new KeyStoreError(`The key "${id}" in ${path} is another than the one that has wrapped this.`, false, {
          cause: err,
        });
      }
    },
  };
}

const aadOf = (id: string, context: string) => Buffer.from(JSON.stringify(['order-saga/kek-file/v1', id, context]));

function kekOf(byId: ReadonlyMap<string, Buffer>, id: string, asked = id): Buffer {
  const kek = byId.get(id);
  if (kek) return kek;
  throw new KeyStoreError(
    `The key "${asked}" has wrapped data keys, and is not in the key file: put it back, and let \`ops keys rewrap\` end before it is removed.`,
    false,
  );
}

function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs}/${size}/${ino}`;
  } catch (err) {
    throw unreadable(path, err);
  }
}

function readKeks(path: string): Keks {
  const keks = new Map<string, Buffer>();
  for (const [index, line] of contentOf(path).split('\n').entries()) {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) continue;
    const [, id, key] = LINE.exec(text) ?? [];
    const bytes = Buffer.from(key ?? '', 'base64');
    if (id === undefined || bytes.length !== KEY_BYTES)
      throw new KeyStoreError(`${path} line ${index + 1} is not "<id> <32 bytes in base64>".`, false);
    if (keks.has(id)) throw new KeyStoreError(`${path} has the key "${id}" twice.`, false);
    keks.set(id, bytes);
  }
  const [current] = keks.keys();
  if (current === undefined) throw new KeyStoreError(`${path} has no key in it.`, false);
  return { current, byId: keks };
}

function contentOf(path: string): string {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new KeyStoreError(`${path} is not a file.`, false);
    if (found.size > FILE_BYTES_MAX) throw new KeyStoreError(`${path} has more than 64 KB: it is no key file.`, false);
    // The group may read it: that is how Kubernetes gives a file to whoever is not root.
    if (process.platform !== 'win32' && (found.mode & 0o037) !== 0)
      throw new KeyStoreError(`${path} may be read by other users, or written by a group: \`chmod 600\` it.`, false);
    return readFileSync(path, 'utf8');
  } catch (err) {
    throw err instanceof KeyStoreError ? err : unreadable(path, err);
  }
}

const unreadable = (path: string, err: unknown) =>
  new KeyStoreError(`${path} cannot be read (${(err as NodeJS.ErrnoException).code ?? 'unknown'}).`, false, {
    cause: err,
  });
