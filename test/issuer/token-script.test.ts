/** `npm run token`, as a person types it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { freePort } from '../../local/processes/ports.js';
import { eventually } from '../support/conditions.js';
import { cleanUp, createConformanceCheck, newFolder, startIssuer } from './support.js';

const SCRIPT = join(process.cwd(), 'local/token.mjs');
const started: number[] = [];
afterEach(async () => {
  for (const pid of started.splice(0)) process.kill(pid, 'SIGTERM');
  await cleanUp();
});

/** Not spawnSync: who answers it may be this very process. */
async function runScript(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, [SCRIPT, ...args], { env: { PATH: process.env['PATH'] ?? '', ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [status] = (await once(child, 'close')) as [number | null];
  const pid = /runs as process (\d+)/.exec(stderr)?.[1];
  if (pid) started.push(Number(pid));
  return { status, stdout, stderr, pid };
}

describe('npm run token', () => {
  it('starts the issuer, prints a token that the API takes and nothing else, and finds the issuer again', async () => {
    const port = await freePort();
    const env = { ISSUER_PORT: `${port}`, DATA_DIR: await newFolder() };
    const first = await runScript(env, '--role', 'operator');
    expect(first).toMatchObject({ status: 0, stdout: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+\n$/) });
    expect(first.stderr).toContain(`AUTH_ISSUER=http://127.0.0.1:${port} AUTH_AUDIENCE=order-saga`);
    const judge = createConformanceCheck({ url: `http://127.0.0.1:${port}`, port, close: async () => undefined });
    expect(await judge(first.stdout.trim())).toMatchObject({ subject: 'local-operator', roles: ['operator'] });

    const again = await runScript(env, '--role', 'customer', 'auditor', '--sub', 'cus_42', '--ttl', '8h');
    expect(again).toMatchObject({ status: 0, stderr: '', pid: undefined });
    expect(await judge(again.stdout.trim())).toMatchObject({ subject: 'cus_42', roles: ['customer', 'auditor'] });
    const { exp = 0, iat = 0 } = decodeJwt(again.stdout.trim());
    expect(exp - iat).toBe(8 * 3_600);

    process.kill(started.splice(0)[0] ?? 0, 'SIGTERM');
    await eventually('the issuer has gone', () =>
      fetch(`http://127.0.0.1:${port}`).then(
        () => false,
        () => true,
      ),
    );
  });

  it('says what is wrong with what was asked for', async () => {
    const issuer = await startIssuer(await newFolder());
    const ask = (...args: string[]) => runScript({ ISSUER_PORT: `${issuer.port}` }, ...args);
    expect(await ask('--role', 'operator', '--ttl', 'ever')).toMatchObject({ status: 1, stdout: '' });
    expect((await ask('--role', 'operator', '--ttl', 'ever')).stderr).toContain('`ttl` must be a duration');
    expect((await ask()).stderr).toContain("required option '--role <role...>'");
    const allowed = 'Allowed choices are customer, service, operator, auditor.';
    for (const args of [['nonsense'], ['operator', 'nonsense'], ['Operator'], ['']])
      expect(await ask('--role', ...args)).toMatchObject({
        status: 1,
        stdout: '',
        stderr: expect.stringContaining(allowed),
      });
    expect(await ask('--role', 'operator', '--for-ever')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining("unknown option '--for-ever'"),
    });
  });

  it('takes no token from another server on that port', async () => {
    const server = createServer((_, response) => void response.end('hello')).listen(0, '127.0.0.1');
    await eventually('it listens', () => server.listening);
    const { port } = server.address() as { port: number };
    const { status, stderr } = await runScript(
      { ISSUER_PORT: `${port}`, DATA_DIR: await newFolder() },
      '--role',
      'operator',
    );
    server.close();
    expect([status, stderr]).toEqual([1, expect.stringContaining('set ISSUER_PORT')]);
  });
});
