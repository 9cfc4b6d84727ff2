/** `ops pseudonyms`: whether orders hold references of customers, and having them do so after the deploy that brought them. */
import type { Command } from 'commander';
import type { Change } from '../domain/audit/acts.js';
import { isLockTimeout } from '../domain/database.js';
import { readStage, type Stage } from '../domain/pseudonyms.js';
import { beginReferences } from '../domain/replacement.js';
import { addSignatureOptions, askBefore, type SignatureOptions, signatureOf } from './act.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode } from './exit.js';
import { createRecorder } from './recorder.js';

type Options = SignatureOptions & { begin?: boolean };

export function addPseudonymsCommand(program: Command): void {
  const command = program
    .command('pseudonyms')
    .summary('whether orders hold references of customers; --begin, after the deploy that brought them')
    .description(
      'A new database has references from its first order on. One that had orders before goes on with clients’ ids until you begin: first see that no process of the release before runs, for it cannot read references, and that you will not go back to it. Then older orders, events and keys get theirs within minutes, and the service goes on meanwhile.',
    )
    .option('--begin', 'from now on; there is no way back to the release before');
  addSignatureOptions(command).action((options: Options) => run(command, (ops) => pseudonyms(ops, options)));
}

const SAID: Record<Stage, string> = {
  plain: 'Orders hold clients’ ids: begin references when no process of the release before runs (--begin).',
  begun: 'References have begun; what is older is being replaced by a relay.',
  complete: 'Orders, events and keys hold references and nothing else.',
};

async function pseudonyms(ops: Ops, options: Options): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const before = await readStage(db);
  if (options.begin && before === 'plain') {
    const signature = signatureOf(options, ops.config);
    await askBefore(ops, 'begin references? The release before cannot run on this database any more', options.yes);
    const recorder = createRecorder(ops, 'pseudonyms --begin', signature.operator);
    for (let tries = 1; ; tries++) {
      try {
        await recorder.act(db, beginning(signature.reason));
        break;
      } catch (err) {
        if (tries === TRIES_MAX || !isLockTimeout(err)) throw err;
      }
    }
  }
  const stage = await readStage(db);
  out.document({ stage, begun: before === 'plain' && stage !== 'plain' });
  out.notice(SAID[stage]);
  return EXIT.done;
}
/** It gives way to a long statement after a second each. */
const TRIES_MAX = 60;

const beginning = (reason: string): Change<boolean> => ({
  before: async () => null,
  change: beginReferences,
  effect: (isBegun) =>
    isBegun ? { resource: null, reason, before: { stage: 'plain' }, after: { stage: 'begun' } } : null,
});
