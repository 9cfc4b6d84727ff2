/** `ops keys` as operators run it: which keys are in use, and their rotation, with texts that must stay readable. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { destroyCustomerKeys } from '../../domain/sealing/customer-keys.js';
import { createDataKeys } from '../../domain/sealing/data-keys.js';
import { createSealing } from '../../domain/sealing/sealing.js';
import { openKeyFile } from '../../gateways/key-encryption/file.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { keyLine, writeKeyFile } from '../support/keys.js';
import { type Cli, cliOf } from './cli.js';

const [OLD, NEW] = [keyLine('old'), keyLine('new')];
const file = writeKeyFile([OLD]);
let t: TestDatabase;
let ops: Cli;
beforeAll(async () => {
  t = await createTestDatabase();
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } }, { KEY_ENCRYPTION: `file:${file}` });
});
afterAll(() => t?.drop());

/** A process that has nothing in memory. */
const sealing = () => createSealing(createDataKeys(t.db, openKeyFile(file), { customersMax: 1_000, ttlMs: 60_000 }));
const placeOf = (reference: string) => ({ table: 'orders', column: 'cancellation_message', row: reference, reference });
const customers = Array.from({ length: 25 }, () => randomUUID());
const sealed = new Map<string, string>();
const assertReadable = async () => {
  const reader = sealing();
  for (const [reference, stored] of sealed)
    expect(await reader.open(stored, placeOf(reference))).toBe(`of ${reference}`);
};

test('a rotation of the key-encryption key leaves every text readable, and the old key may go when it wraps nothing', async () => {
  for (const reference of customers) sealed.set(reference, await sealing().seal(`of ${reference}`, placeOf(reference)));
  expect((await ops.json('keys')).document).toEqual({
    current: 'file:old',
    keys: [{ key: 'file:old', wraps: 25, isCurrent: true }],
    erasedCustomers: 0,
  });
  writeKeyFile([NEW, OLD], file);
  const erased = customers.pop() as string;
  await destroyCustomerKeys(t.db, erased);
  sealed.delete(erased);

  const { code, document, stderr } = await ops.json('keys', 'rewrap', '--batch', '10', '--yes');
  expect([code, document]).toEqual([0, { current: 'file:new', rewrapped: 24, failed: 0 }]);
  expect(stderr).toContain('10 of 24');
  await assertReadable();
  expect((await ops.json('keys')).document).toEqual({
    current: 'file:new',
    keys: [{ key: 'file:new', wraps: 24, isCurrent: true }],
    erasedCustomers: 1,
  });
  expect((await ops.json('keys', 'rewrap', '--yes')).document).toMatchObject({ rewrapped: 0 });
  writeKeyFile([NEW], file);
  await assertReadable();
  const acts = await t.db.auditAct.findMany({ where: { route: 'ops keys rewrap' }, orderBy: { id: 'asc' } });
  expect(acts).toMatchObject([
    { kind: 'act', subject: 'op-test', resource: 'file:new', before: { due: 24 } },
    { kind: 'outcome', after: { rewrapped: 24, failed: 0 } },
  ]);
});

test('a key that is removed too early is named, nothing is changed, and all is well once it is back', async () => {
  const third = keyLine('third');
  writeKeyFile([third], file);
  const listed = await ops('keys');
  expect(listed.code).toBe(1);
  expect(listed.stdout).toMatch(
    /file:new +24 +to be rewrapped +The key "file:new" .* is not in the key file: put it back/,
  );
  const failed = await ops.json('keys', 'rewrap', '--yes');
  expect([failed.code, failed.document]).toMatchObject([
    1,
    { rewrapped: 0, failed: 24, reason: expect.stringContaining('put it back') },
  ]);
  writeKeyFile([third, NEW], file);
  expect((await ops.json('keys', 'rewrap', '--yes')).document).toMatchObject({ rewrapped: 24, failed: 0 });
  await assertReadable();
});

test('a customer’s key gets a further version, which seals from then on, and all customers’ do', async () => {
  const [first = ''] = customers;
  expect((await ops.json('keys', 'rotate', '--customer', first, '--yes')).document).toEqual({ renewed: 1 });
  expect(await sealing().seal('x', placeOf(first))).toMatch(/^sealed:v1:2:/);
  const all = await ops.json('keys', 'rotate', '--all', '--batch', '7', '--yes');
  expect([all.code, all.document]).toEqual([0, { renewed: 24 }]); // the erased customer gets none
  await assertReadable();
  const since = (await t.db.$queryRaw`SELECT max(created_at) AS at FROM customer_keys WHERE version = 1`) as [
    { at: Date },
  ];
  const again = await ops.json('keys', 'rotate', '--all', '--made-before', since[0].at.toISOString(), '--yes');
  expect(again.document).toEqual({ renewed: 0 });
});

test.each([
  [['rotate', '--yes'], 2, 'Say --customer, or --all.'],
  [['rotate', '--customer', 'cus_nobody', '--yes'], 3, 'This customer has no key'],
  [['rotate', '--all', '--made-before', 'yesterday', '--yes'], 2, '--made-before must be a moment'],
  [['make', '--file', '/nowhere/keys'], 2, '/nowhere/keys cannot be written (ENOENT)'],
])('ops keys %j says what is wrong', async (args, code, sentence) => {
  const answer = await ops('keys', ...args);
  expect([answer.code, answer.stderr]).toEqual([code, expect.stringContaining(sentence)]);
});

test('where encryption is off the keys are listed, and nothing can be rotated', async () => {
  const off = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  expect((await off('keys')).stdout).toContain('KEY_ENCRYPTION is off here');
  expect(await off('keys', 'rewrap', '--yes')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('KEY_ENCRYPTION is off here'),
  });
});

test('a key file is made once, readable by its owner alone, and a new key goes before the others', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'keys-')), 'customer-keys');
  const made = await ops.json('keys', 'make', '--file', path, '--if-missing');
  expect(made.document).toMatchObject({ made: true });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const [first] = readFileSync(path, 'utf8').split('\n');
  expect((await ops.json('keys', 'make', '--file', path, '--if-missing')).document).toMatchObject({ made: false });
  expect((await ops.json('keys', 'make', '--file', path)).document).toMatchObject({ made: true });
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  expect(lines).toEqual([expect.any(String), first]);
  expect(lines[0]).not.toBe(first);
  expect(made.stderr).not.toContain(first?.split(' ')[1] ?? '?');
});

test('in a database that had customers clients’ ids are sealed once an operator says so, which is on record', async () => {
  await t.db
    .$executeRaw`INSERT INTO customers (reference, lookup, client_id) VALUES (gen_random_uuid(), '\\x01', 'cus_before')`;
  const before = await ops('keys', 'seal');
  expect([before.code, before.stderr + before.stdout]).toEqual([0, expect.stringContaining('(--begin)')]);
  const begun = await ops.json('keys', 'seal', '--begin', '--yes', '--reason', 'all have keys');
  expect(begun).toMatchObject({
    code: 0,
    document: { begun: true, passes: [{ what: 'customers', doneAt: null }, { what: 'orders' }] },
  });
  expect((await ops.json('keys', 'seal', '--begin', '--yes')).document).toMatchObject({ begun: true });
  const acts = await t.db.auditAct.findMany({ where: { route: 'ops keys seal --begin' } });
  expect(acts).toMatchObject([{ subject: 'op-test', after: { clientIds: 'sealed' } }]);
});
