/** Keys for tests: a key file of its own, and a key store that can be away. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import { openKeyFile } from '../../gateways/key-encryption/file.js';

export const keyLine = (id: string): string => `${id} ${randomBytes(32).toString('base64')}`;

/** @returns its path; the first of the lines is the current key */
export function writeKeyFile(lines: string[] = [keyLine('first')], path?: string): string {
  const place = path ?? join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys');
  writeFileSync(place, `${lines.join('\n')}\n`, { mode: 0o600 });
  return place;
}

/** A key store that counts what it is asked, and is away when told to be. */
export function keyStoreForTests(path = writeKeyFile()): KeyEncryption & { calls: string[]; isAway: boolean } {
  const file = openKeyFile(path);
  const asked = async <T>(call: string, answer: () => Promise<T>): Promise<T> => {
    store.calls.push(call);
    if (store.isAway) throw new Error('connect ECONNREFUSED');
    return answer();
  };
  const store = {
    calls: [] as string[],
    isAway: false,
    currentId: file.currentId,
    wrap: (dataKey: Uint8Array, context: string) => asked('wrap', () => file.wrap(dataKey, context)),
    unwrap: (key: Parameters<KeyEncryption['unwrap']>[0], context: string) =>
      asked('unwrap', () => file.unwrap(key, context)),
  };
  return store;
}
