import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { startTimeOf } from '../../../local/processes/start-time.mjs';
import { openRegister, reapLeftovers } from '../../../local/processes/leftovers.js';
import { type Running, run, start } from '../../../local/processes/program.js';
import { eventually } from '../../support/conditions.js';
import { script } from './programs.js';

let folder: string;
let register: string;
let running: Running | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'order-saga-leftovers-'));
  register = join(folder, 'processes.json');
});
afterEach(async () => {
  running?.kill();
  await running?.exited;
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

test('what an earlier launcher left running is stopped', async () => {
  running = await start(script(folder, 'orphan'));
  openRegister(register).add('orphan', running.pid ?? 0, 'SIGTERM');
  await expect(reapLeftovers(register)).resolves.toBe(1);
  await expect(running.exited).resolves.toMatchObject({ signal: 'SIGTERM' });
});

test('what does not stop when asked is killed', async () => {
  running = await start(script(folder, 'deaf', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1_000);"));
  openRegister(register).add('deaf', running.pid ?? 0, 'SIGTERM');
  await reapLeftovers(register, 100);
  await expect(running.exited).resolves.toMatchObject({ signal: 'SIGKILL' });
});

test('a program that was given a dead one’s process id is left alone', async () => {
  running = await start(script(folder, 'innocent'));
  openRegister(register).add('innocent', running.pid ?? 0, 'SIGTERM');
  writeFileSync(register, readFileSync(register, 'utf8').replace(/"birth": ".*"/, '"birth": "another life"'));
  await expect(reapLeftovers(register)).resolves.toBe(0);
  expect(startTimeOf(running.pid ?? 0)).toBeDefined();
});

test('no register, nothing to do', async () => {
  await expect(reapLeftovers(register)).resolves.toBe(0);
});

test('a program does not outlive a dispatcher that is killed -9, and its scratch goes with it', async () => {
  const scratch = mkdtempSync(join(folder, 'scratch-'));
  const { isReady: _, ...plain } = script(folder, 'child');
  const program = JSON.stringify({ ...plain, scratch });
  // The compiled code, because a dispatcher that can be killed is a process of its own.
  const code = `const { run } = await import(${JSON.stringify(new URL('../../../dist/local/processes/program.js', import.meta.url).href)});
    process.stdout.write(String(run(${program}).pid));`;
  const dispatcher = spawn(process.execPath, ['--input-type=module', '-e', `${code} setInterval(() => {}, 1_000);`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [pid] = (await once(dispatcher.stdout, 'data')) as [Buffer];
  expect(startTimeOf(Number(pid))).toBeDefined();
  dispatcher.kill('SIGKILL');
  await eventually('the program is gone', () => startTimeOf(Number(pid)) === undefined);
  await eventually('so is its scratch', () => !readdirSync(folder).some((name) => name.startsWith('scratch-')));
});

test('a program that ends by itself leaves the register: the launcher does not kill the next one that gets its process id', async () => {
  running = run(script(folder, 'short', ''));
  await expect(running.exited).resolves.toEqual({ code: 0, signal: null });
  await running.stop(1_000); // resolves: its watchdog has left, too
});
