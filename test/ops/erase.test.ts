/** `ops erase` and `ops erasures`, with the eraser that ships and no API anywhere near. */
import { generateKeyPairSync } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { confirm, type Stage, startStage } from '../erasure/stage.js';
import { readPostgres } from '../../api/overview/facts.js';
import { causesOfPostgres } from '../../api/overview/postgres-causes.js';
import { type Cli, cliOf } from './cli.js';

const AUDIT_KEY = 'a-key-of-the-audit-trail-that-is-long-enough';
const folder = mkdtempSync(join(tmpdir(), 'order-saga-erase-'));
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

let s: Stage;
let ops: Cli;
let signed: Cli;
beforeAll(async () => {
  s = await startStage();
  const to = { databaseUrl: s.api.databaseUrl, env: { address: '127.0.0.1:1' } };
  ops = cliOf(to, { AUDIT_KEY });
  const ERASURE_SIGNING_KEY = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  signed = cliOf(to, { AUDIT_KEY, ERASURE_SIGNING_KEY });
});
afterAll(() => s.stop());

const REASON = ['--reason', 'ticket 4711', '--yes'];

test('a customer is erased, and followed to the certificate, which can be verified', async () => {
  const order = await s.place('cus_cli', 'cli-1');
  const asked = await ops.json('erase', 'cus_cli', ...REASON);
  expect(asked).toMatchObject({
    code: 0,
    document: { state: 'waiting', requestedBy: 'op-test', reason: 'ticket 4711' },
  });
  const { id } = asked.document;
  expect((await ops.json('erase', 'cus_cli', ...REASON)).document.id).toBe(id);
  await s.erase();
  expect((await ops('erasures')).stdout).toMatch(new RegExp(`${id}.*waiting.*1 orders: pending ${order.id}.*op-test`));
  await confirm(s, order);
  await s.until(id, 'done');
  const { stdout } = await ops('erasures', 'show', id);
  expect(stdout).toMatch(/orders +1\n/);
  expect(stdout).not.toContain('cus_cli');

  const { document } = await ops.json('erasures', 'show', id);
  const certificate = file('certificate.json', JSON.stringify(document.certificate));
  expect(await ops('erasures', 'verify', file('whole.json', JSON.stringify(document)))).toMatchObject({ code: 2 });
  expect(await ops('erasures', 'verify', certificate)).toMatchObject({ code: 0 });
  document.certificate.erased.orders = 2;
  expect(await ops('erasures', 'verify', file('changed.json', JSON.stringify(document.certificate)))).toMatchObject({
    code: 1,
  });
  const foreign = cliOf(
    { databaseUrl: s.api.databaseUrl, env: { address: '127.0.0.1:1' } },
    { AUDIT_KEY: 'x'.repeat(40) },
  );
  expect((await foreign('erasures', 'verify', certificate)).stdout).toContain('is not known here');
});

test('a certificate that is signed with a key pair is verified by the public half alone', async () => {
  const { document } = await signed.json('erase', 'cus_nobody', ...REASON);
  expect(document).toMatchObject({ state: 'done', found: false, certificate: { signature: { algorithm: 'Ed25519' } } });
  const certificate = file('pair.json', JSON.stringify(document.certificate));
  const pem = file('public.pem', publicKey.export({ type: 'spki', format: 'pem' }).toString());
  expect(await ops('erasures', 'verify', certificate, '--public-key', pem)).toMatchObject({ code: 0 });
  const other = file(
    'other.pem',
    generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  );
  expect(await ops('erasures', 'verify', certificate, '--public-key', other)).toMatchObject({ code: 1 });
});

