/** `ops brakes`: what operators hold back, engaging and releasing it: works while the API does not. */
import { type Command, InvalidArgumentError } from 'commander';
import { BRAKE_MESSAGE_LENGTH_MAX, BRAKE_RETRY_AFTER_S, BRAKES, type BrakeName } from '../contracts/brakes.js';
import { money } from '../contracts/amounts.js';
import { personalFormIn, refusalOf } from '../contracts/personal-data.js';
import { TEXT, TEXT_RULE } from '../contracts/texts.js';
import { brakeEngaged, brakeReleased } from '../domain/audit/changes.js';
import { type Brake, readBrakes, readSpending } from '../domain/brakes.js';
import { addSignatureOptions, askBefore, signatureOf, type SignatureOptions } from './act.js';
import { type Ops, run, wholeNumber } from './command.js';
import { EXIT, type ExitCode, usage } from './exit.js';
import { duration } from './output.js';
import { createRecorder } from './recorder.js';

type EngageOptions = SignatureOptions & { message?: string; retryAfter?: number; limit?: Record<string, number> };

const WHAT: Record<BrakeName, string> = {
  accepting: 'accept no new orders; those that there are go on',
  charging: 'charge nothing; orders are accepted and reserved, and wait, and what is to be given back is',
  spending: 'charge no more than that within an hour; what would be more waits',
};

export function addBrakeCommands(program: Command): void {
  const brakes = program
    .command('brakes')
    .summary('what operators hold back on purpose: accepting, charging, or a limit on spending')
    .description(
      'Lists the brakes. One that is engaged holds until it is released, whatever is restarted; orders whose charge it holds wait, and their deadlines stand still.',
    )
    .action(() => run(brakes, listBrakes));
  const engage = brakes
    .command('engage')
    .summary('hold something back, or change what is said of it')
    .argument('<brake>', BRAKES.join(', '), brakeName)
    .option('--message <text>', 'of accepting: what whoever orders is told')
    .option('--retry-after <seconds>', `of accepting: when to come again (${BRAKE_RETRY_AFTER_S.default})`, wholeNumber)
    .option('--limit <currency=amount>', 'of spending: the most within an hour, in the minor unit; repeatable', limit);
  addSignatureOptions(engage)
    .addHelpText(
      'after',
      "\nExamples:\n  ops brakes engage charging --reason 'double charges reported, ticket 4711'\n  ops brakes engage spending --limit USD=500000 --reason 'fraud wave'",
    )
    .action((brake: BrakeName, options: EngageOptions) => run(engage, (ops) => engageOne(ops, brake, options)));
  const release = brakes
    .command('release')
    .summary('let go: held charges go on, the oldest first')
    .argument('<brake>', BRAKES.join(', '), brakeName);
  addSignatureOptions(release).action((brake: BrakeName, options: SignatureOptions) =>
    run(release, (ops) => releaseOne(ops, brake, options)),
  );
}

function brakeName(text: string): BrakeName {
  const name = BRAKES.find((brake) => brake === text);
  if (!name) throw new InvalidArgumentError(`It must be one of ${BRAKES.join(', ')}.`);
  return name;
}

function limit(text: string, before: Record<string, number> = {}): Record<string, number> {
  const [, currency, amount] = /^([A-Z]{3})=(\d{1,13})$/.exec(text) ?? [];
  if (!currency) throw new InvalidArgumentError('Write it as USD=500000: a currency and whole minor units.');
  return { ...before, [currency]: Number(amount) };
}

async function listBrakes({ out, to }: Ops): Promise<ExitCode> {
  const db = await to.database();
  const [engaged, spending] = await Promise.all([readBrakes(db), readSpending(db)]);
  out.document({ brakes: engaged, spending });
  if (engaged.length === 0) out.notice('No brake is engaged.');
  else
    out.table(
      ['brake', 'for', 'by', 'reason'],
      engaged.map(({ brake, since, by, reason }) => [brake, duration(Date.now() - since.getTime()), by, reason]),
    );
  for (const { currency, spent, most } of spending)
    out.notice(
      `Within the last hour ${money({ amount: spent, currency })} of ${money({ amount: most, currency })} were charged or let through.`,
    );
  return EXIT.done;
}

async function engageOne(ops: Ops, brake: BrakeName, options: EngageOptions): Promise<ExitCode> {
  const { operator, reason } = signatureOf(options, ops.config);
  const { message, retryAfter, limit: limits } = options;
  refuseWhatItHasNot(brake, options);
  await askBefore(ops, `${WHAT[brake]}, as ${operator}?`, options.yes);
  const engaging = {
    ...{ brake, operator, reason },
    ...(message !== undefined && { message }),
    ...(retryAfter !== undefined && { retryAfterS: retryAfter }),
    ...(limits !== undefined && { limits }),
  };
  const db = await ops.to.database();
  const engaged: Brake = await createRecorder(ops, 'brakes engage', operator).act(db, brakeEngaged(engaging));
  ops.out.document({ engaged });
  ops.out.notice(`Engaged: ${WHAT[brake]}. Until \`ops brakes release ${brake}\`.`);
  return EXIT.done;
}

function refuseWhatItHasNot(brake: BrakeName, { message, retryAfter, limit: limits }: EngageOptions): void {
  if ((brake === 'spending') !== (limits !== undefined))
    throw usage('--limit is what the brake spending is about, and no other has one.');
  if (brake !== 'accepting' && (message !== undefined || retryAfter !== undefined))
    throw usage('--message and --retry-after are told to whoever orders: they are of the brake accepting.');
  if (retryAfter !== undefined && !(retryAfter >= 1 && retryAfter <= BRAKE_RETRY_AFTER_S.max))
    throw usage(`--retry-after must be 1 to ${BRAKE_RETRY_AFTER_S.max} seconds.`);
  if (message === undefined) return;
  if (message.length > BRAKE_MESSAGE_LENGTH_MAX || !TEXT.test(message))
    throw usage(`--message: 1 to ${BRAKE_MESSAGE_LENGTH_MAX} characters, on one line, ${TEXT_RULE}.`);
  const form = personalFormIn(message);
  if (form !== undefined) throw usage(`--message: ${refusalOf(form)}.`);
}

async function releaseOne(ops: Ops, brake: BrakeName, options: SignatureOptions): Promise<ExitCode> {
  const { operator, reason } = signatureOf(options, ops.config);
  const db = await ops.to.database();
  if (!(await readBrakes(db)).some((engaged) => engaged.brake === brake)) {
    ops.out.document({ released: false, brake });
    ops.out.notice(`The brake ${brake} is not engaged; there is nothing to release.`);
    return EXIT.done;
  }
  await askBefore(ops, `release the brake ${brake}, as ${operator}?`, options.yes);
  const released = await createRecorder(ops, 'brakes release', operator).act(
    db,
    brakeReleased({ brake, operator, reason }),
  );
  ops.out.document({ released, brake });
  ops.out.notice(released ? 'Released: what was held goes on, the oldest first.' : 'Another operator was faster.');
  return EXIT.done;
}
