/** `npm run erasure:proof -- --orders 1000`: a person with orders of every kind is erased under load, on an installation of its own. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { CHECKOUT } from '../../local/checkout.js';
import { isRight } from '../result.js';
import { proveErasure } from './proof.js';
import { markdown } from './report.js';

if (process.platform !== 'linux') throw new Error('The soak reads /proc, which only Linux has.');
const { orders, flight, rate, publish } = new Command('npm run erasure:proof --')
  .description(
    'Erases a person with orders of every kind while others order, kills workers amid it, and verifies that everything promised holds.',
  )
  .option('--orders <n>', 'of that person', count, 1_000)
  .option('--flight <n>', 'of them in flight when the erasure is asked for', count, 50)
  .option('--rate <n>', 'orders a second of others', count, 5)
  .option('--publish', 'writes soak/ERASURE.md')
  .parse()
  .opts<{ orders: number; flight: number; rate: number; publish?: true }>();

const begun = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`[erasure ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
const stops: (() => Promise<unknown>)[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    say(`${signal}: stopping what was started …`);
    void stopAll().finally(() => process.exit(1));
  });
}
const folder = join(CHECKOUT, '.soak', 'erasure');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
try {
  const result = await proveErasure({ orders, inFlight: flight, perSecond: rate, folder, say, stops });
  const text = markdown(result);
  process.stdout.write(text);
  writeFileSync(join(folder, 'result.json'), JSON.stringify(result, undefined, 1));
  if (publish) writeFileSync(join(CHECKOUT, 'soak', 'ERASURE.md'), text);
  if (!isRight(result)) say(`the logs are in ${folder}`);
  process.exit(isRight(result) ? 0 : 1);
} catch (err) {
  say(`it could not be carried out: ${(err as Error).stack}\nwhat there is of it is in ${folder}`);
  await stopAll();
  process.exit(2);
}

/** One that cannot be stopped keeps no other from being stopped. */
async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop().catch(() => undefined);
}

function count(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return n;
}
