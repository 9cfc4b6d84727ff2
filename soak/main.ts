/**
 * The soak: clients, operators and faults from a seed, on an installation of its own; then everything must come to its end, and all that
 * is promised must hold. `npm run soak -- --seed 1 --orders 1000 --faults 30`.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { CHECKOUT } from '../local/checkout.js';
import { describeResult, keepResult, markdown, readResults } from './report.js';
import { isRight } from './result.js';
import { soak } from './run.js';

type Options = {
  seed: string;
  orders: number;
  faults: number;
  slice: { index: number; of: number };
  folder: string;
  publish?: true;
};

if (process.platform !== 'linux') throw new Error('The soak reads /proc, which only Linux has.');
const { seed, orders, faults, slice, folder, publish } = new Command('npm run soak --')
  .description('Harms an installation of its own from a seed, and verifies that everything promised holds.')
  .option('--seed <name>', 'the same name gives the same operations and faults', parseSeed, '1')
  .option('--orders <n>', 'orders that clients place', parseCount, 1_000)
  .option('--faults <n>', 'faults amid them', parseCount, 30)
  .option('--slice <i/n>', 'one part of n, on an installation of its own; all parts are the whole', parseSlice, {
    index: 1,
    of: 1,
  })
  .option('--folder <path>', 'where evidence and results are kept', join(CHECKOUT, '.soak'))
  .option('--publish', 'only writes soak/RESULTS.md from the results kept')
  .parse()
  .opts<Options>();

mkdirSync(folder, { recursive: true });
const results = join(folder, 'results.json');
if (publish) {
  writeFileSync(join(CHECKOUT, 'soak', 'RESULTS.md'), markdown(readResults(results)));
  process.exit(0);
}

const begun = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`[soak ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
const stops: (() => Promise<unknown>)[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    say(`${signal}: stopping what was started …`);
    void stopAll().finally(() => process.exit(1));
  });
}
const evidence = join(folder, `${seed}-${orders}-${faults}-${slice.index}-of-${slice.of}`);
rmSync(evidence, { recursive: true, force: true });
try {
  const result = await soak({ seed, orders, faults, slice, folder: evidence, say, stops });
  keepResult(results, result);
  process.stdout.write(`${describeResult(result)}\n`);
  if (isRight(result)) rmSync(evidence, { recursive: true, force: true });
  else say(`the evidence is in ${evidence}`);
  process.exit(isRight(result) ? 0 : 1);
} catch (err) {
  say(`it could not be carried out: ${(err as Error).stack}\nwhat there is of it is in ${evidence}`);
  await stopAll();
  process.exit(2);
}

/** One that cannot be stopped keeps no other from being stopped. */
async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop().catch(() => undefined);
}

function parseSeed(text: string): string {
  if (!/^[A-Za-z0-9]{1,20}$/.test(text)) throw new InvalidArgumentError('It is not of letters and digits, 20 at most.');
  return text;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return count;
}

function parseSlice(text: string): Options['slice'] {
  const [index = 0, of = 0] = text.split('/').map(Number);
  if (!(Number.isInteger(index) && Number.isInteger(of) && index >= 1 && index <= of))
    throw new InvalidArgumentError('It is not i/n, with i from 1 to n.');
  return { index, of };
}
