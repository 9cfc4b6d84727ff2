/** The ops CLI: for the operator who has just been woken. It acts on Temporal and Postgres directly, so that it works while the API does not. */
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError, Option } from 'commander';
import { printableError } from '../runtime/errors/facts.js';
import { EXIT, EXIT_HELP } from './exit.js';
import { ignoreClosedPipes } from './output.js';

const HELP = `
At 3 a.m.:
  ops doctor                                   what of the service is well, and what is not
  ops stuck                                    which orders stand still, grouped by cause
  ops find --customer <id> --from 2h           from what a caller has to the order
  ops explain <id>                             one of them: why it stands so, what you may do, what that costs
  ops customer <id>                            its references: by these Temporal, events and rows know a customer
  ops export <customer>                        all that is kept of one person, for a request of theirs
  ops order <id>                               all of it: which step, which error, whose money
  (mend the cause: the gateway, the database, the credentials)
  ops retry --all --step chargePayment --canary 3
                                               three first, one by one; the rest only if these succeed
  ops compensate <id> --reason 'ticket 4711'   or give an order up
  ops operations                               what the service does with many at once; pause, resume, abort
  ops cancel <id> --reason 'recalled'          also a confirmed one: refund, release, cancel
  ops brakes engage charging --reason …        stop something on purpose: accepting, charging, or a limit on spending
  ops reconcile                                money: where the gateway's ledger and ours differ; close it with --close
  ops pseudonyms --begin                       after the deploy that brought references of customers
  ops adopt                                    after a restore: which database moves money
  ops after-restore --since 2h                 after a restore: orders on which Postgres, Temporal and the gateway disagree
  ops erasures --apply-journal                 after a restore: persons who were erased, and are here again
  ops dead-letters                             events that a destination would not take; replay, discard
  ops erase <customer> --reason 'ticket 12'    erase a person; ops erasures says what holds it
  ops stock adjust <sku> --by -7 --reason …    pieces that were lost or found
  ops audit verify                             whether the audit trail is what was signed
  ops keys                                     which keys wrap customers' keys; rewrap, rotate
  ops replay-check --since 24h --bundle <path> before a deploy: can new saga code go on with the sagas there are?
  ops rollout --build <id> --bundle <path>     a share of sagas for a new build, growing; taken back by itself if they fail
  ops verify                                   whether orders, stock and events are as promised; it only reads
  ops report --from 2026-11-01 --csv           orders by outcome, compensations, decisions, findings

ops stands for \`npm run -s ops --\`. Commands that change something show what they are about to do and ask; --yes answers.
It finds the installation by DATABASE_URL and TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_…,
TEMPORAL_PROFILE, as every Temporal tool), else in DATA_DIR (.data) with TEMPORAL_PORT (7233), as \`npm start\` does.
TEMPORAL_UI_URL gives the links. NO_COLOR is respected.

${EXIT_HELP}`;

/**
 * V8 optimises a function once it has been run so much: 15 times as much as by itself. Most commands end before that would pay: a fifth
 * less CPU, and as quick.
 */
setFlagsFromString('--interrupt-budget=2000000');

type Loader = () => Promise<(program: Command) => void>;
/**
 * What adds the commands, in the order of `--help`. Some load what others do without, Temporal's client above all, which takes as long
 * as the rest together: a command waits for what it needs itself.
 */
const LOADERS: [names: string, load: Loader][] = [
  ['doctor', async () => (await import('./doctor/command.js')).addDoctorCommand],
  ['stuck', async () => (await import('./stuck.js')).addStuckCommand],
  ['order', async () => (await import('./order.js')).addOrderCommand],
  ['explain', async () => (await import('./explain-order.js')).addExplainCommand],
  ['find', async () => (await import('./find.js')).addFindCommand],
  ['customer', async () => (await import('./customer.js')).addCustomerCommand],
  ['export', async () => (await import('./export.js')).addExportCommand],
  ['retry skip compensate', async () => (await import('./resolve.js')).addResolveCommands],
  ['cancel', async () => (await import('./cancel.js')).addCancelCommand],
  ['brakes', async () => (await import('./brakes.js')).addBrakeCommands],
  ['operations', async () => (await import('./operations/command.js')).addOperationCommands],
  ['stock', async () => (await import('./stock.js')).addStockCommand],
  ['reconcile', async () => (await import('./reconcile.js')).addReconcileCommand],
  ['dead-letters', async () => (await import('./dead-letters.js')).addDeadLetterCommands],
  ['erase erasures', async () => (await import('./erasures.js')).addErasureCommands],
  ['feed-clock', async () => (await import('./feed-clock.js')).addFeedClockCommand],
  ['pseudonyms', async () => (await import('./pseudonyms.js')).addPseudonymsCommand],
  ['adopt', async () => (await import('./adopt.js')).addAdoptCommand],
  ['after-restore', async () => (await import('./after-restore/command.js')).addAfterRestoreCommand],
  ['audit', async () => (await import('./audit.js')).addAuditCommands],
  ['keys', async () => (await import('./keys/command.js')).addKeysCommands],
  ['verify', async () => (await import('./verify.js')).addVerifyCommand],
  ['replay-check', async () => (await import('./replay-check/command.js')).addReplayCheckCommand],
  ['rollout', async () => (await import('./rollout/command.js')).addRolloutCommand],
  ['report', async () => (await import('./report/command.js')).addReportCommand],
];

/** @returns that of the command that comes first in these arguments; all, for the list of commands, if none does */
function loadersFor([first = '']: string[]): Loader[] {
  const own = LOADERS.filter(([names]) => names.split(' ').includes(first));
  return (own.length > 0 ? own : LOADERS).map(([, load]) => load);
}

ignoreClosedPipes();

const program = new Command('ops')
  .description('Operate order-saga: find stuck sagas, decide on them, look into orders and stock.')
  .addOption(
    new Option('--output <format>', 'json: one document on stdout, all else on stderr')
      .choices(['table', 'json'])
      .default('table'),
  )
  .option('--no-color', 'no colours')
  .helpOption('-h, --help', 'this')
  .addHelpText('after', HELP)
  .showHelpAfterError('See --help.')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride();

for (const add of await Promise.all(loadersFor(process.argv.slice(2)).map((load) => load()))) add(program);

try {
  await program.parseAsync();
} catch (err) {
  if (err instanceof CommanderError) process.exitCode = err.exitCode === 0 ? EXIT.done : EXIT.usage;
  else {
    process.stderr.write(`${printableError(err)}\n`);
    process.exitCode = EXIT.failed;
  }
}
