/** What of node_modules an image keeps. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ROOT, read } from './text.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'order-saga-packages-'));
  cpSync(join(ROOT, 'deploy', 'keep-packages.mjs'), join(root, 'keep-packages.mjs'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** `cli` is an optional peer of `client`, and has a nested copy of `shared`, which `client` needs in another version. */
const PACKAGES = {
  'node_modules/client': {
    dependencies: { shared: '2' },
    peerDependencies: { cli: '*' },
    peerDependenciesMeta: { cli: { optional: true } },
  },
  'node_modules/cli': { dependencies: { shared: '1', studio: '*' }, optionalDependencies: { native: '*' } },
  'node_modules/cli/node_modules/shared': {},
  'node_modules/studio': {},
  'node_modules/shared': { peerDependencies: { peer: '*' } },
  'node_modules/peer': {},
};

function keep(...args: string[]) {
  for (const path of Object.keys(PACKAGES)) {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, 'index.js'), '');
  }
  writeFileSync(join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: PACKAGES }));
  writeFileSync(join(root, 'package.json'), JSON.stringify({ dependencies: { client: '1', cli: '1' } }));
  const { status, stderr } = spawnSync(process.execPath, ['keep-packages.mjs', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  const kept = Object.keys(PACKAGES).filter((path) => existsSync(join(root, path, 'index.js')));
  return { status, stderr, kept: kept.map((path) => path.replaceAll('node_modules/', '')) };
}

test('all but one keeps what the others need, their required peers included, and optional ones not', () => {
  expect(keep('--all-but', 'cli').kept).toEqual(['client', 'shared', 'peer']);
});

test('one keeps what it needs, in the version that it finds', () => {
  expect(keep('cli').kept).toEqual(['cli', 'cli/shared', 'studio']);
});

test('a name that is none of package.json’s ends the build', () => {
  expect(keep('--all-but', 'clii')).toMatchObject({
    status: 1,
    stderr: 'Not among the dependencies: clii\n',
  });
});

test('what is never loaded is left out, whoever depends on it, and a name that is not installed ends the build', () => {
  expect(keep('cli', '--without', 'studio').kept).toEqual(['cli', 'cli/shared']);
  expect(keep('cli', '--without', 'studioo')).toMatchObject({
    status: 1,
    stderr: 'Not among the dependencies: studioo\n',
  });
});

test('the image of the service keeps every dependency that its own programs import', () => {
  const names = /keep-packages\.mjs --all-but (.+)$/m.exec(read('deploy/Dockerfile'))?.[1]?.split(' ') ?? [];
  expect(names).toContain('prisma');
  const importers = spawnSync('grep', ['-rlE', `from '(${names.join('|')})['/]`, '--include=*.ts', ...SERVICE], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(importers.stdout).toBe('');
});
const SERVICE = [
  'service',
  'api',
  'workers',
  'relay',
  'ops',
  'domain',
  'runtime',
  'sagas',
  'gateways',
  'reconciliation',
  'activities',
];
