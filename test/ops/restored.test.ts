/** `ops` on a database that was restored to before an erasure: it acts no more than a process serves, and shows what one needs to see. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { aloneAtJournal } from '../../domain/erasure-journal.js';
import { openErasureJournal } from '../../gateways/erasure-journal/open.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { cliOf } from './cli.js';

const folder = mkdtempSync(join(tmpdir(), 'restored-'));
const path = join(folder, 'erasures.jsonl');
let t: TestDatabase;
let orderId: string;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
  orderId = (await accept(t.db, { A: 1 }, { customerId: 'cus_erased' })).id;
  const [row] = await t.db.$queryRaw<
    { customer: string }[]
  >`SELECT customer_id AS customer FROM orders WHERE id = ${orderId}::uuid`;
  const journal = openErasureJournal(() => path, {
    alone: aloneAtJournal(t.db),
    openPool: () => {
      throw new Error('no database is needed');
    },
  });
  // What came after the backup.
  const erasure = { erasureId: randomUUID(), customer: row?.customer ?? '' };
  await journal.append({ kind: 'requested', ...erasure });
  await journal.append({ kind: 'done', ...erasure });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await t.drop();
});

/** There is no Temporal: what is refused before is refused without it. */
const cliWith = (ERASURE_JOURNAL: string) =>
  cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } }, { ERASURE_JOURNAL });
const YES = ['--reason', 'ticket 4711', '--yes'];
const acts = (): string[][] => [
  ['stock', 'adjust', 'A', '--by', '5', ...YES],
  ['brakes', 'engage', 'accepting', ...YES],
  ['erase', 'cus_other', ...YES],
  ['cancel', orderId, ...YES],
];

test.each(['stock', 'brakes', 'erase', 'cancel'])(
  '%s is refused as a process would be, and nothing is done',
  async (name) => {
    const args = acts().find(([first]) => first === name) ?? [];
    const { code, stderr } = await cliWith(path)(...args);
    expect({ code, stderr }).toEqual({
      code: 78,
      stderr: expect.stringMatching(/1 persons .* restored to before .*Nothing was done.*erasures --apply-journal/s),
    });
    expect(await t.db.auditAct.count({ where: { kind: 'act' } })).toBe(0);
  },
);

test('so is an export, which would hand out an erased person’s data', async () => {
  const { code, stdout } = await cliWith(path)('export', 'cus_erased');
  expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
});

test.each([
  ['find', '--external', 'x'],
  ['brakes'],
  ['erasures'],
  ['erasures', 'journal'],
  ['dead-letters'],
  ['stock'],
  ['feed-clock'],
])('%s %s shows what there is', async (...args) => {
  expect([0, 1, 3]).toContain((await cliWith(path)(...args)).code);
});

test('with the journal away it cannot be told, and nothing is done', async () => {
  const unreachable = 'postgresql://u:hidden@127.0.0.1:1/nothing';
  const refused = await cliWith(unreachable)('brakes', 'engage', 'accepting', ...YES);
  expect(refused).toMatchObject({ code: 69, stderr: expect.stringContaining('unset ERASURE_JOURNAL') });
  expect(refused.stderr).not.toContain('hidden');
});

test('once they are forgotten again, it acts; and with a journal that lost what it had, it does not', async () => {
  expect((await cliWith(path)('erasures', '--apply-journal', '--yes')).code).toBe(0);
  expect(await cliWith(path)('stock', 'adjust', 'A', '--by', '5', ...YES)).toMatchObject({ code: 0 });
  const unreachable = 'postgresql://u:hidden@127.0.0.1:1/nothing';
  const told = await cliWith(unreachable)('stock', 'adjust', 'A', '--by', '5', ...YES);
  expect(told).toMatchObject({ code: 0, stderr: expect.stringContaining('compared with it before') });
  const spoilt = await cliWith(join(folder, 'another'))('stock', 'adjust', 'A', '--by', '5', ...YES);
  expect(spoilt).toMatchObject({ code: 78, stderr: expect.stringContaining('ends before entry 2') });
});
