/** Postgres over TLS, with a certificate of an authority that only we know, as deploy/README.md says how to have it. */
import { chownSync, copyFileSync, chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isNotNow } from '../../domain/database.js';
import { throwawayPlace } from '../../local/postgres/place.js';
import { type ClusterOptions, databaseUrl, preparePostgres } from '../../local/postgres/server.js';
import { runToEnd } from '../../local/processes/command.js';
import { freePort } from '../../local/processes/ports.js';
import { type Running, start } from '../../local/processes/program.js';
import { unprivilegedUser } from '../../local/processes/unprivileged.js';
import { protectionOf } from '../../prisma/session.mjs';
import { openDatabase } from '../../runtime/database.js';
import { checkDatabase } from '../../runtime/database-check.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { cleanEnv, runCli } from '../ops/cli.js';
import { type Authority, createAuthority } from '../support/authority.js';

let authority: Authority;
let stranger: Authority;
let place: string;
let server: Running;
let port: number;
const PASSWORD = 'hidden-4711';
const CERTIFIED = 'certified';

beforeAll(async () => {
  [authority, stranger] = await Promise.all([createAuthority('DNS:localhost'), createAuthority('DNS:localhost')]);
  const user = unprivilegedUser();
  place = throwawayPlace(user);
  port = await freePort();
  const cluster: ClusterOptions = {
    place,
    user,
    port,
    logFile: join(place, 'log'),
    password: PASSWORD,
    durable: false,
  };
  const program = await preparePostgres(cluster);
  const names = ['server.key', 'server.crt', 'ca.crt'];
  const [key, certificate, ca] = names.map((name) => join(place, name)) as [string, string, string];
  copyFileSync(authority.key, key);
  copyFileSync(authority.certificate, certificate);
  copyFileSync(authority.ca, ca);
  for (const file of [key, certificate, ca]) {
    chmodSync(file, 0o600); // Postgres takes no key that others may read
    if (user !== undefined) chownSync(file, user.uid, user.gid);
  }
  const tls = [`ssl_key_file=${key}`, `ssl_cert_file=${certificate}`, `ssl_ca_file=${ca}`, 'ssl=on'].flatMap((each) => [
    '-c',
    each,
  ]);
  // This role has no password: it comes with a certificate that bears its name, or not at all.
  const access = join(place, 'cluster', 'pg_hba.conf');
  writeFileSync(access, `hostssl all ${CERTIFIED} all cert\n${readFileSync(access, 'utf8')}`);
  server = await start({ ...program, args: [...program.args, ...tls] });
}, 120_000);
afterAll(async () => {
  await server?.stop(10_000);
  rmSync(place, { recursive: true, force: true });
  authority.remove();
  stranger.remove();
});

type Wanted = { host?: string; mode?: string; ca?: string };
/** The certificate is for localhost alone. */
function url({ host = 'localhost', mode = 'verify-full', ca = authority.ca }: Wanted = {}): string {
  const at = new URL(databaseUrl(port, 'postgres', PASSWORD, 'postgres'));
  at.hostname = host;
  at.search = `?sslmode=${mode}${ca === '' ? '' : `&sslrootcert=${encodeURIComponent(ca)}`}`;
  return at.href;
}

