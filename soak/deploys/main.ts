/** `npm run deploys -- --sagas 1000`: deploys with sagas in flight, under load, on an installation of its own. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { CHECKOUT } from '../../local/checkout.js';
import { isRight } from '../result.js';
import { markdown } from './report.js';
import { runDeploys } from './run.js';

if (process.platform !== 'linux') throw new Error('The soak reads /proc, which only Linux has.');
const { sagas, rate, hold, publish } = new Command('npm run deploys --')
  .description('Rolls releases out, back and over with sagas in flight, and verifies that everything promised holds.')
  .option('--sagas <n>', 'in flight all through it', count, 1_000)
  .option('--rate <n>', 'orders a second beside', count, 5)
  .option('--hold <seconds>', 'how long each step of a rollout lasts', count, 20)
  .option('--publish', 'writes soak/DEPLOYS.md')
  .parse()
  .opts<{ sagas: number; rate: number; hold: number; publish?: true }>();

const begun = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`[deploys ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
const stops: (() => Promise<unknown>)[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    say(`${signal}: stopping what was started …`);
    void stopAll().finally(() => process.exit(1));
  });
}
const folder = join(CHECKOUT, '.soak', 'deploys');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const pace = { steps: '10,50,100', hold: `${hold}s`, sagas: '5', quietMs: (hold * 1_000) / 2 };
try {
  const result = await runDeploys({ sagas, perSecond: rate, pace, withBadReleases: true, folder, say, stops });
  const text = markdown(result);
  process.stdout.write(text);
  writeFileSync(join(folder, 'result.json'), JSON.stringify(result, undefined, 1));
  if (publish) writeFileSync(join(CHECKOUT, 'soak', 'DEPLOYS.md'), text);
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
