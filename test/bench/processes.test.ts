import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, expect, test } from '@jest/globals';
import { cpuByName, memoryByName } from '../../bench/processes.js';
import { eventually } from '../support/conditions.js';

const onLinux = process.platform === 'linux' ? test : test.skip;

let shell: ChildProcess | undefined;
afterEach(() => void shell?.kill('SIGKILL'));

/** A program that burns CPU and ends, and its parent, which stays. */
function startBurning(ms: number): number {
  const burn = `const end = process.cpuUsage().user + ${ms} * 1000; while (process.cpuUsage().user < end);`;
  shell = spawn('/bin/sh', ['-c', `"${process.execPath}" -e '${burn}'; echo burnt; read _`], { stdio: 'pipe' });
  return shell.pid as number;
}

onLinux('the CPU of a child that has ended counts with its parent', async () => {
  const pid = startBurning(300);
  await eventually('the child has ended', () => shell?.stdout?.read() !== null);
  expect(cpuByName(new Map([[pid, 'program']])).get('program')).toBeGreaterThanOrEqual(290);
});

onLinux('a descendant with a name of its own does not count with its ancestor', async () => {
  const pid = startBurning(300);
  await eventually('the child has ended', () => shell?.stdout?.read() !== null);
  const roots = new Map([
    [process.pid, 'tests'],
    [pid, 'program'],
  ]);
  const before = cpuByName(roots).get('tests') ?? 0;
  const without = cpuByName(new Map([[process.pid, 'tests']])).get('tests') ?? 0;
  expect(without - before).toBeGreaterThanOrEqual(290);
});

onLinux('a process that is excepted does not count', () => {
  expect(cpuByName(new Map([[process.pid, 'tests']]), new Set([process.pid])).get('tests') ?? 0).toBeLessThan(
    cpuByName(new Map([[process.pid, 'tests']])).get('tests') ?? 0,
  );
});

onLinux('memory is reported in mebibytes', () => {
  const used = memoryByName(new Map([[process.pid, 'tests']])).get('tests') ?? 0;
  expect(used).toBeGreaterThan(20);
  expect(used).toBeLessThan(4_000);
});
