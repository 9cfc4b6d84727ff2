/** A DATABASE_URL that leads nowhere: each of our programs says so in a sentence that an operator can act on. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { closedPort } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const PASSWORD = 'hidden-7f3a';
let t: TestDatabase;
let dataDir: string;
beforeAll(async () => {
  t = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'order-saga-refused-'));
});
afterAll(async () => {
  await t.drop();
  await rm(dataDir, { recursive: true });
});

function start(args: string[], databaseUrl: string, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = { said: '', code: undefined as number | null | undefined, kill: () => child.kill('SIGKILL') };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (run.said += chunk));
  child.once('close', (code) => (run.code = code));
  return run;
}
const ended = (run: ReturnType<typeof start>) =>
  eventually('it has ended', () => run.code !== undefined, 50_000).catch((err: unknown) => {
    run.kill();
    throw new Error(`${String(err)}\n${run.said}`);
  });

const WRONG: [string, (url: URL) => Promise<string> | string, string][] = [
  ['with a wrong password', (url) => Object.assign(url, { password: PASSWORD }).href, 'password'],
  ['of a database that is not there', (url) => Object.assign(url, { pathname: '/none' }).href, 'none'],
  ['that is none', () => `postgresql://u:${PASSWORD}@[h/none`, 'URL'],
  ['of another kind', () => `mysql://u:${PASSWORD}@h/none`, 'postgresql://'],
];
const AWAY: (typeof WRONG)[number] = [
  'at which no server listens',
  async (url) => Object.assign(url, { password: PASSWORD, port: `${await closedPort()}` }).href,
  'does not answer (ECONNREFUSED)',
];
const PROGRAMS: [string, string[], number[]][] = [
  ['the service', ['dist/service/main.js'], [78]],
  ['the CLI', ['dist/ops/main.js', 'stock'], [2, 69]],
  ['npm start', ['local/start.mjs'], [1]],
];

describe.each(PROGRAMS)('%s', (name, args, codes) => {
  test.each(name === 'the service' ? WRONG : [...WRONG, AWAY])('on a URL %s', async (_, spoil, says) => {
    const temporal = `127.0.0.1:${await closedPort()}`;
    const ports = { PORT: `${await closedPort()}`, METRICS_PORT: '0', SANDBOX_PORT: `${await closedPort()}` };
    const env = { ...ports, DATA_DIR: dataDir, TEMPORAL_ADDRESS: temporal, STRIPE_API_KEY: 'sk_test_x' };
    const run = start(args, await spoil(new URL(t.url)), env);
    await ended(run);
    expect(codes).toContain(run.code);
    expect(run.said).toContain('DATABASE_URL');
    expect(run.said).toContain(says);
    expect(run.said).not.toContain(PASSWORD);
    expect(run.said).not.toMatch(/^\s+at /m);
  });
});

describe('migrate', () => {
  test.each([...WRONG, AWAY])('on a URL %s', async (_, spoil) => {
    const run = start(['prisma/cli.mjs', 'migrate', 'deploy'], await spoil(new URL(t.url)), {});
    await ended(run);
    // A database that is not there is made by it, as Prisma's own would.
    if (run.code !== 0) {
      expect(run.said).toContain('DATABASE_URL');
      expect(run.said).not.toMatch(/^\s+at /m);
    }
    expect(run.said).not.toContain(PASSWORD);
  });
});

test('a service whose database does not answer yet says so in a sentence, and goes on', async () => {
  const url = Object.assign(new URL(t.url), { port: `${await closedPort()}` }).href;
  const env = { ROLE: 'relay', METRICS_PORT: '0', TEMPORAL_ADDRESS: `127.0.0.1:${await closedPort()}` };
  const run = start(['dist/service/main.js'], url, env);
  try {
    await eventually('it says so', () => /DATABASE_URL: Postgres at \S+ does not answer/.test(run.said), 30_000);
    expect(run.code).toBeUndefined();
  } finally {
    run.kill();
  }
});
