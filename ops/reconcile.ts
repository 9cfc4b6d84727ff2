/**
 * `reconcile`: has the running workers compare the gateway's ledger with ours at once, and prints what they found; or closes
 * what they have reported. It asks by notification and touches no money itself: the process that reconciles holds the
 * gateway's key, and a lease.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Database } from '../domain/database.js';
import { type Finding, isVouched, listFindings, requestReconciliation } from '../domain/reconciliation-findings.js';
import {
  addCloseOptions,
  type CloseOptions,
  closeFindings,
  printFindings,
  printVouched,
  refundFindings,
  requireClose,
} from './close-findings.js';
import { type Ops, orderId, run } from './command.js';
import { EXIT, type ExitCode, usage } from './exit.js';

type Options = CloseOptions & { order?: string };

/** A pass takes a second or two; after a crash another process has the lease within 30 s, which is not waited for. */
const ANSWER_LIMIT_MS = 15_000;
/** A pass that has moved nothing for so long has come to its end. */
const QUIET_MS = 1_500;
const POLL_MS = 200;
/** A webhook or the schedule may have been faster than this command; what they settled is an answer, too. */
const RECENT_MS = 3_600_000;
/** Everything open is listed; more than that is one cause, and another installation's account. */
const OPEN_MAX = 100_000;

export function addReconcileCommand(program: Command): void {
  const command = program
    .command('reconcile')
    .summary('compare the gateway’s ledger with ours now; list what is not settled; close what is reported')
    .description(
      'Asks the running workers to reconcile at once, then lists what was settled within the last hour and what is open: in hand, or reported for a human. They do so by themselves every few seconds, too. With --close nobody is asked: it says that what was reported is dealt with. With --refund the workers make one more refund of a charge that they have given up, or give one back that fits its order without being marked as ours.',
    )
    .option('--order <id>', 'look up this order’s charges besides, however old they are', orderId);
  addCloseOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  ops reconcile
  ops reconcile --order 01a1fc4b-2622-70f0-8b6b-725674f9c1d0
  ops reconcile --close 17 --as cancelled --reason 'customer charged anew, ticket 12'
  ops reconcile --refund 18 --reason 'the card is good again, ticket 13'`,
    )
    .action((options: Options) => run(command, (ops) => reconcileOrClose(ops, options)));
}

async function reconcileOrClose(ops: Ops, options: Options): Promise<ExitCode> {
  if (options.close === undefined && options.refund === undefined) {
    requireClose(options);
    return reconcile(ops, options);
  }
  if (options.order !== undefined)
    throw usage('--order looks up charges, --close and --refund name findings: not both.');
  if (options.close !== undefined && options.refund !== undefined) throw usage('--close or --refund, not both.');
  if (options.refund !== undefined) return refundFindings(ops, options.refund, options);
  if (options.close === undefined) throw new Error('Bug! There is nothing to close');
  return closeFindings(ops, options.close, options);
}

async function reconcile({ out, to }: Ops, { order }: Pick<Options, 'order'>): Promise<ExitCode> {
  const db = await to.database();
  const before = await passOf(db);
  await requestReconciliation(db, ...(order === undefined ? [] : [order]));
  const isAnswered = await nextPass(db, before.movedAt);
  const whose = order === undefined ? {} : { orderId: order };
  const [done, unsettled] = await Promise.all([
    listFindings(db, { ...whose, since: new Date(before.now.getTime() - RECENT_MS) }),
    listFindings(db, { ...whose, open: true }, OPEN_MAX),
  ]);
  const isSettled = ({ action }: Finding) => action === 'refunded' || action === 'cancelled';
  const settled = done.filter((finding) => isSettled(finding) && !isVouched(finding));
  const open = unsettled.filter((finding) => !isVouched(finding));
  const vouched = unsettled.filter(isVouched);
  out.document({ answered: isAnswered, settled, open, vouched });
  if (!isAnswered)
    out.notice(out.paint('red', `No worker has reconciled within ${ANSWER_LIMIT_MS / 1_000} s: does one run?`));
  printFindings(out, [...settled, ...open]);
  printVouched(out, vouched);
  out.print(
    `${settled.length} settled within the last hour, ${open.length} open${order === undefined ? '' : ` for order ${order}`}.`,
  );
  return isAnswered ? EXIT.done : EXIT.failed;
}

/** @returns whether a pass has begun after `movedAt` and come to rest */
async function nextPass(db: Database, movedAt: number): Promise<boolean> {
  const deadline = Date.now() + ANSWER_LIMIT_MS;
  let [last, since] = [movedAt, Date.now()];
  while (Date.now() < deadline) {
    await pause(POLL_MS);
    const pass = await passOf(db);
    if (pass.movedAt !== last) [last, since] = [pass.movedAt, Date.now()];
    else if (last !== movedAt && Date.now() - since > QUIET_MS) return true;
  }
  return last !== movedAt;
}

async function passOf(db: Database): Promise<{ now: Date; movedAt: number }> {
  const [clock] = await db.$queryRaw<{ now: Date }[]>`SELECT now()`;
  const cursor = await db.reconciliationCursor.findFirst({ select: { updatedAt: true } });
  return { now: clock?.now ?? new Date(), movedAt: cursor?.updatedAt.getTime() ?? 0 };
}
