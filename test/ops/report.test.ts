/** The report of a span: who accounts for the service reads it, and a spreadsheet does. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordDecision } from '../../domain/saga-log.js';
import { csv } from '../../ops/report/csv.js';
import { gatherReport } from '../../ops/report/gather.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { openExplainedDatabase } from '../support/plans.js';
import { type Cli, cliOf } from './cli.js';

let t: TestDatabase;
let ops: Cli;
let cancelled: string;
beforeAll(async () => {
  t = await createTestDatabase();
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  await stock(t.db, 'A', 1_000);
  await accept(t.db, { A: 1 });
  await accept(t.db, { A: 2 });
  const probe = await accept(t.db, { A: 1 }, { customerId: 'ops-doctor' });
  await t.db.order.update({ where: { id: probe.id }, data: { correlationId: `ops-doctor-${probe.id}` } });
  const order = await accept(t.db, { A: 3 });
  cancelled = order.id;
  await reserveInventory(t.db, order.id);
  await recordDecision(t.db, {
    ...{ id: crypto.randomUUID(), orderId: order.id, action: 'compensate', operator: 'op-7' },
    ...{ reason: '=1+1, "ticket" 12', step: 'chargePayment', before: 'NEEDS_ATTENTION' },
  });
  await beginUnwinding(t.db, order.id, { reason: 'OPERATOR' });
  await releaseInventory(t.db, order.id);
  await cancelOrder(t.db, order.id);
  await ops('stock', 'adjust', 'A', '--by', '-7', '--reason', 'broken', '--yes');
});
afterAll(() => t.drop());

test('has the span’s orders by outcome, compensations, decisions and acts', async () => {
  const { code, document } = await ops.json('report', '--from', '1h');
  expect(code).toBe(0);
  expect(document.orders).toEqual([
    { status: 'PENDING', reason: null, isUnwinding: false, currency: 'USD', count: 2, amount: 3_000 },
    { status: 'CANCELLED', reason: 'OPERATOR', isUnwinding: false, currency: 'USD', count: 1, amount: 3_000 },
  ]);
  expect(document.compensations).toEqual(
    expect.arrayContaining([
      { step: 'releaseInventory', outcome: 'undone', count: 1, attemptsMax: 1 },
      { step: 'cancelOrder', outcome: 'undone', count: 1, attemptsMax: 1 },
    ]),
  );
  expect(document.decisions).toMatchObject([{ orderId: cancelled, what: 'compensate', by: 'op-7' }]);
  expect(document.acts).toMatchObject([{ route: 'ops stock adjust', by: 'op-test', resource: 'A', reason: 'broken' }]);
  expect(document.findings).toEqual([]);
});

test('has nothing of before the span or after it', async () => {
  const empty = { orders: [], compensations: [], decisions: [], acts: [], findings: [] };
  expect((await ops.json('report', '--from', '3d', '--to', '1h')).document).toMatchObject(empty);
  const later = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '');
  expect((await ops.json('report', '--from', later, '--to', later.replace(/^\d{4}/, '2099'))).document).toMatchObject(
    empty,
  );
  expect((await ops('report', '--from', '1h', '--to', '2h')).code).toBe(2);
});

test('is one table as CSV, in which no reason becomes a formula', async () => {
  const { code, stdout } = await ops('report', '--from', '1h', '--csv');
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\r\n');
  expect(lines[0]).toBe('section,what,outcome,count,amount_minor,currency,at,subject,by,reason');
  expect(lines).toContain('orders,CANCELLED,OPERATOR,1,3000,USD,,,,');
  expect(lines.find((line) => line.startsWith('decisions,compensate'))).toContain(
    `,${cancelled},op-7,"chargePayment, NEEDS_ATTENTION: =1+1, ""ticket"" 12"`,
  );
  expect(csv(['a'], [['=1+1'], ['-x'], ['x\n"y"']])).toBe('a\r\n\'=1+1\r\n\'-x\r\n"x\n""y"""\r\n');
  expect(csv(['a'], [[' =1'], ['＝1'], ['x;=1'], ['x; @1;-1'], ['x;y=1-1']])).toBe(
    "a\r\n' =1\r\n'＝1\r\nx;'=1\r\nx;' @1;'-1\r\nx;y=1-1\r\n",
  );
});

test('is a page for people, too', async () => {
  const { stdout } = await ops('report', '--from', '1h');
  expect(stdout).toMatch(/Orders\norders +status.*\n2 +PENDING +– +30\.00 USD\n1 +CANCELLED +OPERATOR +30\.00 USD/);
  expect(stdout).toMatch(/Findings: none/);
});

test('leaves out probes of the doctor, and nothing that somebody has ordered in its name', async () => {
  await accept(t.db, { A: 5 }, { customerId: 'ops-doctor' });
  const { document } = await ops.json('report', '--from', '1h');
  expect(document.orders[0]).toMatchObject({ status: 'PENDING', count: 3, amount: 8_000 });
});

test('takes whatever moment can be written', async () => {
  for (const from of ['0000-01-01', '999999d'])
    expect([from, (await ops('report', '--from', from, '--to', '9999-12-31T23:59-12:00')).code]).toEqual([from, 0]);
});

test('looks at the acts of its span alone, however many there were before and since', async () => {
  const { db, url, drop } = await createTestDatabase();
  const explained = openExplainedDatabase(url);
  try {
    await db.$executeRawUnsafe('ALTER TABLE audit_acts DISABLE TRIGGER USER');
    await db.$executeRawUnsafe(`
      INSERT INTO audit_acts (id, at, kind, route, reason, correlation_id, key_id, hash)
      SELECT n, now() - (40000 - n) * interval '1 min', 'act', 'ops stock adjust', repeat('x', 200), 'c', 'none', sha256('x')
      FROM generate_series(1, 40000) AS n`);
    await db.$executeRawUnsafe('ANALYZE audit_acts');
    const span = { fromMs: Date.now() - 20_000 * 60_000, toMs: Date.now() - 18_500 * 60_000 };
    const plans = await explained.plansOf(async () => {
      const { acts } = await gatherReport(explained.db, span);
      expect(acts.length).toBe(1_500);
    });
    const ofActs = plans.filter(({ statement }) => statement.includes('audit_acts'));
    expect(ofActs.length).toBeGreaterThan(2);
    expect(ofActs.filter(({ pages, scanned }) => pages > 250 || scanned.length > 0)).toEqual([]);
  } finally {
    await explained.close();
    await drop();
  }
}, 60_000);
