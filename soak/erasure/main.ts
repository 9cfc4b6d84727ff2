/** `npm run erasure:proof -- --orders 1000`: a person with orders of every kind is erased under load, on an installation of its own. */
import { Command } from 'commander';
import { count, runAsProgram } from '../proof-program.js';
import { proveErasure } from './proof.js';
import { markdown } from './report.js';

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

await runAsProgram(
  { name: 'erasure', publish: publish && 'ERASURE.md' },
  (place) => proveErasure({ orders, inFlight: flight, perSecond: rate, ...place }),
  markdown,
);
