/** A database that was restored to before an erasure, beside the journal, which was not. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { JOURNAL_START } from '../../contracts/erasure-journal.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { lookupOf, readIdentityKey } from '../../domain/customers.js';
import { aloneAtJournal, readMark } from '../../domain/erasure-journal.js';
import { listErasures } from '../../domain/erasure/erasures.js';
import { openErasureJournal } from '../../gateways/erasure-journal/open.js';
import { openSmallPool } from '../../runtime/small-pool.js';
import { eventually } from '../support/conditions.js';
import { accept, copyDatabase, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { eraseOnce } from '../../workers/eraser.js';
import { cleanEnv, cliOf } from './cli.js';

/** None of this asks Temporal. */
const NO_SERVER = '127.0.0.1:1';
const folder = mkdtempSync(join(tmpdir(), 'erasures-'));
const path = join(folder, 'erasures.jsonl');
const NO_KEYS = auditKeys([]);
const CANARY = 'canary-of-jane';
let t: TestDatabase;
let backup: TestDatabase;
const [customer, other] = [randomUUID(), randomUUID()];
let [final, open, alone] = ['', '', ''];
beforeAll(async () => {
  t = await createTestDatabase();
  await insert(t, customer, CANARY);
  await stock(t.db, 'A', 1_000);
  final = await order(t, customer);
  open = await order(t, customer);
  await t.db.$executeRaw`
    UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'CANCELLED_BY_CUSTOMER' WHERE id = ${final}::uuid`;
  await insert(t, other, `${CANARY}-too`);
  alone = await order(t, other);
  await t.db.$executeRaw`
    UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'CANCELLED_BY_CUSTOMER' WHERE id = ${alone}::uuid`;
  backup = await copyDatabase(t.url);
  await erase(t, customer);
  await erase(t, other);
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await Promise.all([t.drop(), backup.drop()]);
});

const journalOf = ({ db }: TestDatabase, place = path) =>
  openErasureJournal(() => place, { alone: aloneAtJournal(db), openPool: (url) => openSmallPool(url, 'test') });
const cli = ({ url }: TestDatabase, place = path) =>
  cliOf({ databaseUrl: url, env: { address: NO_SERVER } }, { ERASURE_JOURNAL: place });

async function insert({ db }: TestDatabase, reference: string, clientId: string): Promise<void> {
  const lookup = lookupOf(await readIdentityKey(db), clientId);
  await db.$executeRaw`INSERT INTO customers (reference, lookup, client_id) VALUES (${reference}::uuid, ${lookup}, ${clientId})`;
}

/** With the canary in whatever of it may be chosen. */
async function order({ db }: TestDatabase, reference: string): Promise<string> {
  const { id } = await accept(db, { A: 1 });
  await db.$executeRaw`
    UPDATE orders SET customer_id = ${reference}, payment_method = ${`pm_${CANARY}`}, external_order_id = ${`${CANARY}-${id}`},
      cancellation_message = ${`I am ${CANARY}`}, correlation_id = ${`of-${CANARY}`} WHERE id = ${id}::uuid`;
  return id;
}

