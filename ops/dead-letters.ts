/**
 * `dead-letters`: events that a destination would not take. Deciding is recorded in Postgres; the relay that serves the
 * order's partition carries it out, in order, and this waits to see what has come of it.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEAD_LETTER_CAUSES, DEAD_LETTER_STATES, type DeadLetter } from '../contracts/dead-letters.js';
import type { Database } from '../domain/database.js';
import {
  countDeadLetters,
  type DeadLetterFilter,
  type DeadLetterGroup,
  listDeadLetters,
  readDeadLetters,
} from '../domain/dead-letters.js';
import { decideOnLetter } from '../sagas/deciding/letters.js';
import { type ActOptions, actOnAll, addManyOptions, askBefore, DIRECT_MAX, signatureOf } from './act.js';
import { type Ops, run, wholeNumber } from './command.js';
import { EXIT, type ExitCode, nothingMatched, usage } from './exit.js';
import { age, type Output } from './output.js';
import { noteReads } from './reads.js';
import { actOnServer } from './operations/start.js';
import { createRecorder } from './recorder.js';

/** A screenful or two; the groups above count them all. */
const LIMIT_DEFAULT = 50;
/** More at a time is an outage, whose cause is to be mended first. */
const BULK_MAX = 10_000;

type FilterOptions = Pick<DeadLetterFilter, 'destination' | 'cause' | 'type' | 'state'>;
type ListOptions = FilterOptions & { limit: number };
type ReplayOptions = ActOptions & FilterOptions & { all?: boolean; limit?: number };

export function addDeadLetterCommands(program: Command): void {
  const commands = program
    .command('dead-letters')
    .summary('events that a destination would not take: list, replay, discard');
  const list = addFilters(commands.command('list', { isDefault: true }))
    .summary('what is parked: by cause, then oldest first')
    .addOption(new Option('--state <state>', 'default: PARKED and REPLAYING').choices([...DEAD_LETTER_STATES]))
    .option('--limit <n>', 'show so many; the groups count all', wholeNumber, LIMIT_DEFAULT)
    .addHelpText(
      'after',
      '\nExamples:\n  ops dead-letters\n  ops dead-letters list --destination webhook --cause rejected',
    )
    .action((options: ListOptions) => run(list, (ops) => showDeadLetters(ops, options)));
  const replay = addFilters(commands.command('replay'))
    .summary('send events again, and then those that wait behind them')
    .argument('[letters...]', 'ids of dead letters', deadLetterIds)
    .option('--all', 'all that are parked, oldest first')
    .option('--limit <n>', 'at most so many', wholeNumber);
  addManyOptions(replay)
    .addHelpText(
      'after',
      '\nExamples:\n  ops dead-letters replay 17\n  ops dead-letters replay --destination webhook --cause rejected --canary 3 --rate 10/s',
    )
    .action((ids: string[], options: ReplayOptions) => run(replay, (ops) => replayAll(ops, ids, options)));
  const discard = commands
    .command('discard')
    .summary('never send these events; those behind them follow')
    .argument('<letters...>', 'ids of dead letters', deadLetterIds);
  addManyOptions(discard)
    .addHelpText('after', "\nExamples:\n  ops dead-letters discard 17 --reason 'they have it from a file, ticket 12'")
    .action((ids: string[], options: ActOptions) => run(discard, (ops) => discardAll(ops, ids, options)));
}

const addFilters = (command: Command): Command =>
  command
    .option('--destination <name>', 'only of this destination: webhook, kafka, nats, rabbitmq')
    .addOption(new Option('--cause <cause>', 'only with this cause').choices([...DEAD_LETTER_CAUSES]))
    .option('--type <type>', 'only events of this type, e.g. order.confirmed');

function deadLetterIds(text: string, earlier: string[] = []): string[] {
  if (!/^[1-9][0-9]{0,17}$/.test(text)) throw new InvalidArgumentError(`"${text}" is not the id of a dead letter.`);
  return [...new Set([...earlier, text])];
}

async function showDeadLetters(ops: Ops, { limit, destination, cause, type, state }: ListOptions): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const filter = given({ destination, cause, type, state });
  const [deadLetters, groups] = await Promise.all([listDeadLetters(db, filter, limit), countDeadLetters(db, filter)]);
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  await noteReads(ops, db, 'dead-letters list', []);
  out.document({ count, groups, deadLetters });
  if (count === 0) {
    out.print('There are no such dead letters.');
    return EXIT.done;
  }
  printDeadLetterGroups(out, groups);
  out.print();
  printDeadLetters(out, deadLetters);
  if (deadLetters.length < count) out.print(`… and ${count - deadLetters.length} more: --limit ${count}`);
  return EXIT.done;
}

