/** `npm run reset`, as its user types it: what it takes away, and what it leaves alone. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDataDir } from '../../local/data-dir.js';

let folder: string;
let dataDir: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'order-saga-reset-')));
  dataDir = join(folder, 'data');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Without a terminal. */
async function reset(...args: string[]): Promise<{ status: number | null; output: string }> {
  const env = { PATH: process.env['PATH'], DATA_DIR: dataDir };
  const child = spawn(process.execPath, ['local/reset.mjs', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, output };
}

/** As a launcher leaves it, with its Postgres elsewhere. */
function leaveData(owner = dataDir): { place: string } {
  openDataDir(dataDir).release();
  const place = join(folder, 'place');
  mkdirSync(join(place, '18'), { recursive: true });
  writeFileSync(join(place, 'data-dir'), `${owner}\n`);
  writeFileSync(join(dataDir, 'postgres.place'), `${place}\n`);
  writeFileSync(join(dataDir, 'processes.json'), '[]');
  return { place };
}

test('it removes all that was kept, wherever it is, when --yes is said', async () => {
  const { place } = leaveData();
  expect(await reset('--yes')).toEqual({ status: 0, output: `Removed: ${dataDir}.\n` });
  expect([existsSync(dataDir), existsSync(place)]).toEqual([false, false]);
});

test('it removes nothing where no user can be asked', async () => {
  leaveData();
  const before = readdirSync(dataDir);
  expect(await reset()).toEqual({ status: 1, output: expect.stringContaining('Nobody is there to ask: say --yes.') });
  expect(readdirSync(dataDir)).toEqual(before);
});

test('it refuses while order-saga runs, whatever is said', async () => {
  leaveData();
  const { release } = openDataDir(dataDir); // as a launcher does, which is this process
  try {
    const output = `order-saga runs on ${dataDir} already (process ${process.pid}).`;
    expect(await reset('--yes')).toEqual({ status: 1, output: expect.stringContaining(output) });
    expect(existsSync(join(dataDir, 'secrets.json'))).toBe(true);
  } finally {
    release();
  }
});

test('it leaves alone what the user has put there, and the database of another data folder', async () => {
  const { place } = leaveData('/somewhere/else');
  writeFileSync(join(dataDir, 'my-notes'), 'x');
  expect(await reset('--yes')).toEqual({ status: 0, output: expect.stringContaining('except my-notes') });
  expect(readdirSync(dataDir)).toEqual(['my-notes']);
  expect(existsSync(place)).toBe(true);
});

test('it touches no folder that holds no data of order-saga', async () => {
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  expect(await reset('--yes')).toEqual({ status: 0, output: expect.stringContaining('There is nothing to remove') });
  expect(readdirSync(dataDir)).toEqual(['logs']);
});

test('it touches no folder whose secrets are another program’s', async () => {
  mkdirSync(join(dataDir, 'postgres'), { recursive: true });
  mkdirSync(join(dataDir, 'logs'));
  writeFileSync(join(dataDir, 'secrets.json'), '{"aws":"theirs"}');
  expect(await reset('--yes')).toEqual({ status: 0, output: expect.stringContaining('There is nothing to remove') });
  expect(readdirSync(dataDir).sort()).toEqual(['logs', 'postgres', 'secrets.json']);
});
