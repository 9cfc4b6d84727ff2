/** What all commands that change something have in common: who and why, what is about to happen, and a question before it. */
import { confirm, isCancel } from '@clack/prompts';
import { type Command, InvalidArgumentError } from 'commander';
import { personalFormIn, refusalOf } from '../contracts/personal-data.js';
import { REASON_LENGTH_MAX, SUBJECT } from '../contracts/saga.js';
import { TEXT, TEXT_RULE } from '../contracts/texts.js';
import type { Item, ItemResult } from '../sagas/deciding/outcomes.js';
import { exitCodeOf, type Pace, printSummary, runAll, summarize } from './bulk.js';
import { type Ops, wholeNumber } from './command.js';
import type { OpsConfig } from './connections.js';
import { requireErasuresKnown } from './erasure-journal/guard.js';
import { EXIT, type ExitCode, OpsError, usage } from './exit.js';
import { tracedAct } from './tracing.js';

export type SignatureOptions = { operator?: string; reason?: string; yes?: boolean };
export type ActOptions = SignatureOptions & { canary?: number; rate: number; direct?: boolean };

/** Gentle for a neighbour that is just recovering; 50 sagas take ten seconds. */
const RATE_DEFAULT = 5;
const RATE_MAX = 100;

/** More than a person waits for: the service goes on with them when this process, or this machine, is gone. */
export const DIRECT_MAX = 20;

/** Of a command that does one thing. */
export const addSignatureOptions = (command: Command): Command =>
  command
    .option('--operator <subject>', 'your subject id, kept for ever (default: OPS_OPERATOR)')
    .option('--reason <text>', `why, at most ${REASON_LENGTH_MAX} characters, naming no person; kept for ever`)
    .option('--yes', 'do not ask before acting');

/** Of a command that may do it to many. */
export const addActOptions = (command: Command): Command =>
  addSignatureOptions(command)
    .option('--canary <n>', 'the first n one by one; stop at the first that is not done', wholeNumber)
    .option('--rate <n/s>', 'so many per second at most', perSecond, RATE_DEFAULT);

/** Of one that the service carries out where they are many. */
export const addManyOptions = (command: Command): Command =>
  addActOptions(command).option(
    '--direct',
    `decide from here, also where they are more than ${DIRECT_MAX}, which the service carries out else`,
  );

function perSecond(text: string): number {
  const rate = Number(/^(\d+(?:\.\d+)?)(?:\/s)?$/.exec(text)?.[1]);
  if (!(rate > 0 && rate <= RATE_MAX)) throw new InvalidArgumentError(`Write a rate as 5 or 5/s, at most ${RATE_MAX}.`);
  return rate;
}

/** @param fallback the reason if the operator gave none; undefined = one must be given */
export function signatureOf(options: SignatureOptions, config: OpsConfig, fallback?: string) {
  const operator = options.operator ?? config.OPS_OPERATOR;
  if (operator === undefined || !SUBJECT.test(operator)) {
    throw usage(
      operator === undefined
        ? 'Who decides? Say --operator, or set OPS_OPERATOR: your subject id, which is kept for ever.'
        : `--operator must be an opaque subject id of at most 128 characters, got ${JSON.stringify(operator)}.`,
    );
  }
  const reason = options.reason ?? fallback;
  if (reason === undefined || reason.length > REASON_LENGTH_MAX || !TEXT.test(reason)) {
    throw usage(
      `--reason is needed: 1 to ${REASON_LENGTH_MAX} characters, on one line, ${TEXT_RULE}, that name no person. It is kept for ever.`,
    );
  }
  const form = personalFormIn(reason);
  if (form !== undefined) throw usage(`--reason ${refusalOf(form)}. It is kept for ever.`);
  return { operator, reason };
}

/**
 * Of a command that acts: also that it may, see erasure-journal/guard.
 * @throws OpsError not-confirmed: by a "no", or because there is no terminal to ask on; restored
 */
export async function askBefore(ops: Ops, question: string, yes: boolean | undefined): Promise<void> {
  await requireErasuresKnown(ops);
  await askOnly(ops, question, yes);
}

/** Of what mends a database that was restored. */
export async function askOnly({ out }: Ops, question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!out.interactive) {
    throw new OpsError(
      'Not confirmed: there is no terminal to ask on. Add --yes to act without being asked.',
      EXIT.notConfirmed,
    );
  }
  const answer = await confirm({ message: question, initialValue: false, output: out.terminal });
  if (isCancel(answer) || !answer) throw new OpsError('Not confirmed: nothing was done.', EXIT.notConfirmed);
}

/** Acts on all targets, prints each result and the sum of them. */
export async function actOnAll<T extends Item>(
  { out, to }: Ops,
  what: Record<string, string> & { action: string },
  targets: T[],
  { canary = 0, rate }: ActOptions,
  act: (target: T) => Promise<ItemResult>,
): Promise<ExitCode> {
  const pace: Pace = { canary, perSecond: rate };
  const results = await runAll(out, targets, pace, (target) => tracedAct({ to }, what.action, target, act));
  const summary = summarize(results);
  printSummary(out, summary);
  out.document({ ...what, summary, items: results });
  return exitCodeOf(results);
}
