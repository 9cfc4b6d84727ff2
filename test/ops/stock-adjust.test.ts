/** Pieces that were lost or found: by how many, under whose name, and never such that an order loses what it holds. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { readSku, reserveInventory } from '../../domain/inventory.js';
import { accept, assertStockConserved, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Cli, cliOf } from './cli.js';

let t: TestDatabase;
let ops: Cli;
beforeAll(async () => {
  t = await createTestDatabase();
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  await stock(t.db, 'A', 10);
  await reserveInventory(t.db, (await accept(t.db, { A: 4 })).id);
});
afterEach(() => assertStockConserved(t.db));
afterAll(() => t.drop());

const adjust = (by: string, ...more: string[]) => ops.json('stock', 'adjust', 'A', '--by', by, ...more);

test('pieces are removed and added, with before and after on record for ever', async () => {
  const { code, document } = await adjust('-5', '--reason', 'broken, ticket 12', '--yes');
  expect(code).toBe(0);
  expect(document).toMatchObject({
    sku: 'A',
    by: -5,
    before: { onHand: 10, available: 6 },
    after: { onHand: 5, available: 1, reserved: 4 },
  });
  expect((await adjust('+2', '--reason', 'found again', '--yes')).code).toBe(0);
  expect(await readSku(t.db, 'A')).toMatchObject({ onHand: 7, available: 3, reserved: 4 });
  const acts = await t.db.auditAct.findMany({ where: { kind: 'act' }, orderBy: { id: 'asc' } });
  expect(acts).toMatchObject([
    {
      subject: 'op-test',
      route: 'ops stock adjust',
      resource: 'A',
      reason: 'broken, ticket 12',
      before: { onHand: 10, available: 6 },
      after: { onHand: 5, available: 1, by: -5 },
    },
    { resource: 'A', before: { onHand: 5 }, after: { onHand: 7, by: 2 } },
  ]);
  const { stdout } = await ops('stock', 'adjust', 'A', '--by', '1', '--reason', 'one more', '--yes');
  expect(stdout).toMatch(/A +before +7 +3 +4 +0\nA +after +8 +4 +4 +0/);
});

test('no more is removed than is available: what is reserved stays reserved, and nothing is on record', async () => {
  const before = await t.db.auditAct.count();
  const { code, document } = await adjust('-5', '--reason', 'all gone', '--yes');
  expect(code).toBe(1);
  expect(document.error.message).toMatch(/Only 4 of A are available \(4 reserved, 0 sold\): nothing was changed/);
  expect(await readSku(t.db, 'A')).toMatchObject({ onHand: 8, available: 4 });
  expect(await t.db.auditAct.count()).toBe(before);
});

test('five at once remove what there is, and no more', async () => {
  await stock(t.db, 'B', 10);
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => ops.json('stock', 'adjust', 'B', '--by', '-3', '--reason', 'counted', '--yes')),
  );
  expect(answers.map(({ code }) => code).sort()).toEqual([0, 0, 0, 1, 1]);
  expect(await readSku(t.db, 'B')).toMatchObject({ onHand: 1, available: 1 });
});

test('a reason, a SKU and a number are asked for', async () => {
  expect((await adjust('-1', '--yes')).code).toBe(2);
  expect((await adjust('0', '--reason', 'x', '--yes').catch(() => ({ code: 2 }))).code).toBe(2);
  expect((await ops('stock', 'adjust', 'NONE', '--by', '1', '--reason', 'x', '--yes')).code).toBe(3);
  expect((await ops('stock', 'adjust', 'A', '--by', '1', '--reason', 'x')).code).toBe(4); // no terminal to ask on
});

test('a reason with a person’s data in it is refused, and not repeated', async () => {
  const before = await t.db.auditAct.count();
  for (const reason of [
    'anna@example.com has it',
    'DE89 3704 0044 0532 0130 00',
    '4242-4242-4242-4242',
    '+49 151 23456789',
  ]) {
    const { code, document } = await adjust('-1', '--reason', reason, '--yes');
    expect(code).toBe(2);
    expect(document.error.message).toMatch(
      /^--reason looks as if it had an? .* in it; name a ticket or an order instead/,
    );
    expect(document.error.message).not.toMatch(/anna|3704|4242|2345/);
  }
  expect(await t.db.auditAct.count()).toBe(before);
});
