/** The plan of a run: the same seed, size and slice give the same one. What is not planned is how long things take. */
import { randomOf } from '../random.js';
import { type Fault, planFaults } from './faults.js';
import { type Operation, planOperations } from './operations.js';

export type Size = {
  seed: string;
  orders: number;
  faults: number;
  /** A run in parts, each on an installation of its own. From 1. */
  slice: { index: number; of: number };
};
export type Plan = Size & { operations: Operation[]; schedule: Fault[] };

/** @returns what this slice has of the whole: its share of orders and faults, from its own part of the seed */
export function planOf(size: Size): Plan {
  const { seed, slice } = size;
  const [orders, faults] = [shareOf(size.orders, slice), shareOf(size.faults, slice)];
  const name = `${seed}-${slice.index}`;
  const operations = planOperations(randomOf(`${name} operations`), name, orders);
  return { ...size, operations, schedule: planFaults(randomOf(`${name} faults`), faults, operations.length) };
}

const shareOf = (whole: number, { index, of }: Size['slice']): number =>
  Math.floor((whole * index) / of) - Math.floor((whole * (index - 1)) / of);

/** The command line that runs it again. */
export const commandOf = ({ seed, orders, faults, slice }: Size): string =>
  `npm run soak -- --seed ${seed} --orders ${orders} --faults ${faults}${slice.of > 1 ? ` --slice ${slice.index}/${slice.of}` : ''}`;
