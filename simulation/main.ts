/**
 * `npm run simulate`: simulated orders, one a seed, until one breaks an invariant or all are done.
 *
 *     npm run simulate -- --seeds 100000 --from 0 [--seconds 600] [--json figures.json]
 *     npm run simulate -- --tape 0,1,2      tells what happens in one
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Failing, failing, type Findings, load, notReached, runSeeds, SEEDS_FOR_MOST } from './run.js';
import { simulate } from './saga.js';
import { SOMETIMES } from './sometimes.js';
import { Tape } from './tape.js';

const DIST = fileURLToPath(new URL('..', import.meta.url));
const print = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values: options } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '0' },
      seconds: { type: 'string' },
      tape: { type: 'string' },
      json: { type: 'string' },
    },
  });
  if (options.tape !== undefined) return tellOne(options.tape === '' ? [] : options.tape.split(',').map(Number));
  const [seeds, from] = [numberOf('--seeds', options.seeds), numberOf('--from', options.from)];
  const began = performance.now();
  const cpu = process.cpuUsage();
  const limitMs =
    options.seconds === undefined ? Number.POSITIVE_INFINITY : numberOf('--seconds', options.seconds) * 1_000;
  let isAsked = false;
  process.once('SIGINT', () => {
    isAsked = true; // a second one ends the process
  });
  const isTime = () => isAsked || performance.now() - began > limitMs;
  const findings = await runSeeds(() => load(DIST), { from, seeds, isTime });
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const rate = findings.seeds / seconds;
  print(
    `${findings.seeds} simulated orders (seeds ${from} to ${from + findings.seeds - 1}), ${findings.events} events of history`,
  );
  print(`${rate.toFixed(0)} a second; ${((user + system) / 1_000 / findings.seeds).toFixed(2)} ms of CPU each`);
  for (const what of SOMETIMES) print(`${String(findings.reached[what] ?? 0).padStart(8)}  ${what}`);
  if (options.json !== undefined) add(options.json, findings, { from, cpuS: (user + system) / 1_000_000 });
  if (findings.failing) return tell(findings.failing);
  const missing = notReached(findings);
  if (missing.length === 0 || findings.seeds < SEEDS_FOR_MOST) return 0;
  print(`\nNever reached: ${missing.join(', ')}`);
  return 1;
}

function numberOf(option: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${option} must be a whole number, got ${value}`);
  return number;
}

function tell({ seed, violation, tape, story }: Failing): number {
  for (const { atMs, what } of story) print(`${(atMs / 1_000).toFixed(3).padStart(12)} s  ${what}`);
  print(`\n${violation.invariant}: ${violation.how}`);
  if (seed !== undefined) print(`Found with seed ${seed}, and made as short as it gets. Once more:`);
  print(`npm run simulate -- --tape ${tape.join()}`);
  return 1;
}

function tellOne(values: number[]): number {
  const loaded = load(DIST);
  const { violation, story } = simulate(loaded, new Tape({ values }), { tells: true });
  if (violation) return tell({ ...failing(loaded, values, violation, 0), tape: values });
  for (const { atMs, what } of story) print(`${(atMs / 1_000).toFixed(3).padStart(12)} s  ${what}`);
  print('\nNo invariant breaks.');
  return 0;
}

type Figures = {
  seeds: number;
  events: number;
  cpuS: number;
  violations: number;
  ranges: string[];
  reached: Record<string, number>;
};

/** Cumulative: one file over many runs. */
function add(
  file: string,
  { seeds, events, reached, failing }: Findings,
  { from, cpuS }: { from: number; cpuS: number },
): void {
  const none: Figures = { seeds: 0, events: 0, cpuS: 0, violations: 0, ranges: [], reached: {} };
  const sum = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Figures) : none;
  for (const [what, times] of Object.entries(reached)) sum.reached[what] = (sum.reached[what] ?? 0) + times;
  const figures: Figures = {
    seeds: sum.seeds + seeds,
    events: sum.events + events,
    cpuS: Math.round(sum.cpuS + cpuS),
    violations: sum.violations + (failing ? 1 : 0),
    ranges: [...sum.ranges, `${from}-${from + seeds - 1}`],
    reached: sum.reached,
  };
  writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
}

process.exitCode = await main();