/** Without the options that were not given. */
function given({ destination, cause, type, state }: Record<keyof FilterOptions, unknown>): DeadLetterFilter {
  const entries = Object.entries({ destination, cause, type, state }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as DeadLetterFilter;
}

function printDeadLetterGroups(out: Output, groups: DeadLetterGroup[]): void {
  out.table(
    ['letters', 'destination', 'cause', 'state', 'oldest'],
    groups.map(({ count, destination, cause, state, oldest }) => [
      out.paint('bold', `${count}`),
      destination,
      out.paint('red', cause),
      state,
      age(oldest),
    ]),
  );
}

function printDeadLetters(out: Output, deadLetters: DeadLetter[]): void {
  out.table(
    ['age', 'letter', 'destination', 'order', 'event', 'tries', 'behind', 'state', 'error'],
    deadLetters.map(({ parkedAt, id, destination, orderId, sequence, type, attempts, behind, state, error }) => [
      age(parkedAt),
      id,
      destination,
      orderId,
      `${sequence} ${type}`,
      `${attempts}`,
      `${behind}`,
      state,
      error,
    ]),
  );
}

async function replayAll(ops: Ops, ids: string[], options: ReplayOptions): Promise<ExitCode> {
  const { all, destination, cause, type, limit = BULK_MAX } = options;
  const filter = given({ destination, cause, type, state: 'PARKED' });
  const isFiltered = all === true || Object.keys(filter).length > 1;
  if (ids.length === 0 && !isFiltered)
    throw usage('Which? Name letters, or use --all, --destination, --cause, --type. See `dead-letters replay --help`.');
  if (ids.length > 0 && isFiltered) throw usage('Name letters, or filter: not both.');
  const signature = signatureOf(options, ops.config, 'replayed from the ops CLI');
  const db = await ops.to.database();
  const deadLetters = ids.length > 0 ? await named(ops, db, ids) : await listDeadLetters(db, filter, limit);
  if (deadLetters.length === 0) throw nothingMatched('No parked dead letter matches.');
  if (ids.length === 0) printDeadLetterGroups(ops.out, await countDeadLetters(db, filter));
  await askBefore(ops, `replay ${count(deadLetters)}, as ${signature.operator}?`, options.yes);
  const decision = { action: 'replay', ...signature } as const;
  if (deadLetters.length > DIRECT_MAX && options.direct !== true)
    return actOnServer(ops, 'dead-letters replay', decision, lettersOf(deadLetters), options);
  const recorder = createRecorder(ops, 'dead-letters replay', signature.operator);
  return actOnAll(ops, decision, deadLetters, options, (letter) => decideOnLetter({ db, recorder }, letter, decision));
}

async function discardAll(ops: Ops, ids: string[], options: ActOptions): Promise<ExitCode> {
  const signature = signatureOf(options, ops.config);
  const db = await ops.to.database();
  const deadLetters = await named(ops, db, ids);
  await askBefore(ops, `never send ${count(deadLetters)}, as ${signature.operator}?`, options.yes);
  const decision = { action: 'discard', ...signature } as const;
  if (deadLetters.length > DIRECT_MAX && options.direct !== true)
    return actOnServer(ops, 'dead-letters discard', decision, lettersOf(deadLetters), options);
  const recorder = createRecorder(ops, 'dead-letters discard', signature.operator);
  return actOnAll(ops, decision, deadLetters, options, (letter) => decideOnLetter({ db, recorder }, letter, decision));
}

const lettersOf = (deadLetters: DeadLetter[]) => ({ deadLetterIds: deadLetters.map(({ id }) => id) });

const count = (deadLetters: DeadLetter[]): string =>
  `${deadLetters.length} ${deadLetters.length === 1 ? 'letter' : 'letters'}`;

async function named({ out }: Ops, db: Database, ids: string[]): Promise<DeadLetter[]> {
  const deadLetters = await readDeadLetters(db, ids);
  const known = new Set(deadLetters.map(({ id }) => id));
  for (const id of ids) if (!known.has(id)) out.notice(`There is no dead letter ${id}.`);
  if (deadLetters.length === 0) throw nothingMatched('None of these dead letters exists.');
  if (deadLetters.length < ids.length) throw usage('Nothing was done, since some of these dead letters do not exist.');
  printDeadLetters(out, deadLetters);
  return deadLetters;
}
