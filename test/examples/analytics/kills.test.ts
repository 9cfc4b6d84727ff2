/**
 * The read side, killed at each statement of its own, before it is carried out and after, while orders come and events leave the feed:
 * in the end its sums are those of the orders, and at every moment nothing earlier than an answer's asOf was missing from it.
 */
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/conditions.js';
import { type Installation, startInstallation, type Sums } from './installation.js';
import { type Product, startReadSide, sumOf } from './read-side.js';

/** Of either kind: several for each page of the feed. */
const ORDER_EVERY_MS = 20;

/** A text of each statement by which a page of the feed is taken, in their order. */
const TAKING = [
  'BEGIN',
  "<> 'retired' FOR UPDATE",
  'FROM analytics.orders WHERE generation',
  'INSERT INTO analytics.orders',
  'INSERT INTO analytics.totals',
  'INSERT INTO analytics.products',
  'INSERT INTO analytics.reasons',
  'INSERT INTO analytics.unreadable',
  'SET cursor =',
  'COMMIT',
];
/** Of building anew, besides: the list of orders, its turn, and clearing away. */
const BUILDING = ['SET listed_to', "SET state = 'retired' WHERE id", "SET state = 'live'", 'DELETE FROM analytics.'];

let installation: Installation;
let own: TestDatabase;
let proxy: PostgresProxy;
let readSide: Awaited<ReturnType<typeof startReadSide>>;
beforeAll(async () => {
  [installation, own] = await Promise.all([startInstallation(), createTestDatabase()]);
  proxy = await startPostgresProxy(own.url);
  readSide = await startReadSide({ DATABASE_URL: proxy.url, ORDERS_URL: installation.api.url });
}, 60_000);
afterAll(async () => {
  await readSide?.kill();
  await proxy?.stop();
  await own?.drop();
  await installation?.stop();
});

let kills = 0;
/** Kills it at the next statement of this text, and starts it again. `keep`: the statement is not carried out; `mute`: it is, and it never hears. */
async function killAt(text: string, loss: 'keep' | 'mute'): Promise<void> {
  await proxy.lose(text, loss);
  await readSide.kill();
  kills++;
  readSide.start();
}

/** Places orders, lets events expire and asks, all the time, until `work` is done. */
async function amidTraffic(work: () => Promise<void>, expiring: boolean) {
  let working = true;
  const samples: { asOf: string; sums: Sums }[] = [];
  const during = async (what: () => Promise<unknown>) => {
    while (working) await what();
  };
  const others = Promise.all([
    during(async () => {
      await installation.order();
      await pause(ORDER_EVERY_MS);
    }),
    during(async () => {
      await installation.lateOrder();
      await pause(ORDER_EVERY_MS);
    }),
    during(async () => {
      const answer = await readSide.totals();
      if (answer) samples.push({ asOf: answer.asOf, sums: sumOf(answer).sums });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }),
    during(async () => {
      if (expiring) await installation.expire(3_000);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }),
  ]);
  await work().finally(() => {
    working = false;
  });
  await others;
  return samples;
}

async function expectTruth(samples: { asOf: string; sums: Sums }[]) {
  const answer = await readSide.isBeyond(Date.now());
  const { totals, reasons, products } = await installation.inTruth();
  expect(sumOf(answer)).toMatchObject({ totals, reasons });
  const top = await readSide.ask<Product>('/v1/products?grain=day');
  expect(top?.rows).toMatchObject(products);
  const late: object[] = [];
  const bounds = ['placed', 'confirmed', 'cancelled', 'revenue'] as const;
  for (const { asOf, sums } of samples) {
    const told = await installation.toldBefore(asOf);
    if (bounds.some((name) => sums[name] < told[name] || sums[name] > sumOf(answer).sums[name]))
      late.push({ asOf, sums, told });
  }
  expect(late).toEqual([]);
  // What they were held against had all of it.
  expect((await installation.toldBefore(answer.asOf)).placed).toBeGreaterThanOrEqual(samples.at(-1)?.sums.placed ?? 0);
  expect((await installation.toldBefore(answer.asOf)).placed).toBe(sumOf(answer).totals.placed);
}

test('killed at every statement by which it takes a page, it has the orders’ sums to the cent', async () => {
  await readSide.isBeyond(Date.now());
  const samples = await amidTraffic(async () => {
    for (const text of TAKING) for (const loss of ['keep', 'mute'] as const) await killAt(text, loss);
  }, true);
  expect(kills).toBeGreaterThanOrEqual(20);
  expect(samples.length).toBeGreaterThan(20);
  await expectTruth(samples);
}, 120_000);

test('away for longer than events are kept, it is built anew from the orders while it answers, killed at every statement of that', async () => {
  await installation.order();
  await readSide.isBeyond(Date.now());
  await readSide.kill();
  const stoodAt = await installation.db.order.count();
  for (let i = 0; i < 20; i++) await installation.order();
  expect(await installation.expire(0)).toBeGreaterThan(0);
  readSide.start();
  const before = await eventually('it answers with what it had', () => readSide.totals());
  expect(sumOf(before).totals.placed).toBeLessThanOrEqual(stoodAt);
  const samples = await amidTraffic(async () => {
    for (const text of BUILDING)
      for (const loss of ['keep', 'mute'] as const) {
        await promisify(execFile)(process.execPath, ['examples/analytics/rebuild.mjs'], {
          env: { DATABASE_URL: own.url },
        });
        await killAt(text, loss);
      }
    await readSide.isBeyond(Date.now());
  }, false);
  await expectTruth(samples);
  expect((await readSide.totals())?.generation).toBeGreaterThan(before.generation);
}, 180_000);
