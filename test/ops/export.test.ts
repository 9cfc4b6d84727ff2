/** A customer's data for a request of theirs, while the API may be down: whole, readable by the operator alone, and on record. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Cli, cliOf } from './cli.js';

let t: TestDatabase;
let ops: Cli;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'export-'));
  t = await createTestDatabase();
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  await stock(t.db, 'A', 1_000);
  for (let i = 0; i < 3; i++) await accept(t.db, { A: 1 }, { customerId: 'cus_asks' });
});
afterAll(async () => {
  await t.drop();
  rmSync(folder, { recursive: true });
});

test('all of it goes to stdout, or to a new file that nobody else may read', async () => {
  const { code, stdout } = await ops('export', 'cus_asks');
  expect({ code, document: JSON.parse(stdout) }).toMatchObject({
    code: 0,
    document: { customerId: 'cus_asks', count: 3, complete: true },
  });
  const file = join(folder, 'cus_asks.json');
  expect((await ops('export', 'cus_asks', '--to', file)).code).toBe(0);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ count: 3, complete: true });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await ops('export', 'cus_asks', '--to', file);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('name a file that is not there yet') });
});

test('it is on record, without the id that the shop has', async () => {
  const entries = await t.db.auditCall.findMany({ where: { route: 'ops export' } });
  expect(entries.length).toBeGreaterThan(0);
  for (const { subject, kind, resource } of entries) {
    expect({ subject, kind }).toEqual({ subject: 'op-test', kind: 'read' });
    expect(resource).toMatch(/^customer/);
    expect(resource).not.toContain('cus_asks');
  }
});

test('of nobody there is none', async () => {
  expect(await ops('export', 'cus_nobody')).toMatchObject({
    code: 3,
    stdout: '',
    stderr: 'There is no such customer.\n',
  });
});
