/** `operations`: what operators have the service do with many sagas or letters: list, show, follow, pause, resume, abort. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  ITEM_STATES,
  type ItemState,
  type Operation,
  OPERATION_STATES,
  type OperationState,
} from '../../contracts/operations.js';
import { OPERATION_WORDS, type OperationWord, operationTold } from '../../domain/operations/acts.js';
import { listOperationItems, listOperations } from '../../domain/operations/listing.js';
import { addSignatureOptions, askBefore, type SignatureOptions, signatureOf } from '../act.js';
import { type Ops, run, wholeNumber } from '../command.js';
import { EXIT, type ExitCode, OpsError } from '../exit.js';
import { age, sum } from '../output.js';
import { noteReads } from '../reads.js';
import { createRecorder } from '../recorder.js';
import { follow, requireOperation } from './follow.js';

type ListOptions = { state?: OperationState; limit: number };
type ShowOptions = { items?: ItemState; limit: number };

const SUMMARIES: Record<OperationWord, string> = {
  pause: 'begin nothing more of one for now; what has begun comes to its end',
  resume: 'go on with one that is paused, where it stood',
  abort: 'end one before its time; what has not begun never does',
};

export function addOperationCommands(program: Command): void {
  const commands = program
    .command('operations')
    .summary('what the service does with many sagas or letters at once: list, show, follow, pause, resume, abort')
    .description(
      'Operations are started by `retry`, `skip`, `compensate` and `dead-letters` where they are about many, by the console and by the API. The service’s workers carry them out, whatever becomes of whoever has started them.',
    );
  const list = commands
    .command('list', { isDefault: true })
    .summary('the newest first')
    .addOption(new Option('--state <state>', 'only these; previews are listed only so').choices([...OPERATION_STATES]))
    .option('--limit <n>', 'show so many', wholeNumber, 20)
    .action((options: ListOptions) => run(list, (ops) => showAll(ops, options)));
  const show = commands
    .command('show')
    .summary('one: how far it is, and its items')
    .argument('<operation>', 'its id', operationId)
    .addOption(new Option('--items <state>', 'only items in this state').choices([...ITEM_STATES]))
    .option('--limit <n>', 'show so many items', wholeNumber, 50)
    .action((id: string, options: ShowOptions) => run(show, (ops) => showOne(ops, id, options)));
  const following = commands
    .command('follow')
    .summary('one, until it has ended or stands still; it goes on without you')
    .argument('<operation>', 'its id', operationId)
    .action((id: string) => run(following, (ops) => follow(ops, id, null)));
  for (const word of OPERATION_WORDS) {
    const command = commands.command(word).summary(SUMMARIES[word]).argument('<operation>', 'its id', operationId);
    addSignatureOptions(command).action((id: string, options: SignatureOptions) =>
      run(command, (ops) => tell(ops, word, id, options)),
    );
  }
}

function operationId(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new InvalidArgumentError(`"${text}" is not the id of an operation.`);
  return text.toLowerCase();
}

async function showAll(ops: Ops, { state, limit }: ListOptions): Promise<ExitCode> {
  const { out, to } = ops;
  const operations = await listOperations(await to.database(), { state }, limit);
  out.document({ operations });
  if (operations.length === 0) out.print('There are no such operations.');
  else
    out.table(
      ['operation', 'age', 'action', 'state', 'items', 'at stake', 'by'],
      operations.map((operation) => [
        operation.id,
        age(operation.startedAt ?? operation.previewedAt),
        operation.action,
        stateOf(operation),
        tally(operation),
        sum(operation.amounts),
        operation.startedBy ?? operation.previewedBy,
      ]),
    );
  return EXIT.done;
}

const stateOf = ({ state, pause }: Operation): string =>
  pause ? `paused ${pause.by === null ? 'by itself' : `by ${pause.by}`}: ${pause.because}` : state;

/** Of the total, how many are in which state. */
const tally = ({ total, counts }: Operation): string =>
  `${total}: ${ITEM_STATES.filter((state) => counts[state] > 0)
    .map((state) => `${counts[state]} ${state}`)
    .join(', ')}`;

async function showOne(ops: Ops, id: string, { items: state, limit }: ShowOptions): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const operation = await requireOperation(ops, id);
  const items = await listOperationItems(db, id, { state }, limit);
  await noteReads(
    ops,
    db,
    'operations show',
    items.map(({ orderId }) => orderId),
  );
  out.document({ operation, items });
  out.print(`${operation.action} of ${tally(operation)}; ${stateOf(operation)}`);
  if (operation.reason !== null) out.print(`by ${operation.startedBy}: ${operation.reason}`);
  for (const { because, count } of operation.skipped) out.print(`${count} not acted on: ${because}`);
  out.print();
  out.table(
    ['no', 'order', 'state', 'message'],
    items.map(({ no, orderId, state: now, message }) => [`${no}`, orderId, now, message ?? '']),
  );
  return EXIT.done;
}

async function tell(ops: Ops, word: OperationWord, id: string, options: SignatureOptions): Promise<ExitCode> {
  const { out, to, config } = ops;
  const signature = signatureOf(options, config);
  const before = await requireOperation(ops, id);
  await askBefore(ops, `${word} it, with ${before.counts.open} items open, as ${signature.operator}?`, options.yes);
  const db = await to.database();
  const told = { id, ...signature };
  const obeyed = await createRecorder(ops, `operations ${word}`, signature.operator).act(db, operationTold(word, told));
  const operation = await requireOperation(ops, id);
  out.document({ [word]: obeyed, operation });
  if (obeyed === 'not-possible') throw new OpsError(`It is ${stateOf(operation)}.`, EXIT.failed);
  if (typeof obeyed === 'object') {
    const told = `It stays ${stateOf(operation)}: operation ${obeyed.operation}, which is ${obeyed.state}, is about ${obeyed.count} of them, too`;
    throw new OpsError(`${told}. Wait for its end, or abort it.`, EXIT.failed);
  }
  out.notice(`It is ${stateOf(operation)}: ${tally(operation)}.`);
  return EXIT.done;
}
