/** The issuer as it runs: dist/issuer/main.js, which `npm test` has built. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { freePort } from '../../local/processes/ports.js';
import { eventually } from '../support/conditions.js';
import { cleanUp, newFolder, startIssuer, tokenFor } from './support.js';

const MAIN = join(process.cwd(), 'dist/issuer/main.js');
const children: ChildProcess[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => stop(child, 'SIGKILL')));
  await cleanUp();
});

describe('the process', () => {
  it('keeps its keys, to itself, through kill -9', async () => {
    const folder = await newFolder();
    const first = await run({ DATA_DIR: folder });
    const token = await tokenFor(first, { sub: 'cus_42' });
    const file = join(folder, 'issuer/keys.json');
    expect(await modeOf(file)).toBe('600');
    expect(await modeOf(join(folder, 'issuer'))).toBe('700');

    await stop(first.child, 'SIGKILL');
    await chmod(file, 0o644);
    const second = await run({ DATA_DIR: folder });
    expect(await modeOf(file)).toBe('600');
    const again = await tokenFor(second, { sub: 'cus_42' });
    expect(decodeProtectedHeader(again).kid).toBe(decodeProtectedHeader(token).kid);
    expect(await stop(second.child, 'SIGTERM')).toBe(0);
  });

  it('publishes no private member of a key', async () => {
    const folder = await newFolder();
    const { url } = await run({ DATA_DIR: folder });
    const published = await (await fetch(`${url}/.well-known/jwks.json`)).text();
    const kept = JSON.parse(await readFile(join(folder, 'issuer/keys.json'), 'utf8')) as {
      keys: Record<string, string>[];
    };
    for (const key of kept.keys) {
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
        if (key[member] !== undefined) expect(published).not.toContain(key[member]);
      }
    }
  });

  it('names itself by the address at which others reach it', async () => {
    const issuer = await run({ DATA_DIR: await newFolder(), ISSUER_URL: 'http://issuer:12112/' });
    const document = (await (await fetch(`${issuer.url}/.well-known/openid-configuration`)).json()) as object;
    expect(document).toMatchObject({
      issuer: 'http://issuer:12112',
      jwks_uri: 'http://issuer:12112/.well-known/jwks.json',
    });
    expect(decodeJwt(await tokenFor(issuer, { sub: 'a' })).iss).toBe('http://issuer:12112');
    expect(await (await fetch(issuer.url)).text()).toContain('Never run it where strangers can reach it.');
  });

  it('refuses to serve beyond loopback unless configured that only its owner can reach it', async () => {
    const { child, output } = launch({ DATA_DIR: await newFolder(), HOST: '0.0.0.0' });
    expect(await exitOf(child)).toBe(78);
    expect(output()).toContain('ISSUER_ALLOW_REMOTE=true');
  });

  it('names the variable of a port that is taken', async () => {
    const { port } = await startIssuer(await newFolder());
    const { child, output } = launch({ DATA_DIR: await newFolder(), ISSUER_PORT: String(port) });
    expect(await exitOf(child)).toBe(78);
    expect(output()).toContain(`ISSUER_PORT ${port} is taken.`);
  });
});

async function run(env: Record<string, string>) {
  const port = await freePort();
  const { child, output } = launch({ ISSUER_PORT: String(port), ...env });
  await eventually('the issuer is ready', () => {
    if (child.exitCode !== null) throw new Error(output());
    return output().includes('is ready');
  });
  return { child, port, url: `http://127.0.0.1:${port}`, close: async () => {} };
}

function launch(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], { env: { PATH: process.env['PATH'] ?? '', ...env } });
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  return { child, output: () => output };
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  return exitOf(child);
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
