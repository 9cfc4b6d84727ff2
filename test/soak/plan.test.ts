/** Plans: all of a run that is planned follows from its seed. */
import { expect, test } from '@jest/globals';
import { commandOf, planOf } from '../../soak/plan/plan.js';

const SIZE = { seed: 'a', orders: 500, faults: 300, slice: { index: 1, of: 1 } };
const textOf = (size: typeof SIZE) => JSON.stringify(planOf(size));
const cellsOf = (size: typeof SIZE) => planOf(size).schedule.map(({ kind, target }) => `${kind} ${target}`);

test('the same seed gives the same plan, another seed another', () => {
  expect(textOf(SIZE)).toBe(textOf({ ...SIZE }));
  expect(planOf({ ...SIZE, seed: 'b' }).operations).not.toEqual(planOf(SIZE).operations);
});

test('every cell of kind and target comes before any comes again; of the processes, twice', () => {
  for (const isLink of [true, false]) {
    const cells = cellsOf(SIZE).filter((cell) => cell.startsWith('link ') === isLink);
    const deck = new Set(cells);
    const again = cells.findIndex((cell, i) => cells.slice(0, i).filter((other) => other === cell).length === 2);
    expect(new Set(cells.slice(0, again))).toEqual(deck);
    expect(deck.size).toBe(isLink ? 85 : 77);
  }
});

test('slices have all orders and faults between them, and each its own', () => {
  const slices = [1, 2, 3].map((index) => planOf({ ...SIZE, orders: 100, faults: 10, slice: { index, of: 3 } }));
  const customers = slices.flatMap(({ operations }) =>
    operations.flatMap((one) => (one.kind === 'order' ? [one.order.customerId] : [])),
  );
  expect(new Set(customers).size).toBe(100);
  expect(slices.flatMap(({ schedule }) => schedule)).toHaveLength(10);
});

test('a run names the command line that repeats it', () => {
  expect(commandOf({ ...SIZE, slice: { index: 2, of: 3 } })).toBe(
    'npm run soak -- --seed a --orders 500 --faults 300 --slice 2/3',
  );
});
