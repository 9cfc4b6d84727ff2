import { spawnSync } from 'node:child_process';
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

const isRoot = process.getuid?.() === 0;

test.each([0o000, 0o022, 0o077])(
  'under umask %p no other user may read the folder or list it, from the first moment',
  (umask) => {
    const before = process.umask(umask);
    try {
      // The processes that may be the first to need it: each in a folder of its own.
      const made = ['launcher', 'issuer', 'sandbox'].map((name) => join(parent, name));
      openDataDir(made[0] ?? '').release();
      for (const main of ['issuer', 'sandbox']) startAndStop(main, join(parent, main));
      expect(made.map((folder) => [folder, statSync(folder).mode & 0o066])).toEqual(made.map((folder) => [folder, 0]));
      expect(made.slice(1).map(othersMay)).toEqual([0, 0]);
      expect(othersMay(made[0] ?? '')).toBe(isRoot ? 0o011 : 0); // root's Postgres, another user, passes through
    } finally {
      process.umask(before);
    }
  },
);

/** Until it has made its folder: a port that is not one ends it right after, or before it; so it is given a taken one. */
function startAndStop(main: string, dataDir: string): void {
  const env = { PATH: process.env['PATH'], DATA_DIR: dataDir, HOST: '192.0.2.1', ISSUER_ALLOW_REMOTE: 'true' };
  const { status } = spawnSync(process.execPath, [join('dist', main, 'main.js')], { env, timeout: 30_000 });
  expect([main, status]).toEqual([main, 1]); // it cannot listen on an address that this machine does not have
}

test('a folder that was left open, by an earlier release or by whoever made it, is closed', () => {
  mkdirSync(path, { mode: 0o755 });
  mkdirSync(join(path, 'issuer'));
  openDataDir(path).release();
  chmodSync(path, 0o755);
  openDataDir(path).release();
  expect(statSync(path).mode & 0o066).toBe(0);
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
