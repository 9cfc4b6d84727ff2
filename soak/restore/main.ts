/** The restore drill: `npm run restore:drill -- --rounds 2 --temporal-server <folder of temporal-server and temporal-sql-tool>`. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { CHECKOUT } from '../../local/checkout.js';
import { randomOf } from '../random.js';
import { drill, type Round } from './drill.js';

type Options = { seed: string; rounds: string; clients: string; archiveTimeout: string; temporalServer?: string };
const options = new Command('npm run restore:drill --')
  .description(
    'Loses a machine at a random moment under load, restores Postgres from a base backup and the WAL, and verifies what there is.',
  )
  .option('--seed <name>', 'by which the moments are chosen', '1')
  .option('--rounds <n>', 'every second one goes back to a moment before the loss', '2')
  .option('--clients <n>', 'that order without a pause', '4')
  .option('--archive-timeout <s>', 'as Postgres is set', '30')
  .option(
    '--temporal-server <folder>',
    'with temporal-server and temporal-sql-tool: Temporal is in the same Postgres, and restored with it',
  )
  .parse()
  .opts<Options>();

const random = randomOf(`restore ${options.seed}`);
const folder = join(CHECKOUT, '.soak', 'restore');
const rounds: Round[] = [];
for (let n = 0; n < Number(options.rounds); n++) {
  const place = join(folder, `${n}`);
  rmSync(place, { recursive: true, force: true });
  const timeoutS = Number(options.archiveTimeout);
  const round = await drill(
    { folder: place, programs: options.temporalServer, archiveTimeoutS: timeoutS },
    {
      clients: Number(options.clients),
      beforeBaseMs: 3_000,
      afterBaseMs: (timeoutS + random.next() * timeoutS) * 1_000,
      backMs: n % 2 === 0 ? undefined : timeoutS * 1_000,
      say: (text) => void process.stderr.write(`[restore ${n + 1}] ${text}\n`),
    },
  );
  rounds.push(round);
  process.stderr.write(`[restore ${n + 1}] ${JSON.stringify(round)}\n`);
  if (round.violations.length === 0) rmSync(place, { recursive: true, force: true });
}
const s = (seconds: number) => seconds.toFixed(1);
process.stdout.write(
  [
    `Temporal: ${options.temporalServer === undefined ? 'the development server, which is not restored (its programs for Postgres were not given)' : 'on the same Postgres, restored with it'}. archive_timeout ${options.archiveTimeout} s.`,
    '',
    '| back to | told | lost | RPO, s | Postgres back, s | settled, s | RTO, s | differences | charges of lost orders given back | violations |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...rounds.map(
      (r) =>
        `| ${r.target} | ${r.told} | ${r.lost} | ${s(r.rpoS)} | ${s(r.recoveredS)} | ${s(r.settledS)} | ${s(r.rtoS)} | ${
          Object.entries(r.differences)
            .map(([kind, count]) => `${count} ${kind}`)
            .join(', ') || 'none'
        } | ${r.refunded} | ${r.violations.length} |`,
    ),
    ...rounds.flatMap(({ violations }) => violations),
    '',
  ].join('\n'),
);
process.exit(rounds.every(({ violations }) => violations.length === 0) ? 0 : 1);
