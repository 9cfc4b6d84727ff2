/** The result of one run: figures that add up over runs, and what was wrong. */
import type { Call } from './operation-log.js';
import type { Size } from './plan/plan.js';

export type Held = { invariant: string; checked: number; violations: string[] };
export type Result = Pick<Size, 'seed' | 'slice'> & {
  /** Of the whole, of which this may be a slice. */
  size: { orders: number; faults: number };
  ordersPlanned: number;
  faultsPlanned: number;
  commit: string;
  machine: string;
  at: string;
  seconds: number;
  quiesceSeconds: number;
  orders: { accepted: number; confirmed: number; cancelled: number };
  /** Why orders were cancelled. */
  reasons: Record<string, number>;
  /** By kind, then by outcome. */
  operations: Record<string, Record<string, number>>;
  /** By kind and target, then by what became of them. */
  faults: Record<string, Record<string, number>>;
  decided: number;
  replayed: number;
  held: Held[];
  /** What was not over in time, and what no fault explains. */
  violations: string[];
};

export const isRight = ({ held, violations }: Pick<Result, 'held' | 'violations'>): boolean =>
  violations.length === 0 && held.every((one) => one.violations.length === 0);

/** How many there are of each name and each outcome. */
export function tally<Row>(
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  outcomeOf: (row: Row) => string,
): Record<string, Record<string, number>> {
  const counts: Record<string, Record<string, number>> = {};
  for (const row of rows) {
    const of = counts[nameOf(row)] ?? {};
    counts[nameOf(row)] = { ...of, [outcomeOf(row)]: (of[outcomeOf(row)] ?? 0) + 1 };
  }
  return counts;
}

export const tallyCalls = (calls: readonly Call[]) =>
  tally(
    calls,
    ({ kind }) => kind,
    ({ outcome }) => outcome,
  );
