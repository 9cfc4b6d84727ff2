/**
 * `ops adopt`: after a restore, a copy or another account's key, makes this database the one that speaks for the
 * installation at the payment gateway. Until then the workers accept orders and move no money.
 */
import type { Command } from 'commander';
import { adoption } from '../domain/audit/changes.js';
import { readStanding } from '../domain/installation.js';
import { type ActOptions, addActOptions, askBefore, signatureOf } from './act.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode } from './exit.js';
import { createRecorder } from './recorder.js';

export function addAdoptCommand(program: Command): void {
  const command = program
    .command('adopt')
    .summary('have this database speak for the installation at the payment gateway, after a restore')
    .description(
      'Shows whether the payment gateway’s account knows this database. If it does not, no money is moved: this database was restored or copied, or STRIPE_API_KEY is another account’s. Adopting it makes it the one that moves money from now on, and holds whichever other database did so before. First make sure that the other one is stopped, and look at what it has done since: `ops reconcile` lists charges that this one has no order for.',
    );
  addActOptions(command).action((options: ActOptions) => run(command, (ops) => adopt(ops, options)));
}

async function adopt(ops: Ops, options: ActOptions): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const { id, heldSince, heldBecause } = await readStanding(db);
  if (heldSince === null) {
    out.document({ installation: id, held: false, adopted: false });
    out.notice(`Installation ${id}: the account knows this database; there is nothing to adopt.`);
    return EXIT.done;
  }
  out.notice(`Installation ${id} moves no money since ${heldSince.toISOString()}: ${heldBecause}.`);
  const signature = signatureOf(options, ops.config);
  await askBefore(
    ops,
    `have this database move money, and hold any other that did, as ${signature.operator}?`,
    options.yes,
  );
  const adopted = await createRecorder(ops, 'adopt', signature.operator).act(db, adoption(signature));
  out.document({ installation: id, held: !adopted, adopted, ...signature });
  out.notice(adopted ? 'Adopted: the workers take the account over within 20 s.' : 'Another operator was faster.');
  return EXIT.done;
}
