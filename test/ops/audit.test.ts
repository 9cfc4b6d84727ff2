/** What the CLI does is on record, and `ops audit verify`: real processes, a key and an anchor of their own. There is no API, and no Temporal. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { holdAccount } from '../../domain/installation.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { anchorOnce, openState } from '../../relay/audit-guard.js';
import { SILENT } from '../support/api.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Cli, cliOf } from './cli.js';

const KEY = 'k'.repeat(32);
let t: TestDatabase;
let folder: string;
let anchorFile: string;
let ops: Cli;
const cliWith = (extra: NodeJS.ProcessEnv) =>
  cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } }, { DATA_DIR: folder, ...extra });
const anchor = async () => {
  const guard = { db: t.db, keys: auditKeys([KEY]), anchorFile, callsRetentionMs: 1, logger: SILENT };
  await anchorOnce(guard, openState(guard));
};
const tamper = async (statement: string) => {
  await t.db.$executeRawUnsafe('ALTER TABLE audit_acts DISABLE TRIGGER USER');
  await t.db.$executeRawUnsafe(statement);
  await t.db.$executeRawUnsafe('ALTER TABLE audit_acts ENABLE TRIGGER USER');
};
const acts = () => t.db.auditAct.findMany({ orderBy: { id: 'asc' }, where: { kind: { in: ['act', 'outcome'] } } });

beforeAll(async () => {
  t = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'ops-audit-'));
  anchorFile = join(folder, 'anchor');
  ops = cliWith({ AUDIT_KEY: KEY, AUDIT_ANCHOR_FILE: anchorFile });
  await stock(t.db, 'A', 1_000);
});
afterAll(async () => {
  await t.drop();
  await rm(folder, { recursive: true });
});

test('what an operator does from the CLI is on record, with what stood before and after', async () => {
  const order = await accept(t.db, { A: 1 });
  expect((await ops('cancel', order.id, '--reason', 'recalled', '--operator', 'op-7', '--yes')).code).toBe(0);
  await holdAccount(t.db, 'restored');
  expect((await ops('adopt', '--reason', 'it is this one', '--yes')).code).toBe(0);
  await ops('cancel', order.id, '--reason', 'again', '--yes'); // was cancelled before: changes nothing
  expect(await acts()).toMatchObject([
    {
      kind: 'act',
      subject: 'op-7',
      route: 'ops cancel',
      resource: order.id,
      reason: 'recalled',
      before: { status: 'PENDING', unwindingReason: null },
      after: { unwindingReason: 'OPERATOR' },
    },
    {
      kind: 'act',
      subject: 'op-test',
      route: 'ops adopt',
      reason: 'it is this one',
      before: { heldBecause: 'restored' },
      after: { heldSince: null },
    },
  ]);
});

test('what cannot be recorded is not done', async () => {
  const order = await accept(t.db, { A: 1 });
  const unwinding = async () => (await t.db.order.findUniqueOrThrow({ where: { id: order.id } })).unwindingReason;
  const stranger = cliWith({ AUDIT_KEY: 'o'.repeat(32) });
  const { code, stdout } = await stranger('cancel', order.id, '--reason', 'recalled', '--yes');
  expect(code).toBe(1);
  expect(stdout).toContain('the audit chain is signed with the key');
  expect(await unwinding()).toBeNull();
  await t.db.$executeRaw`ALTER TABLE audit_acts RENAME TO audit_away`;
  expect((await ops('cancel', order.id, '--reason', 'recalled', '--yes')).code).toBe(1);
  await t.db.$executeRaw`ALTER TABLE audit_away RENAME TO audit_acts`;
  expect(await unwinding()).toBeNull();
});

test('verify ends with 0 when all is whole, and says to where', async () => {
  await anchor();
  const { code, document } = await ops.json('audit', 'verify');
  expect(code).toBe(0);
  expect(document).toMatchObject({ whole: true, flaw: null, keyed: true, checked: { acts: 3 }, anchor: { id: 3 } });
  const { stdout } = await ops('audit', 'verify');
  expect(stdout).toContain('The audit trail is whole: 3 acts, anchored to entry 3');
});

test('verify names the first entry that is not in order', async () => {
  const [, last] = await acts();
  await tamper(`UPDATE audit_acts SET before = '{}' WHERE id = 2`);
  const { code, document } = await ops.json('audit', 'verify');
  expect(code).toBe(1);
  expect(document).toMatchObject({ whole: false, flaw: { table: 'acts', id: 2, what: 'changed' } });
  await tamper(`UPDATE audit_acts SET before = '{"status": "PENDING", "unwindingReason": null}' WHERE id = 2`);
  expect((await ops('audit', 'verify')).code).toBe(0);
  await tamper(`DELETE FROM audit_acts WHERE id = ${last?.id}`);
  const { code: cut, stdout } = await ops('audit', 'verify');
  expect(cut).toBe(1);
  expect(stdout).toContain(`act ${last?.id} (cut-off)`);
});

test('verify does not pretend without what it needs', async () => {
  expect(await cliWith({})('audit', 'verify')).toMatchObject({ code: 2, stderr: expect.stringContaining('AUDIT_KEY') });
  const lost = cliWith({ AUDIT_KEY: KEY, AUDIT_ANCHOR_FILE: join(folder, 'nowhere') });
  expect(await lost('audit', 'verify')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('There is no anchor'),
  });
  await writeFile(join(folder, 'bad'), 'x');
  const bad = cliWith({ AUDIT_KEY: KEY, AUDIT_ANCHOR_FILE: join(folder, 'bad') });
  expect(await bad('audit', 'verify')).toMatchObject({ code: 2, stderr: expect.stringContaining('is not an anchor') });
  expect(await cliWith({ AUDIT_KEY: 'short' })('audit', 'verify')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('AUDIT_KEY'),
  });
});

test('the key and the anchor of `npm start` are found in DATA_DIR', async () => {
  await writeFile(join(folder, 'audit-key'), `${KEY}\n`);
  await writeFile(join(folder, 'database-url'), `${t.url}\n`);
  await writeFile(join(folder, 'audit-anchor'), JSON.stringify({ id: 9, hash: 'x', calls: 0, at: 'then' }));
  const { code, stdout } = await cliWith({})('audit', 'verify');
  expect(code).toBe(1);
  expect(stdout).toContain('entry 9 was anchored');
  await rm(join(folder, 'audit-anchor'));
  const whole = await cliWith({})('audit', 'verify');
  expect(whole).toMatchObject({ code: 0, stderr: expect.stringContaining('No anchor is known') });
});
