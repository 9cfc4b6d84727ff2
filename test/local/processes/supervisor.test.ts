import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { startTimeOf } from '../../../local/processes/start-time.mjs';
import { openRegister } from '../../../local/processes/leftovers.js';
import { createSupervisor, type Supervisor } from '../../../local/processes/supervisor.js';
import { eventually } from '../../support/conditions.js';
import { script } from './programs.js';

let folder: string;
let supervisor: Supervisor;
/** On stderr, line by line as far as it is ours. */
let said: string[];

beforeEach(() => {
  said = [];
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(`${text}`) > 0);
  folder = mkdtempSync(join(tmpdir(), 'order-saga-supervisor-'));
  supervisor = createSupervisor(openRegister(join(folder, 'processes.json')));
});
afterEach(async () => {
  await supervisor.stop();
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const pidOf = (name: string) => supervisor.list().find((member) => member.name === name)?.pid ?? 0;
const registered = () =>
  (JSON.parse(readFileSync(join(folder, 'processes.json'), 'utf8')) as { pid: number }[]).map(({ pid }) => pid);

describe('a program', () => {
  test('that dies is started again, and the register follows', async () => {
    await supervisor.start('service', script(folder, 'mortal'));
    const first = pidOf('mortal');
    expect(registered()).toEqual([first]);
    process.kill(first, 'SIGKILL');
    const second = await eventually('it runs again', () => pidOf('mortal') !== first && pidOf('mortal'));
    expect(startTimeOf(second)).toBeDefined();
    expect(registered()).toEqual([second]);
  });

  test('that ends before it is ready fails the start, with the end of its log', async () => {
    const broken = {
      ...script(folder, 'broken', "console.error('no such table'); process.exit(3);"),
      isReady: async () => false,
    };
    await expect(supervisor.start('service', broken)).rejects.toThrow(
      /broken ended while it started \(exit 3\)\.\nThe end of .*broken\.log:\n {2}no such table/,
    );
  });

  test('that does not exist fails the start', async () => {
    const absent = { ...script(folder, 'absent'), command: join(folder, 'absent') };
    await expect(supervisor.start('service', absent)).rejects.toThrow(/absent ended while it started \(.*ENOENT\)/);
  });

  test('that never gets ready fails the start, and does not stay', async () => {
    const slow = { ...script(folder, 'slow'), isReady: async () => false, readyLimitMs: 100 };
    await expect(supervisor.start('service', slow)).rejects.toThrow('slow was not ready after 0.1 s.');
    await eventually('it is gone', () => startTimeOf(pidOf('slow')) === undefined);
  });
});

describe('a tier that is restarted', () => {
  test('runs again and is ready when `restart` resolves; the others run on', async () => {
    await supervisor.start('server', script(folder, 'server'));
    await supervisor.start('service', script(folder, 'service'));
    const before = supervisor.list();
    await supervisor.restart('service');
    expect(pidOf('server')).toBe(before.find(({ name }) => name === 'server')?.pid);
    expect(before.map(({ pid }) => pid)).not.toContain(pidOf('service'));
    expect(startTimeOf(pidOf('service'))).toBeDefined();
    expect(registered().sort()).toEqual([pidOf('server'), pidOf('service')].sort());
  });

  test('says why it is not ready, and can be restarted again', async () => {
    const service = script(folder, 'service');
    const works = [...service.args];
    await supervisor.start('service', service);
    const { isReady } = service;
    service.args.splice(0, Infinity, '-e', "console.error('no such table'); process.exit(3);");
    service.isReady = async () => false;
    await expect(supervisor.restart('service')).rejects.toThrow(
      /service ended while it started.*\n.*\n {2}no such table/,
    );
    service.args.splice(0, Infinity, ...works);
    service.isReady = isReady;
    await supervisor.restart('service');
    expect(startTimeOf(pidOf('service'))).toBeDefined();
  });
});

test('all are stopped, services before the servers that they need, and none is started again', async () => {
  const farewell = (name: string) =>
    `process.on('SIGTERM', () => { require('node:fs').appendFileSync('farewells', '${name} '); process.exit(); }); setInterval(() => {}, 1_000);`;
  await Promise.all([
    supervisor.start('server', script(folder, 'server', farewell('server'))),
    supervisor.start('sandbox', script(folder, 'sandbox', farewell('sandbox'))),
    supervisor.start('service', script(folder, 'service', farewell('service'))),
  ]);
  await supervisor.stop();
  expect(readFileSync(join(folder, 'farewells'), 'utf8')).toBe('service sandbox server ');
  expect(registered()).toEqual([]);
});

describe('the launcher’s own failure is reported, and takes nothing down:', () => {
  test('a program that cannot be started again is started when it can be', async () => {
    const logs = join(folder, 'logs');
    mkdirSync(logs);
    await supervisor.start('service', { ...script(folder, 'mortal'), logFile: join(logs, 'mortal.log') });
    const first = pidOf('mortal');
    rmSync(logs, { recursive: true }); // so that its log cannot be opened
    process.kill(first, 'SIGKILL');
    await eventually('its start has failed', () => said.some((line) => line.includes('(start of mortal')), 5_000);
    mkdirSync(logs);
    await eventually('it runs again', () => startTimeOf(pidOf('mortal')) !== undefined && pidOf('mortal') !== first);
  });

  test('a register that cannot be written keeps no program from running again, nor from being stopped', async () => {
    const full = () => {
      throw new Error('ENOSPC: no space left on device');
    };
    supervisor = createSupervisor({ add: full, remove: full });
    await supervisor.start('service', script(folder, 'mortal'));
    const first = pidOf('mortal');
    process.kill(first, 'SIGKILL');
    const second = await eventually('it runs again', () => pidOf('mortal') !== first && pidOf('mortal'));
    await supervisor.stop();
    expect(startTimeOf(second)).toBeUndefined();
    expect(said.join('')).toContain('An unexpected error in the launcher (register, no. 1); it goes on. Error: ENOSPC');
  });
});
