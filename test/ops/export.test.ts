/** A customer's data for a request of theirs, while the API may be down: whole, readable by the operator alone, and on record. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { withSealing } from '../../domain/database.js';
import { cancelOrder, requestCancellation } from '../../domain/orders.js';
import { createDataKeys } from '../../domain/sealing/data-keys.js';
import { sealCancellationMessage } from '../../domain/sealing/of-orders.js';
import { beginSealing } from '../../domain/sealing/passes.js';
import { createSealing } from '../../domain/sealing/sealing.js';
import { openKeyFile } from '../../gateways/key-encryption/file.js';
import { writeKeyFile } from '../support/keys.js';
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

test('what the customer said, and is sealed, is in it as it was said; where it cannot be opened there is no document', async () => {
  const keys = `file:${writeKeyFile()}`;
  const store = openKeyFile(keys.slice('file:'.length));
  const db = withSealing(t.db, createSealing(createDataKeys(t.db, store, { customersMax: 10, ttlMs: 60_000 })));
  await beginSealing(t.db);
  const { id, customer } = await accept(db, { A: 1 }, { customerId: 'cus_sealed' });
  const message = (await sealCancellationMessage(db, id, 'zieht um: Ahornweg 12')) ?? '';
  await requestCancellation(db, id, { reason: 'CANCELLED_BY_CUSTOMER', message });
  await cancelOrder(db, id);
  const withKeys = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } }, { KEY_ENCRYPTION: keys });

  const { document } = await withKeys.json('export', 'cus_sealed');
  expect(document).toMatchObject({
    customerId: 'cus_sealed',
    orders: [{ id, cancellation: { message: 'zieht um: Ahornweg 12' } }],
    complete: true,
  });
  expect(await ops('export', 'cus_sealed')).toMatchObject({
    code: 69,
    stdout: '',
    stderr: expect.stringContaining('sealed'),
  });

  // Whoever may have the key reads whose it is, on record; who may not sees the reference, and is told.
  expect((await withKeys.json('order', id)).document.order).toMatchObject({ customerId: 'cus_sealed' });
  expect((await withKeys.json('find', '--reference', 'none')).code).toBe(3);
  expect((await withKeys.json('find', id)).document.orders).toMatchObject([{ customerId: 'cus_sealed' }]);
  const closed = await ops.json('order', id);
  expect(closed.document.order).toMatchObject({ customerId: customer });
  expect(closed.stderr).toContain('by their references');
  expect(await t.db.auditCall.count({ where: { route: { in: ['ops order', 'ops find'] }, resource: id } })).toBe(3);
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
