/** Many simulations in a row: how many in a second, what they have reached, and the first that broke an invariant. */
import type { Violation } from './invariants.js';
import { Product, type Change } from './product.js';
import { type Line, type Loaded, type Planted, simulate } from './saga.js';
import { shrink } from './shrinking.js';
import { RARE, SOMETIMES } from './sometimes.js';
import { Tape } from './tape.js';
import { Workers } from './world/workers.js';

export type Failing = {
  seed: number | undefined;
  violation: Violation;
  /** The shrunk one. */
  tape: number[];
  story: Line[];
};
export type Findings = {
  seeds: number;
  events: number;
  /** How many simulations have reached it. */
  reached: Record<string, number>;
  failing: Failing | undefined;
};

/** @param dist where the build is */
export function load(dist: string, changes: readonly Change[] = [], planted: Planted = {}): Loaded {
  const product = new Product(dist, changes);
  return { product, workers: new Workers(product), planted };
}

/** A context keeps a little of each saga for ever: it is made anew now and then. */
const SEEDS_PER_CONTEXT = 5_000;

/**
 * @param make loads the product
 * @param isTime whether to stop early
 */
export async function runSeeds(
  make: () => Loaded,
  { from, seeds, isTime = () => false }: { from: number; seeds: number; isTime?: () => boolean },
): Promise<Findings> {
  const findings: Findings = { seeds: 0, events: 0, reached: {}, failing: undefined };
  let loaded = make();
  await withoutStacks(async (unhandled) => {
    for (let seed = from; seed < from + seeds && !isTime(); seed++) {
      if (findings.seeds > 0 && findings.seeds % SEEDS_PER_CONTEXT === 0) loaded = make();
      const tape = new Tape({ seed });
      const { violation, reached, executions } = simulate(loaded, tape);
      findings.seeds++;
      for (const { earlier, history } of executions) findings.events += earlier.flat().length + history.length;
      for (const what of reached) findings.reached[what] = (findings.reached[what] ?? 0) + 1;
      await new Promise(setImmediate); // whatever was rejected and not handled is told of now
      const how = `a promise was rejected, and nobody looked: ${unhandled[0]}`;
      if (unhandled.length > 0)
        findings.failing = { ...failing(loaded, tape.values, { invariant: REJECTED, how }, 0), seed };
      if (violation) findings.failing = { ...failing(loaded, tape.values, violation), seed };
      if (findings.failing) return;
    }
  });
  return findings;
}

/** Shrinks it, and tells its story. */
export function failing(loaded: Loaded, values: readonly number[], violation: Violation, triesMax?: number): Failing {
  const tape = shrink(loaded, values, violation.invariant, triesMax);
  const told = simulate(loaded, new Tape({ values: tape }), { tells: true });
  return { seed: undefined, violation: told.violation ?? violation, tape, story: told.story };
}

/** @param seeds of how many: of few not everything can be expected */
export const notReached = ({ reached, seeds }: Findings): string[] =>
  SOMETIMES.filter((what) => !reached[what] && (seeds >= SEEDS_FOR_ALL || !RARE.has(what)));
const SEEDS_FOR_ALL = 20_000;
/** Of fewer, nothing. */
export const SEEDS_FOR_MOST = 1_000;

/** A worker fails the task of a workflow that leaves one behind. */
const REJECTED = 'no rejection is left';

/**
 * An activity that fails makes three errors; their stacks cost more than the rest of its simulation.
 * @param work is given what was rejected meanwhile, and not handled
 */
async function withoutStacks(work: (unhandled: unknown[]) => Promise<void>): Promise<void> {
  const { stackTraceLimit } = Error;
  const unhandled: unknown[] = [];
  const note = (err: unknown) => void unhandled.push(err);
  Error.stackTraceLimit = 0;
  process.on('unhandledRejection', note);
  try {
    await work(unhandled);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
  }
}
