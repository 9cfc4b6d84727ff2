/**
 * `after-restore`: after Postgres or Temporal were restored to an earlier moment, or a standby that lagged was promoted, what they and the
 * gateway no longer agree on, order by order; and, with `--apply`, what makes them agree again. Best before any worker of ours runs.
 */
import type { Command } from 'commander';
import { money as asMoney } from '../../contracts/amounts.js';
import { listKnownLost } from '../../domain/after-restore.js';
import { readStanding } from '../../domain/installation.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { actOnAll, type ActOptions, addActOptions, askBefore, askOnly, signatureOf } from '../act.js';
import { addJsonOption, type Ops, run } from '../command.js';
import { policyOf } from '../connections.js';
import { applyJournal, compareAll } from '../erasure-journal/command.js';
import { EXIT, type ExitCode, OpsError, usage } from '../exit.js';
import { moment } from '../find.js';
import { gatewayPlace } from '../gateway-view.js';
import { createRecorder } from '../recorder.js';
import { type Difference, differenceOf, type Sides } from './difference.js';
import { settleDifference } from './settle.js';
import { readSides } from './sides.js';

const GATEWAY_TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;

type Options = ActOptions & { since?: number; apply?: boolean; refundLost?: boolean };

export function addAfterRestoreCommand(program: Command): void {
  const command = program
    .command('after-restore')
    .summary('what Postgres, Temporal and the gateway no longer agree on after a restore, and making them agree')
    .description(
      'Compares every order that is open, every saga that runs or has ended, and every charge and refund since the moment, and lists each difference with what would settle it. It only reads, unless --apply is given.',
    )
    .option(
      '--since <moment>',
      'a while before the moment that was restored to, e.g. 2026-11-21T09:00, or 2h (ago)',
      moment,
    )
    .option('--apply', 'do what the list says: end, restart or unwind sagas; asks first')
    .option('--refund-lost', 'with --apply: have the reconciler give back what was charged for orders that are lost');
  addActOptions(addJsonOption(command))
    .addHelpText(
      'after',
      `
Ends with 0 if nothing differs, or all was done; with 1 if something differs.

Examples:
  ops after-restore --since 2h
  ops after-restore --since 2h --apply --reason 'restored to 09:14, ticket 12'
  ops after-restore --since 2h --apply --refund-lost --reason 'restored to 09:14, ticket 12'`,
    )
    .action((options: Options) => run(command, (ops) => afterRestore(ops, options)));
}

async function afterRestore(ops: Ops, options: Options): Promise<ExitCode> {
  const { out, to, config } = ops;
  const { apply, refundLost } = options;
  if (refundLost && !apply) throw usage('--refund-lost belongs to --apply.');
  const signature = apply ? signatureOf(options, config) : undefined;
  await settleErasures(ops, signature, options);
  const place = gatewayPlace(config);
  if (!place) throw usage('STRIPE_API_KEY is not set here (and PAYMENTS_URL, if it is not Stripe itself).');
  const [db, { client }] = [await to.database(), await to.temporal()];
  const { id: installationId } = await readStanding(db);
  const ledger = createPaymentGateway({ ...place, timeoutMs: GATEWAY_TIMEOUT_MS });
  const from = new Date(options.since ?? Date.now() - DAY_MS);
  const sides = await readSides({ db, client, ledger, installationId }, from);
  const differences = sides.flatMap((side) => differenceOf(side) ?? []);
  print(ops, differences, sides.length);
  if (!signature) {
    out.document({ since: from, orders: sides.length, differences });
    return differences.length === 0 ? EXIT.done : EXIT.failed;
  }
  const lost = differences.filter(({ kind }) => kind === 'ORDER_LOST').map(({ orderId }) => orderId);
  const known = new Set(await listKnownLost(db, lost));
  const targets = differences.filter(
    ({ orderId, remedy, held, kind }) =>
      remedy.do !== 'nothing' || (kind === 'ORDER_LOST' && (held.length > 0 || !known.has(orderId))),
  );
  if (targets.length === 0) {
    out.document({ since: from, orders: sides.length, differences, items: [] });
    out.notice('There is nothing to be done.');
    return EXIT.done;
  }
  if (isStranger(sides)) throw new OpsError(STRANGER, EXIT.failed);
  const many = `${targets.length} ${targets.length === 1 ? 'order' : 'orders'}`;
  await askBefore(
    ops,
    `settle ${many}${refundLost ? ', and give back what lost ones were charged' : ''}, as ${signature.operator}?`,
    options.yes,
  );
  const recorder = createRecorder(ops, 'after-restore --apply', signature.operator);
  const settling = { db, client, policy: policyOf(config), recorder, signature, refundLost: refundLost === true };
  return actOnAll(ops, { action: 'after-restore', ...signature }, targets, options, (target) =>
    settleDifference(settling, target),
  );
}

/** Before anything else: nobody may read of whom the journal says that they were erased. */
async function settleErasures(
  ops: Ops,
  signature: ReturnType<typeof signatureOf> | undefined,
  options: Options,
): Promise<void> {
  if (ops.config.ERASURE_JOURNAL === undefined) {
    ops.out.notice('ERASURE_JOURNAL is not set here: whoever was erased after the backup is in this database again.');
    return;
  }
  const { unknown, customers } = await compareAll(ops);
  if (customers.length === 0) return;
  ops.out.notice(
    `${customers.length} persons who were erased are in this database again: ops erasures --apply-journal, or --apply here.`,
  );
  if (!signature) return;
  await askOnly(ops, `forget ${customers.length} persons again, as ${signature.operator}?`, options.yes);
  const applied = await applyJournal(ops, signature, unknown);
  ops.out.notice(`${applied.length} persons were forgotten again.`);
}

/** Ending all sagas of another installation, because the shell points to the wrong database, would be the disaster. */
const isStranger = (sides: Sides[]): boolean => {
  const elsewhere = sides.filter(({ saga, cancellation, held }) => saga ?? cancellation ?? held[0]);
  return elsewhere.length > 0 && elsewhere.every(({ order }) => order === undefined);
};
const STRANGER =
  'This database has none of the orders that Temporal and the gateway know of: is DATABASE_URL the right one? If it is, go further back with --since, until there are orders that were not lost. Nothing was done.';

const REMEDIES = { restart: 'restart its saga', unwind: 'cancel it', 'end-saga': 'end its saga', nothing: '' } as const;

function print({ out }: Ops, differences: Difference[], orders: number): void {
  if (differences.length > 0)
    out.table(
      ['order', 'difference', 'held by the gateway', 'would', ''],
      differences.map(({ orderId, kind, says, remedy, held }) => [
        orderId,
        kind,
        held.map((one) => `${asMoney(one)} ${one.reference}`).join(', '),
        kind === 'ORDER_LOST' && held.length > 0
          ? [REMEDIES[remedy.do], 'refund (--refund-lost)'].filter(Boolean).join(', ')
          : REMEDIES[remedy.do],
        says,
      ]),
    );
  out.print(`${orders} orders looked at, ${differences.length} of which differ.`);
}
