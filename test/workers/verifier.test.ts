/** The verifier's loop: what is planted shows in its metrics within a minute, and goes when it is mended; one process at a time says so. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { openAtMostMs } from '../../verification/limits.js';
import { VERIFIED } from '../../verification/pass.js';
import { passed, rowsLookedAt, violations } from '../../workers/verification-metrics.js';
import { startVerifier } from '../../workers/verifier.js';
import { openLedgers, SILENT, type TestLedgers } from '../reconciliation/support.js';
import { eventually } from '../support/conditions.js';
import { PATIENT } from '../support/saga.js';
import type { DatabaseClient } from '../../runtime/database.js';

let books: TestLedgers;
let orderId: string;
let stops: (() => Promise<void>)[] = [];
beforeAll(async () => {
  // The gateway's list leaves out the newest minute by its own clock.
  books = await openLedgers();
  orderId = (await books.confirmed()).order.id;
  books.setClock(120_000);
  await books.cancelled();
});
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()));
  stops = [];
});
afterAll(() => books.stop());

function start(allEveryMs = 200) {
  const { db, gateway } = books;
  const often = { everyMs: 100, allEveryMs, spanMs: 3_600_000, pageSize: 1, graceMs: 0, rest: 0 };
  const about = { client: () => undefined, openAtMostMs: openAtMostMs(PATIENT), logger: SILENT };
  const stop = startVerifier({ db: db as DatabaseClient, gateway, ...often, ...about });
  stops.push(stop);
  return stop;
}

const shown = async () =>
  new Map((await violations.get()).values.map(({ labels, value }) => [String(labels['invariant']), value]));
const shows = (invariant: string, value: number) =>
  eventually(`${invariant} is shown as ${value}`, async () => (await shown()).get(invariant) === value, 20_000);

const LINES = 'I1 lines add up';
const STOCK = 'I2 stock is conserved';
const MONEY = 'I1 money';
const spoil = (by: number) =>
  books.db.$executeRaw`UPDATE orders SET total_amount = total_amount + ${by} WHERE id = ${orderId}::uuid`;

test('what is right is shown as 0, with the rows that were looked at; what nobody could look at is not shown', async () => {
  start();
  for (const invariant of [LINES, STOCK, MONEY]) await shows(invariant, 0);
  const rows = new Map((await rowsLookedAt.get()).values.map(({ labels, value }) => [labels['invariant'], value]));
  for (const invariant of [LINES, STOCK, MONEY]) expect(rows.get(invariant)).toBeGreaterThan(0);
  const names = [...(await shown()).keys()];
  expect(names.filter((name) => !(VERIFIED as readonly string[]).includes(name))).toEqual([]);
  expect(names).not.toContain('I5 sagas have ended as their orders');
  // Temporal has never answered: no pass is whole.
  const before = (await passed.get()).values;
  expect(before.map(({ labels }) => labels['pass']).sort()).toEqual(['all', 'new']);
  const rowsOf = async () => (await rowsLookedAt.get()).values.reduce((sum, { value }) => sum + value, 0);
  const enough = (await rowsOf()) + 50;
  await eventually('it has looked at everything again', async () => (await rowsOf()) > enough);
  expect((await passed.get()).values).toEqual(before);
});

test('what is spoilt is shown as long as it is, also by a row that is looked at seldom', async () => {
  start(3_600_000);
  await shows(LINES, 0);
  await spoil(1);
  await shows(LINES, 1);
  await shows(MONEY, 1);
  await spoil(-1);
  await shows(LINES, 0);
  await shows(MONEY, 0);
});

test('one process verifies; when another has the lease, or it stops, it shows nothing', async () => {
  const stop = start();
  await shows(LINES, 0);
  await books.db
    .$executeRaw`UPDATE leases SET owner = 'another', until = now() + interval '1 hour' WHERE name = 'verifier'`;
  await eventually('it shows nothing', async () => (await shown()).size === 0);
  await books.db.$executeRaw`DELETE FROM leases WHERE name = 'verifier'`;
  await shows(LINES, 0);
  await stop();
  expect((await shown()).size).toBe(0);
  expect(await books.db.workLease.findUnique({ where: { name: 'verifier' } })).toBeNull();
});
