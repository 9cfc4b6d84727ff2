/** From what a caller has in hand to the order; there is no API and no Temporal, since they may be what is down. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { recordCharge } from '../../domain/payments.js';
import { reserveInventory } from '../../domain/inventory.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Cli, cliOf } from './cli.js';

let t: TestDatabase;
let ops: Cli;
beforeAll(async () => {
  t = await createTestDatabase();
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  await stock(t.db, 'A', 1_000);
});
afterAll(() => t.drop());

/** By which the trail names a customer. */
async function referenceOf(id: string): Promise<string> {
  const [row] = await t.db.$queryRaw<
    { reference: string }[]
  >`SELECT customer_id AS reference FROM orders WHERE id = ${id}::uuid`;
  return row?.reference ?? '';
}

const idsOf = async (...args: string[]) => {
  const { document } = await ops.json('find', ...args);
  return (document.orders as { id: string }[]).map(({ id }) => id);
};

test('an order is found by customer and time, number, reference, correlation id, event, and its saga’s id', async () => {
  const other = await accept(t.db, { A: 1 }, { customerId: 'cus_other' });
  const order = await accept(t.db, { A: 1 }, { customerId: 'cus_caller' });
  await t.db.order.update({ where: { id: order.id }, data: { externalOrderId: 'web-1001' } });
  await reserveInventory(t.db, order.id);
  await recordCharge(t.db, order.id, 'pi_of_the_caller');
  for (const args of [
    ['--customer', 'cus_caller', '--from', '10m'],
    ['--customer', 'cus_caller', '--status', 'PENDING'],
    ['--external', 'web-1001'],
    ['--reference', 'pi_of_the_caller'],
    ['--correlation', order.correlationId],
    ['--event', `${order.id}-2`],
    ['web-1001'],
    ['pi_of_the_caller'],
    [order.correlationId],
    [`${order.id}-1`],
    [order.id],
    [`order-${order.id}-cancel`],
  ])
    expect([args, await idsOf(...args)]).toEqual([args, [order.id]]);
  for (const from of ['1h', '0000-01-01', '999999d'])
    expect([from, await idsOf('--from', from)]).toEqual([from, [order.id, other.id]]);
  const { stdout } = await ops('find', '--customer', 'cus_caller');
  expect(stdout).toMatch(new RegExp(`${order.id} +PENDING +10\\.00 USD .* cus_caller +web-1001`));
});

test('orders of a SKU are found, newest first, with how many pieces each has; of a week, unless more is asked for', async () => {
  await stock(t.db, 'RARE', 10);
  const old = await accept(t.db, { RARE: 1 });
  await t.db.$executeRaw`UPDATE orders SET created_at = now() - interval '8 days' WHERE id = ${old.id}::uuid`;
  const [first, last] = [await accept(t.db, { RARE: 2 }), await accept(t.db, { RARE: 3, A: 1 })];
  await accept(t.db, { A: 1 });
  expect(await idsOf('--sku', 'RARE')).toEqual([last.id, first.id]);
  const { stdout } = await ops('find', '--sku', 'RARE', '--from', '30d');
  const shown = [...stdout.matchAll(/^(\S{36}) +(\d+) +PENDING/gm)].map(([, id, pieces]) => [id, pieces]);
  expect(shown).toEqual([
    [last.id, '3'],
    [first.id, '2'],
    [old.id, '1'],
  ]);
});

test('what is not there ends with 3, what is no question with 2', async () => {
  expect(await ops('find', '--customer', 'cus_nobody')).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('no such order'),
  });
  expect((await ops('find', '--to', '30d', '--customer', 'cus_caller')).code).toBe(3);
  expect((await ops('find', `${'0'.repeat(8)}-0000-7000-8000-${'0'.repeat(12)}-7`)).code).toBe(3);
  expect((await ops('find')).code).toBe(2);
  expect((await ops('find', '--from', '1h', '--limit', '1001')).code).toBe(2);
  expect((await ops('find', '--from', '2026-02-30')).code).toBe(2);
  expect((await ops('find', 'x', '--customer', 'y')).code).toBe(2);
  expect(await ops('find', '--from', 'yesterday')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('2026-11-21'),
  });
});

test('what was shown of whom is on record, under the operator’s name; and shown all the same where it cannot be', async () => {
  const order = await accept(t.db, { A: 1 }, { customerId: 'cus_watched' });
  const newest = (await t.db.auditCall.findFirst({ orderBy: { id: 'desc' } }))?.id ?? 0n;
  for (const args of [
    ['find', '--customer', 'cus_watched'],
    ['order', order.id],
    ['explain', order.id],
    ['customer', 'cus_watched'],
    ['dead-letters'],
  ])
    expect((await ops(...args)).code).toBe(0);
  const entries = await t.db.auditCall.findMany({ where: { id: { gt: newest } }, orderBy: { id: 'asc' } });
  const about = { kind: 'read', subject: 'op-test', status: 0, times: 1 };
  expect(entries).toMatchObject([
    { ...about, route: 'ops find', resource: order.id },
    { ...about, route: 'ops order', resource: order.id },
    { ...about, route: 'ops explain', resource: order.id },
    { ...about, route: 'ops customer', resource: `customer ${await referenceOf(order.id)}` },
    { ...about, route: 'ops dead-letters list', resource: null },
  ]);
  await t.db.$executeRaw`ALTER TABLE audit_calls RENAME TO audit_away`;
  const { code, stdout, stderr } = await ops('find', order.id);
  await t.db.$executeRaw`ALTER TABLE audit_away RENAME TO audit_calls`;
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(order.id) });
  expect(stderr).toContain('That this was read could not be put on record');
});

test('however many orders are found, their reads are twenty-one entries at most', async () => {
  for (let i = 0; i < 30; i++) await accept(t.db, { A: 1 }, { customerId: 'cus_many' });
  const newest = (await t.db.auditCall.findFirst({ orderBy: { id: 'desc' } }))?.id ?? 0n;
  await ops('find', '--customer', 'cus_many', '--limit', '1000');
  const entries = await t.db.auditCall.findMany({ where: { id: { gt: newest } }, orderBy: { id: 'asc' } });
  expect(entries).toHaveLength(21);
  expect(entries.at(-1)).toMatchObject({ resource: null, times: 10 });
});
