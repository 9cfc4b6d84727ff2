/** Scenario: one question to this machine, with everything that is needed to answer it. */
import type { Options } from './options.js';
import type { Findings } from './report.js';

export type Bench = Options & {
  /** Progress, for the terminal. */
  say: (text: string) => void;
  /** As many as published, or fewer for a smoke test. */
  sized: (count: number) => number;
  /** Seconds of every `npm start` of this run, from an empty folder and from a used one. */
  starts: { first: number[]; again: number[] };
};

export type Scenario = { name: string; run: (bench: Bench) => Promise<Findings> };

/** Runs each of the works once per repetition, in turns (A B A B), so that what the machine does in passing meets all alike. */
export async function inTurns<K extends string, T>(
  { repetitions, say }: Bench,
  works: Record<K, () => Promise<T>>,
): Promise<Record<K, T[]>> {
  const names = Object.keys(works) as K[];
  const results = Object.fromEntries(names.map((name) => [name, [] as T[]])) as Record<K, T[]>;
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const name of names) {
      const from = performance.now();
      results[name].push(await works[name]());
      say(`  ${name}, ${repetition} of ${repetitions}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
    }
  }
  return results;
}
