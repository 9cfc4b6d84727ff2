/** A limit on spending that is changed while it is engaged: what was charged within the hour counts, whichever currency is limited since when. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { claimSpending, engageBrake, readSpending, releaseBrake, returnSpending } from '../../domain/brakes.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { type AppRole, openAsApp } from '../support/app-role.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const PRICE = 1_000;
const word = { brake: 'spending', operator: 'op-7', reason: 'fraud wave' } as const;

let t: TestDatabase;
let role: AppRole;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000, PRICE);
  role = await openAsApp(t);
});
afterEach(async () => {
  await releaseBrake(role.db, word);
  await t.db.$executeRaw`UPDATE payments SET created_at = created_at - interval '2 hours'`; // none of the next test's business
});
afterAll(async () => {
  await role?.db.$disconnect();
  await t?.drop();
  await role?.close();
});

const engage = (limits: Record<string, number>) => role.db.$transaction((tx) => engageBrake(tx, { ...word, limits }));
const spent = async () =>
  Object.fromEntries((await readSpending(role.db)).map(({ currency, spent: amount }) => [currency, amount]));

async function ordered(currency: string): Promise<{ orderId: string; currency: string; amount: number }> {
  const { id } = await accept(t.db, { A: 1 });
  await t.db.$executeRaw`UPDATE orders SET currency = ${currency} WHERE id = ${id}::uuid`;
  await reserveInventory(t.db, id);
  return { orderId: id, currency, amount: PRICE };
}
/** As its step does it. @returns false if there is no room */
async function charge(currency: string): Promise<boolean> {
  const due = await ordered(currency);
  if (!(await claimSpending(role.db, due))) return false;
  await recordCharge(role.db, due.orderId, `pi_${due.orderId}`);
  return true;
}
async function chargeMany(currency: string, count: number): Promise<void> {
  for (let made = 0; made < count; made++) expect(await charge(currency)).toBe(true);
}

test('a currency that is added counts what was charged in it within the hour, and the others go on from where they were', async () => {
  await engage({ USD: 3 * PRICE });
  await chargeMany('USD', 2);
  const underWay = await ordered('USD');
  expect(await claimSpending(role.db, underWay)).toBe(true);
  await chargeMany('EUR', 3);
  await engage({ USD: 3 * PRICE, EUR: 4 * PRICE });
  expect(await spent()).toEqual({ USD: 3 * PRICE, EUR: 3 * PRICE });
  expect([await charge('USD'), await charge('EUR'), await charge('EUR')]).toEqual([false, true, false]);
  await returnSpending(role.db, underWay.orderId);
  expect(await spent()).toEqual({ USD: 2 * PRICE, EUR: 4 * PRICE });
});

test('a currency that was left out for a while counts all of the hour once it is back, each charge once', async () => {
  await engage({ USD: 9 * PRICE, EUR: 9 * PRICE });
  await chargeMany('EUR', 1);
  const underWay = await ordered('EUR');
  expect(await claimSpending(role.db, underWay)).toBe(true);
  await engage({ USD: 9 * PRICE });
  await chargeMany('EUR', 2);
  await engage({ USD: 9 * PRICE, EUR: 4 * PRICE });
  expect(await spent()).toEqual({ USD: 0, EUR: 3 * PRICE });
  await returnSpending(role.db, underWay.orderId); // it is declined; it counted before the currency was left out
  expect(await spent()).toEqual({ USD: 0, EUR: 3 * PRICE });
  expect([await charge('EUR'), await charge('EUR')]).toEqual([true, false]);
});

test('what was charged more than an hour before a currency is added does not count', async () => {
  await engage({ USD: PRICE });
  await chargeMany('EUR', 1);
  await t.db.$executeRaw`UPDATE payments SET created_at = created_at - interval '62 minutes' WHERE currency = 'EUR'`;
  await chargeMany('EUR', 1);
  await engage({ USD: PRICE, EUR: PRICE });
  expect(await spent()).toEqual({ USD: 0, EUR: PRICE });
});

test('a limit that is engaged anew counts the hour before it, in each of its currencies', async () => {
  await engage({ USD: 9 * PRICE });
  await chargeMany('USD', 1);
  await releaseBrake(role.db, word);
  await chargeMany('USD', 1);
  await chargeMany('EUR', 1);
  await engage({ USD: 2 * PRICE, EUR: 2 * PRICE });
  expect(await spent()).toEqual({ USD: 2 * PRICE, EUR: PRICE });
  expect([await charge('USD'), await charge('EUR')]).toEqual([false, true]);
});
