/** A small soak: the product's processes harmed from a fixed seed while clients order. `FULL=1` has 1,000 orders and 40 faults. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { isRight, type Result } from '../../soak/result.js';
import { soak } from '../../soak/run.js';

const FULL = process.env['FULL'] === '1';
const SIZE = FULL ? { orders: 1_000, faults: 40 } : { orders: 100, faults: 10 };
const LIMIT_MS = FULL ? 1_200_000 : 300_000;

const folder = mkdtempSync(join(tmpdir(), 'order-saga-soak-'));
const stops: (() => Promise<unknown>)[] = [];
let result: Result;
beforeAll(async () => {
  const seed = process.env['SOAK_SEED'] ?? 'suite';
  result = await soak({ ...SIZE, seed, slice: { index: 1, of: 1 }, folder, say: () => undefined, stops });
}, LIMIT_MS);
afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  if (result && isRight(result)) rmSync(folder, { recursive: true, force: true });
}, 60_000);

test('whatever was promised holds after clients and faults from a seed', () => {
  expect(result.held.filter(({ violations }) => violations.length > 0)).toEqual([]);
  expect(result.violations).toEqual([]);
});

test('every fault of the plan was carried out, and orders came to their ends both ways', () => {
  const became = Object.values(result.faults).flatMap((by) => Object.entries(by));
  const done = became.reduce((sum, [how, count]) => sum + (how === 'done' || how === 'missed' ? count : 0), 0);
  expect(done).toBe(SIZE.faults);
  expect(Math.min(result.orders.confirmed, result.orders.cancelled)).toBeGreaterThan(SIZE.orders / 10);
});

test('what was planned and what was done is kept beside the result', () => {
  expect(existsSync(join(folder, 'plan.json'))).toBe(true);
  const lines = readFileSync(join(folder, 'operations.jsonl'), 'utf8').trim().split('\n');
  expect(lines.filter((line) => line.includes('"phase":"invoke"')).length).toBeGreaterThan(SIZE.orders);
});
