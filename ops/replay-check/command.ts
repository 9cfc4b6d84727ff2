/**
 * `replay-check`: production's own histories replayed on a candidate workflow bundle, before it gets traffic. With `--against`, what
 * the bundle that runs today cannot replay either is told apart: it is no fault of the candidate.
 */
import type { DataConverter } from '@temporalio/common';
import type { Command } from 'commander';
import { addJsonOption, type Ops, run, wholeNumber } from '../command.js';
import { EXIT, type ExitCode, usage } from '../exit.js';
import { moment } from '../find.js';
import { fetchHistories, type History, type Sample, sampleSagas } from './histories.js';
import { type Incompatible, replayOn } from './replay.js';
import { codecsOf, replaying } from '../../sagas/payloads/reading.js';

/** A replay takes milliseconds, and so does a history's way here. */
const LIMIT_DEFAULT = 1_000;
const PROGRESS_EVERY = 100;

type Options = { since: number; bundle: string; against?: string; limit: number };
type Replaying = Omit<Options, 'limit'> & { limit?: number };

export function addReplayCheckCommand(program: Command): void {
  const command = addJsonOption(program.command('replay-check'))
    .summary('whether a new workflow bundle can go on with the sagas that are there')
    .description(
      'Replays sagas of this installation on a workflow bundle, before workers run it: all open ones, whatever their age, and a sample of those closed lately. Reads Temporal only. Ends with 1 if one cannot be replayed, with 2 if there was none to replay.',
    )
    .requiredOption('--bundle <path>', 'the candidate: dist/workflow-bundle.js of its build')
    .option('--against <path>', 'the bundle that runs today: what it cannot replay either does not count')
    .option('--since <moment>', 'closed at or after, e.g. 24h (ago) or 2026-11-21', moment, moment('24h'))
    .option('--limit <n>', 'replay at most so many', wholeNumber, LIMIT_DEFAULT)
    .addHelpText(
      'after',
      '\nExamples:\n  ops replay-check --since 24h --bundle new/workflow-bundle.js --against dist/workflow-bundle.js',
    )
    .action((options: Options) => run(command, (ops) => replayCheck(ops, options)));
}

async function replayCheck(ops: Ops, options: Options): Promise<ExitCode> {
  const report = await replaySagas(ops, options);
  if (report.replayed === 0) throw usage(`No saga to replay: none is open, and none was closed since ${report.since}.`);
  ops.out.document(report);
  return report.incompatible.length === 0 ? EXIT.done : EXIT.failed;
}

/** Says for people what was found. @returns the same for machines; `replayed` 0: there was none, which proves nothing */
export async function replaySagas({ out, to }: Ops, { since, bundle, against, limit = LIMIT_DEFAULT }: Replaying) {
  const { client } = await to.temporal();
  const sample = await sampleSagas(client, new Date(since), limit);
  // Of those that fail a second bundle is asked, and the report names their events: which they are is known only afterwards.
  const fetched = new Map<string, History['history']>();
  const histories = fetchHistories(client, sample, (name, history) => {
    fetched.set(name, history);
    if (fetched.size % PROGRESS_EVERY === 0) out.notice(`${fetched.size} of ${sample.chosen.length} …`);
  });
  const converter = replaying(codecsOf(client));
  const { count, incompatible } = await replayOn(bundle, histories, fetched, converter);
  const known = against === undefined ? new Set<string>() : await failingOn(against, incompatible, fetched, converter);
  const isKnown = ({ workflowId, runId }: Incompatible) => known.has(`${workflowId}/${runId}`);
  const fresh = incompatible.filter((one) => !isKnown(one));
  const failingToday = incompatible.filter(isKnown);
  const { open, closed } = sample;
  for (const one of fresh) {
    const { event, command, workflowId, runId, error } = one;
    out.print(out.paint('red', `✗ ${workflowId}, run ${runId}`));
    if (event) out.print(`  event ${event.id}, ${event.type}${event.of === null ? '' : ` of ${event.of}`}`);
    if (command.expected) out.print(`  the history has ${command.expected}, the bundle does ${command.found}`);
    out.print(`  ${error}`);
  }
  const failed = { fresh: fresh.length, failingToday: failingToday.length };
  if (count > 0) out.print(sentenceOf(sample, fetchedOf(sample, fetched), failed));
  return {
    since: new Date(since).toISOString(),
    bundle,
    against: against ?? null,
    open,
    closed,
    replayed: count,
    incompatible: fresh,
    failingToday,
  };
}

type Split = { open: number; closed: number };

/** Retention may have taken some of the chosen meanwhile. */
function fetchedOf({ chosen, openChosen }: Sample, fetched: ReadonlyMap<string, unknown>): Split {
  const open = chosen.slice(0, openChosen).filter(({ workflowId, runId }) => fetched.has(`${workflowId}/${runId}`));
  return { open: open.length, closed: fetched.size - open.length };
}

/** `Replayed 3 sagas: 1 open, 2 of 40 closed. The bundle can go on with all of them.` */
export function sentenceOf(all: Split, replayed: Split, failed: { fresh: number; failingToday: number }): string {
  const share = (of: keyof Split) => `${replayed[of]}${replayed[of] === all[of] ? '' : ` of ${all[of]}`} ${of}`;
  const count = replayed.open + replayed.closed;
  const what = `Replayed ${sagas(count)}: ${share('open')}, ${share('closed')}.`;
  const { fresh, failingToday } = failed;
  const known = failingToday === 0 ? '' : ` ${sagas(failingToday)} cannot be replayed on today’s bundle either.`;
  if (fresh > 0) return `${what} The bundle cannot go on with ${fresh} of them.${known}`;
  return `${what} The bundle can go on with ${failingToday === 0 ? 'all of them' : 'all others'}.${known}`;
}

const sagas = (count: number): string => `${count} ${count === 1 ? 'saga' : 'sagas'}`;

/** @returns the names of those that this bundle cannot replay either */
async function failingOn(
  path: string,
  failed: Incompatible[],
  fetched: ReadonlyMap<string, History['history']>,
  converter: DataConverter,
): Promise<Set<string>> {
  const again = failed.flatMap(({ workflowId, runId }) => {
    const name = `${workflowId}/${runId}`;
    const history = fetched.get(name);
    return history === undefined ? [] : [{ workflowId: name, history }];
  });
  if (again.length === 0) return new Set();
  const { incompatible } = await replayOn(path, again, fetched, converter);
  return new Set(incompatible.map(({ workflowId, runId }) => `${workflowId}/${runId}`));
}
