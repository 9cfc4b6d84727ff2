/** What was asked of this run, on the command line. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';

export type Options = {
  /** Names of scenarios; empty = all. */
  only: string[];
  repetitions: number;
  /** How much of everything: 1 as published, less for a smoke test. */
  scale: number;
  soakMs: number;
  /** Another version of the product, built, that the scenario `waiting` measures in turns with this one. */
  base?: string;
  /** Folder of Temporal’s server and SQL tool, which the scenario `scale-out` starts on Postgres. */
  temporalServer?: string;
};

const REPETITIONS = 3;
const QUICK_SCALE = 0.1;
const SOAK_MS = 60_000;
const FULL_SOAK_MS = 15 * 60_000;

/** @param names the scenarios there are */
export function parseOptions(argv: string[], names: string[]): Options {
  const { only, quick, full, reps, base, temporalServer } = new Command('npm run bench --')
    .description(
      'Measures the service beside its yardsticks, prints a table and, if it ran everything, writes bench/RESULTS.md.',
    )
    .option('--only <scenarios>', `some of ${names.join(', ')}, separated by commas`, parseNames(names), [])
    .option('--quick', 'a tenth of everything, once: does it work?')
    .option('--full', 'the soak takes 15 minutes instead of one')
    .option('--reps <n>', 'repetitions, of which the median counts', parseCount)
    .option('--base <checkout>', 'another version of the product, built, to measure `waiting` in turns with')
    .option('--temporal-server <folder>', 'temporal-server and temporal-sql-tool, for `scale-out`')
    .parse(argv)
    .opts<{
      only: string[];
      quick?: true;
      full?: true;
      reps?: number;
      base?: string;
      temporalServer?: string;
    }>();
  return {
    only,
    repetitions: reps ?? (quick ? 1 : REPETITIONS),
    scale: quick ? QUICK_SCALE : 1,
    soakMs: full ? FULL_SOAK_MS : quick ? SOAK_MS * QUICK_SCALE : SOAK_MS,
    ...(base !== undefined && { base: resolve(base) }),
    ...(temporalServer !== undefined && { temporalServer: resolve(temporalServer) }),
  };
}

const parseNames = (known: string[]) => (text: string) => {
  const names = text.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no scenario "${unknown}".`);
  return names;
};

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return count;
}