test('with verify-full and the authority’s file, sessions are encrypted', async () => {
  const db = openDatabase(url(), 2);
  try {
    const rows = await db.$queryRaw`SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
    expect(rows).toEqual([{ ssl: true, version: 'TLSv1.3' }]);
  } finally {
    await db.$disconnect();
  }
});

describe.each(['verify-full', 'verify-ca', 'require'])('sslmode=%s verifies:', (mode) => {
  test.each<[string, Wanted, RegExp]>([
    ['another authority’s certificate', { ca: '' }, /unable to verify|self.signed|unable to get/],
    ['a certificate for another host', { host: '127.0.0.1' }, /altnames/],
  ])('%s is refused, in a sentence without the password', async (_, wanted, says) => {
    const other = wanted.ca === undefined ? wanted : { ...wanted, ca: stranger.ca };
    for (const each of [wanted, other]) {
      const failure = await checkDatabase(url({ mode, ...each }));
      expect(failure).toMatchObject({ isFinal: true });
      expect(failure?.sentence).toMatch(/^DATABASE_URL: no TLS connection can be had/);
      expect(failure?.sentence).toMatch(says);
      expect(failure?.sentence).not.toContain(PASSWORD);
    }
  });
});

test.each<[string, () => string]>([
  ['a certificate of another authority', () => url({ ca: stranger.ca })],
  ['a certificate for another host', () => url({ host: '127.0.0.1' })],
  ['a server that has no TLS', () => `${process.env['TEST_DATABASE_ADMIN_URL']}?sslmode=verify-full`],
])('%s may be mended while a process runs: no refusal of Postgres', async (_, wrong) => {
  const db = openDatabase(wrong(), 1);
  for (const ask of [() => db.$queryRaw`SELECT 1`, () => db.inventory.count()]) {
    const failure = await (async () => ask())().catch((err: unknown) => err);
    expect([isNotNow(failure), sentenceOf(failure)]).toEqual([true, expect.any(String)]);
  }
  await db.$disconnect();
});

test('a server that has no TLS is not spoken to in plain text instead', async () => {
  const plain = new URL(String(process.env['TEST_DATABASE_ADMIN_URL']));
  plain.search = '?sslmode=verify-full';
  expect(await checkDatabase(plain.href)).toMatchObject({ isFinal: true, sentence: expect.stringContaining('SSL') });
});

test('what does not verify is told apart from what does', () => {
  const tlsOf = (mode: string) => protectionOf(url({ mode, host: 'db.example' }), {}).tls;
  expect(['verify-full', 'verify-ca', 'require'].map(tlsOf)).toEqual(['verified', 'verified', 'verified']);
  expect(['no-verify', 'require&uselibpqcompat=true'].map(tlsOf)).toEqual(['unverified', 'unverified']);
  expect(['prefer', 'allow', 'disable'].map(tlsOf)).toEqual(['none', 'none', 'none']);
});

test('with a client’s certificate instead of a password; a new one is used from the next session on', async () => {
  const admin = openDatabase(url(), 1);
  await admin.$executeRawUnsafe(`CREATE ROLE ${CERTIFIED} LOGIN`);
  await admin.$disconnect();
  const [key, certificate] = ['client.key', 'client.crt'].map((name) => join(place, name)) as [string, string];
  const install = (from: { key: string; certificate: string }) => {
    for (const [source, target] of [
      [from.key, key],
      [from.certificate, certificate],
    ] as const)
      writeFileSync(target, readFileSync(source), { mode: 0o600 });
  };
  const at = new URL(url());
  Object.assign(at, { username: CERTIFIED, password: '' });
  expect(await checkDatabase(at.href)).toMatchObject({ isFinal: true });
  at.searchParams.set('sslcert', certificate);
  at.searchParams.set('sslkey', key);
  install(await stranger.certify(CERTIFIED));
  const db = openDatabase(at.href, 2);
  const whoAmI = () => db.$queryRaw`SELECT current_user::text AS name`;
  await expect(whoAmI()).rejects.toThrow();
  install(await authority.certify(CERTIFIED));
  expect(await whoAmI()).toEqual([{ name: CERTIFIED }]);
  for (const wrong of [await authority.certify('somebody-else'), await stranger.certify(CERTIFIED)]) {
    install(wrong);
    expect(await checkDatabase(at.href)).toMatchObject({ isFinal: true });
    expect(await whoAmI()).toEqual([{ name: CERTIFIED }]); // in the session that there was
  }
  install(await authority.certify(CERTIFIED));
  // Both connections at once: the second one begins with the new certificate.
  expect(await Promise.all([whoAmI(), whoAmI()])).toHaveLength(2);
  await db.$disconnect();
});

describe('our other programs', () => {
  const migrate = (DATABASE_URL: string, more: NodeJS.ProcessEnv = {}) =>
    runToEnd(process.execPath, ['prisma/cli.mjs', 'migrate', 'deploy'], {
      env: { ...cleanEnv(), ...more, DATABASE_URL },
    });

  test('migrate and operate over it, by the authority’s file in the URL or in NODE_EXTRA_CA_CERTS', async () => {
    expect((await migrate(url())).failure).toBeUndefined();
    expect((await migrate(url({ ca: '' }), { NODE_EXTRA_CA_CERTS: authority.ca })).failure).toBeUndefined();
    const { stderr } = await runCli(['stock'], { ...cleanEnv(), DATABASE_URL: url() });
    expect(stderr).toBe('The catalogue is empty.\n');
  });

  test.each<[string, () => string]>([
    ['another authority', () => url({ ca: stranger.ca })],
    ['another host', () => url({ host: '127.0.0.1' })],
  ])('refuse the certificate of %s', async (_, wrong) => {
    expect((await migrate(wrong())).failure).toBeDefined();
    const { code, stderr } = await runCli(['stock'], { ...cleanEnv(), DATABASE_URL: wrong() });
    expect([code, stderr]).toEqual([2, expect.stringContaining('no TLS connection can be had')]);
  });
});
