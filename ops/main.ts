/** The ops CLI: for the operator who has just been woken. It acts on Temporal and Postgres directly, so that it works while the API does not. */
import { Command, CommanderError, Option } from 'commander';
import { printableError } from '../runtime/errors/facts.js';
import { addAdoptCommand } from './adopt.js';
import { addAuditCommands } from './audit.js';
import { addCancelCommand } from './cancel.js';
import { addDeadLetterCommands } from './dead-letters.js';
import { EXIT, EXIT_HELP } from './exit.js';
import { addDoctorCommand } from './doctor/command.js';
import { addFeedClockCommand } from './feed-clock.js';
import { addFindCommand } from './find.js';
import { addOrderCommand } from './order.js';
import { ignoreClosedPipes } from './output.js';
import { addReconcileCommand } from './reconcile.js';
import { addReportCommand } from './report/command.js';
import { addResolveCommands } from './resolve.js';
import { addStockCommand } from './stock.js';
import { addStuckCommand } from './stuck.js';
import { addVerifyCommand } from './verify.js';

const HELP = `
At 3 a.m.:
  ops doctor                                   what of the service is well, and what is not
  ops stuck                                    which orders stand still, grouped by cause
  ops find --customer <id> --from 2h           from what a caller has to the order
  ops order <id>                               one of them: which step, which error, whose money
  (mend the cause: the gateway, the database, the credentials)
  ops retry --all --step chargePayment --canary 3
                                               three first, one by one; the rest only if these succeed
  ops compensate <id> --reason 'ticket 4711'   or give an order up
  ops cancel <id> --reason 'recalled'          also a confirmed one: refund, release, cancel
  ops reconcile                                money: where the gateway's ledger and ours differ; close it with --close
  ops adopt                                    after a restore: which database moves money
  ops dead-letters                             events that a destination would not take; replay, discard
  ops stock adjust <sku> --by -7 --reason …    pieces that were lost or found
  ops audit verify                             whether the audit trail is what was signed
  ops verify                                   whether orders, stock and events are as promised; it only reads
  ops report --from 2026-11-01 --csv           orders by outcome, compensations, decisions, findings

ops stands for \`npm run -s ops --\`. Commands that change something show what they are about to do and ask; --yes answers.
It finds the installation by DATABASE_URL and TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_…,
TEMPORAL_PROFILE, as every Temporal tool), else in DATA_DIR (.data) with TEMPORAL_PORT (7233), as \`npm start\` does.
TEMPORAL_UI_URL gives the links. NO_COLOR is respected.

${EXIT_HELP}`;

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

addDoctorCommand(program);
addStuckCommand(program);
addOrderCommand(program);
addFindCommand(program);
addResolveCommands(program);
addCancelCommand(program);
addStockCommand(program);
addReconcileCommand(program);
addDeadLetterCommands(program);
addFeedClockCommand(program);
addAdoptCommand(program);
addAuditCommands(program);
addReportCommand(program);
addVerifyCommand(program);

try {
  await program.parseAsync();
} catch (err) {
  if (err instanceof CommanderError) process.exitCode = err.exitCode === 0 ? EXIT.done : EXIT.usage;
  else {
    process.stderr.write(`${printableError(err)}\n`);
    process.exitCode = EXIT.failed;
  }
}