/** As an erasure goes through to its end. */
async function erase(database: TestDatabase, reference: string): Promise<void> {
  const { db } = database;
  const journal = journalOf(database);
  const erasureId = randomUUID();
  await db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${reference}::uuid`;
  await journal.append({ kind: 'requested', erasureId, customer: reference });
  await db.$executeRaw`UPDATE customers SET erased_at = now(), lookup = NULL, client_id = NULL WHERE reference = ${reference}::uuid`;
  await journal.append({ kind: 'done', erasureId, customer: reference });
}

type Started = { code: number | null; said: string };
/** A process that is not to get to its work: until it has ended, or has said that it waits. */
async function startService(database: TestDatabase, until: RegExp, env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const child = spawnService(database, env);
  await Promise.race([child.ended, eventually('it waits', async () => until.test(child.said()), 50_000)]);
  child.kill();
  return { code: await child.ended, said: child.said() };
}

/** Whether a relay gets to its work, which it is at once it is a member. */
async function serves(database: TestDatabase, env: NodeJS.ProcessEnv = {}): Promise<Started> {
  await database.db.relayMember.deleteMany();
  const child = spawnService(database, env);
  await Promise.race([
    child.ended,
    eventually('it is at work', async () => (await database.db.relayMember.count()) > 0, 50_000),
  ]);
  child.kill();
  return { code: await child.ended, said: child.said() };
}

function spawnService({ url }: TestDatabase, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ['dist/service/main.js'], {
    env: {
      ...cleanEnv(),
      ...{ ROLE: 'relay', DATABASE_URL: url, TEMPORAL_ADDRESS: NO_SERVER, METRICS_PORT: '0', LOG_LEVEL: 'debug' },
      ...DESTINATION,
      ...{ ERASURE_JOURNAL: path, ...env },
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { ended, kill: () => child.kill('SIGTERM'), said: () => said };
}

/** Nobody is there; a relay that has a destination leases its partitions. */
const DESTINATION = {
  WEBHOOK_URL: 'http://127.0.0.1:1/',
  WEBHOOK_SECRET: `whsec_${Buffer.from('hidden'.repeat(6)).toString('base64')}`,
  WEBHOOK_ALLOW_PRIVATE: 'true',
};

/** Everything that is in the database, as a dump has it. */
async function holds({ db }: TestDatabase, text: string): Promise<string[]> {
  const tables = await db.$queryRaw<
    { name: string }[]
  >`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`;
  const found: string[] = [];
  for (const { name } of tables) {
    const [row] = (await db.$queryRawUnsafe(
      `SELECT count(*)::int AS n FROM "${name}" x WHERE x::text LIKE $1`,
      `%${text}%`,
    )) as {
      n: number;
    }[];
    if (row?.n) found.push(name);
  }
  return found.sort();
}

test('keeps every process from starting, with a sentence that says what to do; that done, nobody is there again', async () => {
  expect(await holds(backup, CANARY)).toEqual(['customers', 'orders']);
  const refused = await startService(backup, /never said/);
  expect(refused.code).toBe(78);
  expect(refused.said).toMatch(/restored to before 2 erasures.*erasures --apply-journal/s);
  expect(refused.said).not.toContain(customer);

  const looked = await cli(backup).json('erasures', 'journal');
  expect([looked.code, looked.document.unknown.length]).toEqual([1, 4]);
  const applied = await cli(backup).json('erasures', '--apply-journal', '--yes');
  expect([applied.code, applied.document.unknown]).toEqual([0, []]);
  expect(applied.document.applied.sort()).toEqual([customer, other].sort());
  // An order that is open needs how it is paid: what no saga reads is gone, and its customer is nobody.
  expect(await holds(backup, CANARY)).toEqual(['orders']);
  const left = await backup.db.order.findMany({ where: { paymentMethod: { contains: CANARY } } });
  expect(left.map(({ id }) => id).sort()).toEqual([final, open].sort());
  expect(left.map(({ cancellationMessage }) => cancellationMessage)).toEqual([null, null]);
  const again = await cli(backup).json('erasures', '--apply-journal', '--yes');
  expect([again.code, again.document.applied]).toEqual([0, []]);
  expect((await serves(backup)).code).toBe(0);
});

test('what was open is erased once it is final, under the same erasure, and the order’s number stays taken', async () => {
  const { db } = backup;
  await db.$executeRaw`
    UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${open}::uuid`;
  const gateway = { readRefunds: async () => [] };
  const eraser = {
    db,
    keys: NO_KEYS,
    gateway,
    listParked: async () => new Set<string>(),
    everyMs: 1,
    settleMs: 0,
    logger: pino({ level: 'silent' }),
  };
  await eventually(
    'both are erased',
    async () =>
      (await eraseOnce(eraser)) &&
      (await db.customer.count({ where: { reference: { in: [customer, other] }, erasedAt: null } })) === 0,
  );
  expect(await holds(backup, CANARY)).toEqual([]);
  expect(
    await db.customer.findMany({
      where: { reference: { in: [customer, other] } },
      select: { lookup: true, clientId: true },
    }),
  ).toEqual([
    { lookup: null, clientId: null },
    { lookup: null, clientId: null },
  ]);
  const ids = (await journalOf(backup).readAfter(JOURNAL_START, 10)).map(({ erasureId }) => erasureId);
  expect((await listErasures(db, {}, 10)).map(({ id }) => id).sort()).toEqual([...new Set(ids)].sort());
});

test('and one that was not restored is served; what was read is not read again', async () => {
  expect((await serves(t)).code).toBe(0);
  expect((await readMark(t.db)).position).toBe(4);
});

test('under a process that runs: with its next connection it ends', async () => {
  const john = randomUUID();
  await insert(t, john, 'canary-of-john');
  const before = await copyDatabase(t.url);
  await erase(before, john);
  await before.db.relayMember.deleteMany();
  const running = startService(before, /never said/);
  await eventually('it is at work', async () => (await before.db.relayMember.count()) > 0, 60_000);
  // As pg_restore --clean: the tables of the backup in place of these.
  await before.db.$transaction([
    before.db.$executeRawUnsafe('CREATE TABLE restored (LIKE customers INCLUDING ALL)'),
    before.db.$executeRawUnsafe('INSERT INTO restored SELECT * FROM customers'),
    before.db.$executeRawUnsafe('DROP TABLE customers CASCADE'),
    before.db.$executeRawUnsafe('ALTER TABLE restored RENAME TO customers'),
    before.db.$executeRawUnsafe('DELETE FROM erasure_journal_mark'),
    before.db.$executeRawUnsafe(
      `UPDATE customers SET erased_at = NULL, erasing_since = NULL, client_id = 'canary-of-john', lookup = '\\x01' WHERE reference = '${john}'`,
    ),
  ]);
  await before.db.$executeRaw`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`.catch(
    () => undefined,
  );
  const { code, said } = await running;
  expect(code).toBe(78);
  expect(said).toMatch(/restored to before an erasure/);
  await before.drop();
});

test('with the journal away: a database that was compared with it is served, one that never was waits', async () => {
  const away = join(folder, 'away', 'erasures.jsonl');
  const { code, said } = await serves(t, { ERASURE_JOURNAL: away });
  // The file is not there, which this database has read: it is another one.
  expect(code).toBe(78);
  expect(said).toMatch(/ERASURE_JOURNAL: .*ends before entry/);
  const unreachable = 'postgresql://u:hidden@127.0.0.1:1/nothing';
  const served = await serves(t, { ERASURE_JOURNAL: unreachable });
  expect(served.code).toBe(0);
  expect(served.said).toMatch(/erasure journal is away: erasures wait/);
  expect(served.said).not.toContain('hidden');
  const fresh = await copyDatabase(t.url);
  await fresh.db.relayMember.deleteMany();
  const waiting = await startService(fresh, /this process waits/, { ERASURE_JOURNAL: unreachable });
  expect(waiting.said).toMatch(/this process waits/);
  expect(await fresh.db.relayMember.count()).toBe(0);
  await fresh.drop();
});

test('a journal in the database’s own cluster is refused: one restore would take both back', async () => {
  const { code, said } = await serves(t, { ERASURE_JOURNAL: t.url });
  expect(code).toBe(78);
  expect(said).toMatch(/same Postgres cluster/);
});

test('without a journal it is served, and says what that means; so does the doctor', async () => {
  const { code, said } = await serves(t, { ERASURE_JOURNAL: '' });
  expect(code).toBe(0);
  expect(said).toMatch(/ERASURE_JOURNAL is not set: a restore of the database would undo/);
  const { document } = await cli(t, '').json('doctor', '--no-probe');
  expect(document.checks).toContainEqual(expect.objectContaining({ name: 'erasure journal', status: 'warn' }));
});

test('a journal that is lost is written anew from what the database knows, and not over what is there', async () => {
  expect((await cli(t)('erasures', 'journal', '--renew', '--reason', 'disk lost', '--yes')).code).toBe(1);
  renameSync(path, `${path}.lost`);
  expect((await cli(t)('erasures', 'journal')).code).toBe(1);
  const renewed = await cli(t).json('erasures', 'journal', '--renew', '--reason', 'disk lost', '--yes');
  expect([renewed.code, renewed.document.entries]).toEqual([0, 4]);
  expect(existsSync(path)).toBe(true);
  expect((await cli(t)('erasures', 'journal')).code).toBe(0);
});
