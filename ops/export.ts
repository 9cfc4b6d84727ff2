/** `export`: all that is kept of a customer, as one JSON document, for a request under articles 15 and 20 of the GDPR. */
import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { findReferences, readIdentityKey } from '../domain/customers.js';
import { exportCustomer, isKnownCustomer } from '../domain/privacy/export.js';
import { type Ops, run } from './command.js';
import { requireErasuresKnown } from './erasure-journal/guard.js';
import { EXIT, type ExitCode, nothingMatched, OpsError } from './exit.js';
import { openedDatabase, whole } from './opened.js';
import { customerResource, noteReads } from './reads.js';

/** What others of this machine have no business with. */
const OWN_ONLY = 0o600;

export function addExportCommand(program: Command): void {
  const command = program
    .command('export')
    .summary('all that is kept of a customer, as one JSON document')
    .description(
      'Writes everything that is kept of a customer to stdout, or to a file that only you may read: the same document as GET /customers/{id}/export. It ends with "complete": true; one without was cut. That it was read is on record.',
    )
    .argument('<customer>', 'the id that the shop has of the customer')
    .option('--to <file>', 'a new file, instead of stdout')
    .addHelpText('after', '\nExamples:\n  ops export cus_42 --to cus_42.json\n  ops export cus_42 | jq .count')
    .action((customerId: string, options: { to?: string }) =>
      run(command, (ops) => writeExport(ops, customerId, options)),
    );
}

async function writeExport(ops: Ops, customerId: string, { to }: { to?: string }): Promise<ExitCode> {
  const db = await openedDatabase(ops);
  await requireErasuresKnown(ops);
  if (!(await isKnownCustomer(db, customerId))) throw nothingMatched('There is no such customer.');
  await noteReads(ops, db, 'export', [
    customerResource(await findReferences(db, await readIdentityKey(db), customerId)),
  ]);
  const pieces = exportCustomer(db, customerId);
  const first = await whole(() => pieces.next()); // before a file is made
  if (to === undefined) {
    ops.out.raw(first.value ?? '');
    for await (const piece of pieces) ops.out.raw(piece);
    ops.out.raw('\n');
    return EXIT.done;
  }
  const file = await open(to, 'wx', OWN_ONLY).catch((err: NodeJS.ErrnoException) => {
    throw new OpsError(`${to} cannot be made (${err.code}): name a file that is not there yet.`, EXIT.usage);
  });
  try {
    await file.write(first.value ?? '');
    for await (const piece of pieces) await file.write(piece);
  } finally {
    await file.close();
  }
  ops.out.notice(`Written to ${to}, readable by you alone.`);
  return EXIT.done;
}
