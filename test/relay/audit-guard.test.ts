/** The guard of the audit trail: what it anchors outside the database, and what its metric says when somebody has tampered. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { act } from '../../domain/audit/acts.js';
import { recordCalls } from '../../domain/audit/calls.js';
import { entryOfSku } from '../../domain/audit/changes.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { anchorOnce, openState, startAuditGuard, verifyOnce } from '../../relay/audit-guard.js';
import { auditIntact } from '../../relay/metrics.js';
import type { AnchorFile } from '../../runtime/audit-files.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const KEYS = auditKeys(['k'.repeat(32)]);
const ACTOR = { subject: 'op-7', route: 'PUT /inventory/:sku', correlationId: 'c-1', source: null };
const WITHIN_MS = 10_000;

let t: TestDatabase;
let folder: string;
let anchorFile: string;
let stop: (() => Promise<void>) | undefined;
beforeEach(async () => {
  t = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'audit-guard-'));
  anchorFile = join(folder, 'anchor');
});
afterEach(async () => {
  await stop?.();
  stop = undefined;
  await t.drop();
  await rm(folder, { recursive: true });
});

const guard = () => ({ db: t.db, keys: KEYS, anchorFile, callsRetentionMs: 86_400_000, logger: SILENT });
const change = (unitPrice: number) =>
  act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', { name: 'Mouse', unitPrice, currency: 'USD', onHand: 10 }));
const anchored = async () => JSON.parse(await readFile(anchorFile, 'utf8')) as AnchorFile;
const isIntact = async () => (await auditIntact.get()).values[0]?.value === 1;
const tamper = async (statement: string) => {
  await t.db.$executeRawUnsafe('ALTER TABLE audit_acts DISABLE TRIGGER USER');
  await t.db.$executeRawUnsafe(statement);
};

test('the anchor follows each entry within 10 s, in a file that only we can read', async () => {
  stop = startAuditGuard(guard());
  await eventually('the beginning of the chain is anchored', async () => (await anchored()).id === 1, WITHIN_MS);
  expect((await stat(anchorFile)).mode & 0o777).toBe(0o600);
  const { recorded } = await change(1);
  await eventually('the act is anchored', async () => (await anchored()).hash === recorded?.hash, WITHIN_MS);
  await recordCalls(t.db, KEYS, [{ ...ACTOR, kind: 'refused', route: 'GET /events', resource: null, status: 403 }]);
  await eventually('the call is counted', async () => (await anchored()).calls === 1, WITHIN_MS);
  expect(await isIntact()).toBe(true);
});

test('a key that is set later signs the chain at the guard’s next start, and what was unsigned is whole', async () => {
  const before = { ...guard(), keys: auditKeys([]) };
  await anchorOnce(before, openState(before));
  const state = openState(guard());
  await anchorOnce(guard(), state);
  await verifyOnce(guard(), state);
  expect([(await anchored()).id, await isIntact()]).toEqual([2, true]);
  await anchorOnce(guard(), openState(guard()));
  expect((await anchored()).id).toBe(2);
});

test.each([
  ['a tail that was cut off', 'DELETE FROM audit_acts WHERE id = 3'],
  ['a changed middle', `UPDATE audit_acts SET after = jsonb_set(after, '{unitPrice}', '9') WHERE id = 2`],
  ['a chain that is gone', 'DELETE FROM audit_acts'],
])('the metric shows %s, and goes on showing it', async (_, statement) => {
  for (const price of [1, 2]) await change(price);
  stop = startAuditGuard(guard(), { anchorEveryMs: 50, verifyEveryMs: 50 });
  await eventually('all is anchored and verified', async () => (await anchored()).id === 3 && isIntact());
  const before = await readFile(anchorFile, 'utf8');
  await tamper(statement);
  await eventually('the metric has turned', async () => !(await isIntact()));
  // What has been tampered with is not anchored over, also when operators go on.
  for (const price of [3, 4, 5]) await change(price);
  const state = openState(guard());
  await verifyOnce(guard(), state);
  expect(state.flaw).not.toBeNull();
  if (!statement.startsWith('UPDATE')) expect(await readFile(anchorFile, 'utf8')).toBe(before);
  expect(await isIntact()).toBe(false);
});

test('each anchor is sent to whoever keeps it elsewhere, until it is taken', async () => {
  const received: AnchorFile[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push(JSON.parse(body));
      response.writeHead(received.length === 1 ? 503 : 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const anchorUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/anchors`;
  stop = startAuditGuard({ ...guard(), anchorUrl }, { anchorEveryMs: 20 });
  await eventually('the beginning is sent again after a 503', () => received.length === 2 && received[1]?.id === 1);
  const { recorded } = await change(1);
  await eventually('the act is sent', () => received[2]?.hash === recorded?.hash);
  expect(received).toHaveLength(3);
  await stop();
  stop = undefined;
  server.close();
});

test('a guard that was not running finds what has happened meanwhile', async () => {
  for (const price of [1, 2]) await change(price);
  await anchorOnce(guard(), openState(guard()));
  await tamper('DELETE FROM audit_acts WHERE id = 3');
  await change(3);
  const state = openState(guard());
  await anchorOnce(guard(), state);
  expect(state.flaw).toMatchObject({ table: 'acts', id: 3, what: 'replaced' });
});

test('a long chain is verified in parts, and a flaw stands until all has been looked at', async () => {
  for (let price = 1; price <= 5; price++) await change(price);
  const state = openState(guard());
  await verifyOnce(guard(), state, 1);
  expect(await isIntact()).toBe(true);
  await tamper(`UPDATE audit_acts SET status = 409 WHERE id = 2`);
  await verifyOnce(guard(), state, 1);
  expect(await isIntact()).toBe(false);
  await tamper(`UPDATE audit_acts SET status = 200 WHERE id = 2`);
  await verifyOnce(guard(), state);
  expect(await isIntact()).toBe(true);
});

test('several guards of one database anchor and seal without a quarrel', async () => {
  const stops = [1, 2, 3].map(() => startAuditGuard(guard(), { anchorEveryMs: 20, verifyEveryMs: 20 }));
  for (let price = 1; price <= 20; price++) await change(price);
  await eventually('all is anchored', async () => (await anchored()).id === 21);
  expect(await isIntact()).toBe(true);
  await Promise.all(stops.map((each) => each()));
});
