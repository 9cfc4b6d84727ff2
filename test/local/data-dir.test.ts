import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDataDir } from '../../local/data-dir.js';

let parent: string;
let path: string;

beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'order-saga-data-')));
  path = join(parent, '.data');
});
afterEach(() => rmSync(parent, { recursive: true }));

const othersMay = (file: string) => statSync(file).mode & 0o077;

test('a second launcher is refused by name of the folder and of the process, until the first has left', () => {
  const first = openDataDir(path);
  expect(() => openDataDir(path)).toThrow(`order-saga runs on ${path} already (process ${process.pid}).`);
  first.release();
  openDataDir(path).release();
});

test('the lock of a launcher that was killed binds no launcher, even if its process id lives on in another program', () => {
  mkdirSync(join(path, 'lock'), { recursive: true });
  writeFileSync(join(path, 'lock', 'owner'), JSON.stringify({ pid: process.pid, birth: 'another life' }));
  openDataDir(path).release();
  expect(readdirSync(path).filter((name) => name.startsWith('lock'))).toEqual([]);
});

test('secrets are made once and no other user may read them', () => {
  const first = openDataDir(path);
  first.release();
  const second = openDataDir(path);
  second.release();
  expect(second.secrets).toEqual(first.secrets);
  expect(othersMay(join(path, 'secrets.json'))).toBe(0);
  for (const name of ['logs', 'temporal', 'sandbox']) expect(othersMay(join(path, name))).toBe(0);
});

test('a folder that holds a user’s files stays as closed as it was', () => {
  mkdirSync(path);
  writeFileSync(join(path, 'letter'), '');
  chmodSync(path, 0o700);
  openDataDir(path).release();
  expect(othersMay(path)).toBe(0);
});

test('a folder that has the user’s own folders under the names of ours is refused, and left as it is', () => {
  mkdirSync(join(path, 'logs'), { recursive: true });
  expect(() => openDataDir(path)).toThrow(/has folders of its own \(logs\)/);
  expect(readdirSync(path)).toEqual(['logs']); // the lock is given back, too
});

test('the key of the audit trail is made once, and no other user may read it', () => {
  openDataDir(path).release();
  const key = readFileSync(join(path, 'audit-key'), 'utf8');
  expect(key).toMatch(/^[0-9a-f]{64}\n$/);
  openDataDir(path).release();
  expect(readFileSync(join(path, 'audit-key'), 'utf8')).toBe(key);
  expect(othersMay(join(path, 'audit-key'))).toBe(0);
});
