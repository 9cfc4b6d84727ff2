/**
 * `erasures --apply-journal`, after a restore: whoever the journal has as erased is forgotten again, before anything serves.
 * `erasures journal`: whether this database knows all erasures that the journal has, and writing it anew where it is lost.
 */
import type { Command } from 'commander';
import { JOURNAL_START, type JournalEntry } from '../../contracts/erasure-journal.js';
import { compareJournal, forgetMark, listErasing, readMark } from '../../domain/erasure-journal.js';
import { countBelated, markAllNoted } from '../../domain/erasure/belated-notes.js';
import { eraseOrdersAnew, erasureAnew } from '../../domain/restored-erasures.js';
import { JournalSpoilt } from '../../gateways/erasure-journal/journal.js';
import { addSignatureOptions, askOnly, type SignatureOptions, signatureOf } from '../act.js';
import { addJsonOption, type Ops, run } from '../command.js';
import { withJournal } from './open.js';
import { EXIT, type ExitCode, OpsError } from '../exit.js';
import { createRecorder } from '../recorder.js';

export type JournalOptions = SignatureOptions & { applyJournal?: boolean; renew?: boolean };

/** @param erasures the command that has those of erasures @param list its default, which takes `--apply-journal` */
export function addJournalCommands(erasures: Command, list: Command): void {
  list.option(
    '--apply-journal',
    'after a restore: forget whoever the erasure journal has as erased, before anything serves; may be repeated',
  );
  addSignatureOptions(list);
  const journal = erasures
    .command('journal')
    .summary('whether this database knows all erasures that the journal has')
    .description(
      'Reads all of the erasure journal (ERASURE_JOURNAL), verifies its chain, and lists the erasures that this database does not know: it was restored to before them. It only reads, unless --renew is given. Ends with 1 if one is not known.',
    )
    .option(
      '--renew',
      'where it is lost: write another one, at a place where there is none, from what this database knows',
    );
  addSignatureOptions(addJsonOption(journal)).action((options: JournalOptions) =>
    run(journal, (ops) => (options.renew ? renewJournal(ops, options) : applyOrShow(ops, options))),
  );
}

export async function applyOrShow(ops: Ops, options: JournalOptions): Promise<ExitCode> {
  const { out } = ops;
  const signature = options.applyJournal
    ? signatureOf(options, ops.config, 'the erasure journal, after a restore')
    : undefined;
  const { read, customers, unknown, where, belated } = await compareAll(ops);
  if (customers.length > 0)
    out.table(
      ['customer', 'noted', 'erasure'],
      unknown.map(({ customer, at, kind, erasureId }) => [customer, at, `${erasureId} ${kind}`]),
    );
  if (!signature || customers.length === 0) {
    out.document({ journal: where, entries: read, unknown, belated, applied: [] });
    out.notice(sentenceOf(read, customers.length));
    if (belated > 0) out.notice(belatedSentence(belated));
    return customers.length === 0 ? EXIT.done : EXIT.failed;
  }
  await askOnly(ops, `forget ${customers.length} persons again, as ${signature.operator}?`, options.yes);
  const applied = await applyJournal(ops, signature, unknown);
  const left = await compareAll(ops);
  out.document({ journal: where, entries: read, unknown: left.unknown, applied });
  out.notice(`${applied.length} persons were forgotten again. ${sentenceOf(left.read, left.customers.length)}`);
  return left.customers.length === 0 ? EXIT.done : EXIT.failed;
}

export const belatedSentence = (belated: number): string =>
  `It lacks ${belated} ${belated === 1 ? 'erasure that was' : 'erasures that were'} done without it: a worker writes them into it, before that a restore would undo them.`;

const sentenceOf = (read: number, unknown: number): string =>
  unknown === 0
    ? `The chain of all ${read} entries is whole, and this database knows every erasure.`
    : `${unknown} persons stand in this database who were erased: it was restored to before that. Before anything serves: ops erasures --apply-journal`;

/** @returns the references that were forgotten */
export async function applyJournal(
  ops: Ops,
  signature: { operator: string; reason: string },
  unknown: JournalEntry[],
): Promise<string[]> {
  const db = await ops.to.database();
  const recorder = createRecorder(ops, 'erasures --apply-journal', signature.operator);
  const applied: string[] = [];
  for (const entry of new Map(unknown.map((one) => [one.customer, one])).values()) {
    const outcome = await recorder.act(db, erasureAnew(entry, signature));
    await eraseOrdersAnew(db as Parameters<typeof eraseOrdersAnew>[0], entry.customer);
    if (outcome === 'forgotten') applied.push(entry.customer);
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
    const belated = await countBelated(db, read === 0);
    return {
      unknown,
      read,
      belated,
      where: journal.where,
      customers: [...new Set(unknown.map(({ customer }) => customer))],
    };
  });
}

/** Every erasure that this database knows is written again. Those of after a backup that it was restored from are not among them. */
async function renewJournal(ops: Ops, options: JournalOptions): Promise<ExitCode> {
  const signature = signatureOf(options, ops.config);
  const db = await ops.to.database();
  return withJournal(ops, async (journal) => {
    const there = await journal.readAfter(JOURNAL_START, 1).catch((err: unknown) => {
      if (err instanceof JournalSpoilt) return [err];
      throw err;
    });
    if (there.length > 0)
      throw new OpsError(`There is something at ${journal.where}: put it elsewhere first.`, EXIT.failed);
    await askOnly(
      ops,
      `write a new journal from what this database knows? If it was restored, erasures of after its backup are lost for good. As ${signature.operator}`,
      options.yes,
    );
    const recorder = createRecorder(ops, 'erasures journal --renew', signature.operator);
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
    await markAllNoted(db);
    await forgetMark(db);
    await compareJournal(db, journal);
    await recorder.conclude(db, { resource: null, before: null, after: { entries: written } });
    ops.out.document({ journal: journal.where, entries: written });
    ops.out.notice(`A new journal has ${written} entries.`);
    return EXIT.done;
  });
}
