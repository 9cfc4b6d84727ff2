/**
 * `ops erasure-journal`: whether this database knows all erasures that the journal has, and carrying out those that it does not: after a restore,
 * before anything serves.
 */
import type { Command } from 'commander';
import { JOURNAL_START, type JournalEntry } from '../../contracts/erasure-journal.js';
import { compareJournal, forgetMark, listErasing, readMark } from '../../domain/erasure-journal.js';
import { erasureAnew } from '../../domain/restored-erasures.js';
import { JournalSpoilt } from '../../gateways/erasure-journal/journal.js';
import { addSignatureOptions, askBefore, type SignatureOptions, signatureOf } from '../act.js';
import { addJsonOption, type Ops, run } from '../command.js';
import { withJournal } from './open.js';
import { EXIT, type ExitCode, OpsError, usage } from '../exit.js';
import { createRecorder } from '../recorder.js';

type Options = SignatureOptions & { apply?: boolean; renew?: boolean };

export function addErasureJournalCommand(program: Command): void {
  const command = program
    .command('erasure-journal')
    .summary('whether this database knows all erasures of the journal; after a restore, carrying them out anew')
    .description(
      'Reads all of the erasure journal (ERASURE_JOURNAL), verifies its chain, and lists the erasures that this database does not know: it was restored to before them. It only reads, unless --apply is given.',
    )
    .option('--apply', 'forget the persons again, before anything serves; may be repeated')
    .option(
      '--renew',
      'where the journal is lost: write another one, at a place where there is none, from what this database knows',
    );
  addSignatureOptions(addJsonOption(command))
    .addHelpText(
      'after',
      `
Ends with 0 if all are known, or were carried out; with 1 if not.

Examples:
  ops erasure-journal
  ops erasure-journal --apply --reason 'restored to 09:14, ticket 12'`,
    )
    .action((options: Options) =>
      run(command, (ops) => {
        if (options.apply && options.renew) throw usage('--apply and --renew: one of them.');
        return options.renew ? renewJournal(ops, options) : erasures(ops, options);
      }),
    );
}

async function erasures(ops: Ops, options: Options): Promise<ExitCode> {
  const { out } = ops;
  const signature = options.apply
    ? signatureOf(options, ops.config, 'the erasure journal, after a restore')
    : undefined;
  const { read, customers, unknown, where } = await compareAll(ops);
  if (customers.length > 0)
    out.table(
      ['customer', 'noted', 'erasure'],
      unknown.map(({ customer, at, kind, erasureId }) => [customer, at, `${erasureId} ${kind}`]),
    );
  if (!signature || customers.length === 0) {
    out.document({ journal: where, entries: read, unknown, applied: [] });
    out.notice(sentenceOf(read, customers.length));
    return customers.length === 0 ? EXIT.done : EXIT.failed;
  }
  await askBefore(ops, `forget ${customers.length} persons again, as ${signature.operator}?`, options.yes);
  const applied = await applyJournal(ops, signature, unknown);
  const left = await compareAll(ops);
  out.document({ journal: where, entries: read, unknown: left.unknown, applied });
  out.notice(`${applied.length} persons were forgotten again. ${sentenceOf(left.read, left.customers.length)}`);
  return left.customers.length === 0 ? EXIT.done : EXIT.failed;
}

const sentenceOf = (read: number, unknown: number): string =>
  unknown === 0
    ? `The chain of all ${read} entries is whole, and this database knows every erasure.`
    : `${unknown} persons stand in this database who were erased: it was restored to before that. Before anything serves: ops erasure-journal --apply`;

/** @returns the references that were forgotten */
export async function applyJournal(
  ops: Ops,
  signature: { operator: string; reason: string },
  unknown: JournalEntry[],
): Promise<string[]> {
  const db = await ops.to.database();
  const recorder = createRecorder(ops, 'erasure-journal --apply', signature.operator);
  const applied: string[] = [];
  for (const customer of new Set(unknown.map((entry) => entry.customer))) {
    if ((await recorder.act(db, erasureAnew(customer, signature.reason))) === 'forgotten') applied.push(customer);
  }
  return applied;
}

/** Of the whole journal: who acts on it should know that it is whole. */
export async function compareAll(ops: Ops) {
  const db = await ops.to.database();
  return withJournal(ops, async (journal) => {
    // The mark's place is compared first: a journal that was cut and went on differently is whole in itself.
    const mark = await readMark(db);
    await journal.readAfter(mark, 1);
    const { unknown, read } = await compareJournal(db, journal, JOURNAL_START);
    return { unknown, read, where: journal.where, customers: [...new Set(unknown.map(({ customer }) => customer))] };
  });
}

/** Every erasure that this database knows is written again. Those of after a backup that it was restored from are not among them. */
async function renewJournal(ops: Ops, options: Options): Promise<ExitCode> {
  const signature = signatureOf(options, ops.config);
  const db = await ops.to.database();
  return withJournal(ops, async (journal) => {
    const there = await journal.readAfter(JOURNAL_START, 1).catch((err: unknown) => {
      if (err instanceof JournalSpoilt) return [err];
      throw err;
    });
    if (there.length > 0)
      throw new OpsError(`There is something at ${journal.where}: put it elsewhere first.`, EXIT.failed);
    await askBefore(
      ops,
      `write a new journal from what this database knows? If it was restored, erasures of after its backup are lost for good. As ${signature.operator}`,
      options.yes,
    );
    const recorder = createRecorder(ops, 'erasure-journal --renew', signature.operator);
    await recorder.announce(db, { resource: null, reason: signature.reason, before: null, after: null });
    let written = 0;
    for (let after = ''; ; ) {
      const page = await listErasing(db, after, 500);
      for (const { reference, isErased } of page) {
        for (const kind of isErased ? (['requested', 'done'] as const) : (['requested'] as const)) {
          await journal.append({ kind, erasureId: reference, customer: reference });
          written += 1;
        }
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.reference;
    }
    await forgetMark(db);
    await compareJournal(db, journal);
    await recorder.conclude(db, { resource: null, before: null, after: { entries: written } });
    ops.out.document({ journal: journal.where, entries: written });
    ops.out.notice(`A new journal has ${written} entries.`);
    return EXIT.done;
  });
}
