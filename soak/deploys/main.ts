/** `npm run deploys -- --sagas 1000`: deploys with sagas in flight, under load, on an installation of its own. */
import { Command } from 'commander';
import { count, runAsProgram } from '../proof-program.js';
import { markdown } from './report.js';
import { runDeploys } from './run.js';

const { sagas, rate, hold, publish } = new Command('npm run deploys --')
  .description('Rolls releases out, back and over with sagas in flight, and verifies that everything promised holds.')
  .option('--sagas <n>', 'in flight all through it', count, 1_000)
  .option('--rate <n>', 'orders a second beside', count, 5)
  .option('--hold <seconds>', 'how long each step of a rollout lasts', count, 20)
  .option('--publish', 'writes soak/DEPLOYS.md')
  .parse()
  .opts<{ sagas: number; rate: number; hold: number; publish?: true }>();

const pace = { steps: '10,50,100', hold: `${hold}s`, sagas: '5', quietMs: (hold * 1_000) / 2 };
await runAsProgram(
  { name: 'deploys', publish: publish && 'DEPLOYS.md' },
  (place) => runDeploys({ sagas, perSecond: rate, pace, withBadReleases: true, ...place }),
  markdown,
);
