/** Key-encryption keys in a file: what operators may put there, and what they are told when it is wrong. */
import { chmodSync, rmSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { openKeyFile } from '../../../gateways/key-encryption/file.js';
import { joinKeyStores } from '../../../gateways/key-encryption/several.js';
import { keyLine, writeKeyFile } from '../../support/keys.js';

const DATA_KEY = Buffer.alloc(32, 7);

test('the first key of the file wraps, and each of them unwraps what it has wrapped', async () => {
  const [old, young] = [keyLine('2026-01'), keyLine('2026-07')];
  const path = writeKeyFile([old]);
  const file = openKeyFile(path);
  const before = await file.wrap(DATA_KEY, 'a');
  expect(before.keyId).toBe('file:2026-01');
  writeKeyFile(['# rotated', young, '', old], path);
  expect(await file.currentId()).toBe('file:2026-07');
  expect((await file.wrap(DATA_KEY, 'a')).keyId).toBe('file:2026-07');
  expect(await file.unwrap(before, 'a')).toEqual(DATA_KEY);
  expect(Buffer.from(before.wrapped).includes(DATA_KEY)).toBe(false);
});

test('a wrapped key is good for the customer only whose it is', async () => {
  const file = openKeyFile(writeKeyFile());
  const wrapped = await file.wrap(DATA_KEY, 'a');
  await expect(file.unwrap(wrapped, 'b')).rejects.toThrow('is another than the one that has wrapped this');
});

test('a key that was removed too early is named, with what to do', async () => {
  const path = writeKeyFile([keyLine('old')]);
  const file = openKeyFile(path);
  const wrapped = await file.wrap(DATA_KEY, 'a');
  writeKeyFile([keyLine('new')], path);
  await expect(file.unwrap(wrapped, 'a')).rejects.toThrow(/"file:old" .* not in the key file: put it back/);
  await expect(
    joinKeyStores([openKeyFile(path)]).unwrap({ ...wrapped, keyId: 'vault:transit/x' }, 'a'),
  ).rejects.toThrow('KEY_ENCRYPTION names no store that has it');
});

test('a change that cannot be read leaves the keys of before, and is told', async () => {
  const path = writeKeyFile();
  const told: string[] = [];
  const file = openKeyFile(path, (err) => told.push(err.message));
  const wrapped = await file.wrap(DATA_KEY, 'a');
  writeKeyFile(['nonsense'], path);
  expect(await file.unwrap(wrapped, 'a')).toEqual(DATA_KEY);
  expect(told).toEqual([expect.stringContaining('line 1 is not')]);
  rmSync(path);
  expect(await file.unwrap(wrapped, 'a')).toEqual(DATA_KEY);
  expect(told).toHaveLength(1); // told once, however often it is asked for meanwhile
  writeKeyFile([keyLine('new')], path);
  expect(await file.currentId()).toBe('file:new');
});

test.each([
  ['no key', ['# nothing'], 'has no key in it'],
  ['a short key', ['k AAAA'], 'line 1 is not'],
  ['a key twice', [keyLine('k'), keyLine('k')], 'has the key "k" twice'],
  ['an id with a path in it', [keyLine('../k')], 'line 1 is not'],
])('a file with %s is refused, and no key is in the message', (_, lines, sentence) => {
  expect(() => openKeyFile(writeKeyFile(lines))).toThrow(sentence);
});

test('a file that others may read is refused', () => {
  const path = writeKeyFile();
  chmodSync(path, 0o644);
  expect(() => openKeyFile(path)).toThrow('chmod 600');
  chmodSync(path, 0o440);
  openKeyFile(path);
});