test('the public half is made by the command of the page, from the private one', async () => {
  const command = /base64 -d .*openssl pkey .*/.exec(readFileSync('docs/erasure.md', 'utf8'))?.[0] ?? '';
  expect(command).toContain('> erasure.pub.pem');
  const secret = spawnSync('sh', [
    '-c',
    /openssl genpkey [^`\n]*base64 -w0/.exec(readFileSync('docs/erasure.md', 'utf8'))?.[0] ?? 'false',
  ]);
  const ERASURE_SIGNING_KEY = secret.stdout.toString();
  const made = spawnSync('sh', ['-c', `printf %s "$ERASURE_SIGNING_KEY" | ${command}`], {
    cwd: folder,
    env: { ...process.env, ERASURE_SIGNING_KEY },
  });
  expect([made.status, made.stderr.toString()]).toEqual([0, '']);
  const signing = cliOf(
    { databaseUrl: s.api.databaseUrl, env: { address: '127.0.0.1:1' } },
    { AUDIT_KEY, ERASURE_SIGNING_KEY },
  );
  const { document } = await signing.json('erase', 'cus_nobody', ...REASON);
  const certificate = file('made.json', JSON.stringify(document.certificate));
  expect(await ops('erasures', 'verify', certificate, '--public-key', join(folder, 'erasure.pub.pem'))).toMatchObject({
    code: 0,
  });
});

test('a public key that is given for a certificate by HMAC is refused, which says what that is', async () => {
  const { document } = await ops.json('erase', 'cus_nobody', ...REASON);
  const certificate = file('hmac.json', JSON.stringify(document.certificate));
  const pem = file('of-nothing.pem', publicKey.export({ type: 'spki', format: 'pem' }).toString());
  const { code, stdout, stderr } = await ops('erasures', 'verify', certificate, '--public-key', pem);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/signed by HMAC with the key of the audit trail, which has no public half/);
});

test('what makes no sense is refused in a sentence', async () => {
  expect(await ops('erase', 'cus_cli', '--yes')).toMatchObject({ code: 2 });
  expect(await ops('erase', 'cus_cli', '--yes', '--reason', 'erika@example.com asks')).toMatchObject({ code: 2 });
  expect((await ops('erase', 'cus_cli', '--reason', 'ticket 1')).stderr).toContain('--yes');
  expect(await ops('erasures', 'show', 'nothing')).toMatchObject({ code: 2 });
  expect((await ops('erasures', 'show', '01a1fc4b-2622-70f0-8b6b-725674f9c1d0')).code).not.toBe(0);
  expect(await ops('erasures', 'verify', file('no.json', '{}'))).toMatchObject({ code: 2 });
  expect((await ops('erasures', 'verify', join(folder, 'none.json'))).stderr).toContain('ENOENT');
  const broken = cliOf(
    { databaseUrl: s.api.databaseUrl, env: { address: '127.0.0.1:1' } },
    { ERASURE_SIGNING_KEY: 'x' },
  );
  const { code, stderr } = await broken('erasures');
  expect([code, stderr]).toEqual([2, expect.stringContaining('ERASURE_SIGNING_KEY')]);
});

test('doctor has a line of what is open, and warns before the deadline', async () => {
  await s.place('cus_late', 'late-1');
  await ops('erase', 'cus_late', ...REASON);
  const lineOf = async (...args: string[]) =>
    (await ops.json('doctor', '--no-probe', ...args)).document.checks.find(
      ({ name }: { name: string }) => name === 'erasures',
    );
  expect(await lineOf()).toMatchObject({ status: 'ok', detail: expect.stringContaining('1 waiting') });
  // A journal that cannot be written is told at once, by whoever looks, and until it can be.
  const { body: late } = await s.ask('cus_late');
  const amid: unknown[] = [];
  const note = async ({ erasureId }: { erasureId: string }) => {
    if (erasureId === late.id) amid.push((await s.read(late.id)).stalledBy);
    throw Object.assign(new Error('EACCES'), { name: 'JournalAway' });
  };
  for (const _ of [1, 2]) {
    await s.erase(undefined, { note }).catch(() => undefined);
    expect(await s.read(late.id)).toMatchObject({ state: 'waiting', stalledBy: 'erasure-journal', waitingForCount: 1 });
  }
  expect(amid).toEqual([null, 'erasure-journal']); // also while it is tried again: an alarm would begin anew
  expect(await lineOf()).toMatchObject({
    status: 'fail',
    detail: expect.stringContaining('journal cannot be written'),
  });
  const facts = await readPostgres(s.db, 86_400_000);
  expect(causesOfPostgres(facts).filter(({ kind }) => kind === 'erasures')).toMatchObject([
    { count: 1, severity: 'bad', title: expect.stringContaining('ERASURE_JOURNAL'), of: { cause: 'erasure-journal' } },
  ]);
  await s.erase(undefined, { note: async () => undefined });
  expect((await s.read(late.id)).stalledBy).toBe(null);
  expect(await lineOf()).toMatchObject({ status: 'ok' });
  await s.db.$executeRaw`UPDATE erasures SET requested_at = now() - interval '24 days' WHERE state <> 'done'`;
  expect(await lineOf()).toMatchObject({ status: 'warn', detail: expect.stringContaining('ops erasures') });
  await s.db.$executeRaw`UPDATE erasures SET requested_at = now() - interval '31 days' WHERE state <> 'done'`;
  expect(await lineOf()).toMatchObject({ status: 'fail', detail: expect.stringContaining('past its deadline') });
});
