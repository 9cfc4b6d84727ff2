/** `stuck`: which sagas will not end without an operator, grouped by what looks like one cause. */
import type { Command } from 'commander';
import {
  countSlowOrders,
  groupByFailure,
  listSlowOrders,
  SLOW_AFTER_S,
  type SlowOrders,
  type StuckGroup,
  type StuckSaga,
} from '../domain/stuck-sagas.js';
import { type Pollers, readPollers } from '../sagas/pollers.js';
import { describeSlow, groupSlow, type SlowSaga } from '../sagas/slow.js';
import { money } from '../contracts/amounts.js';
import { type Ops, run, stepOption, wholeNumber } from './command.js';
import type { Temporal } from './connections.js';
import { EXIT, type ExitCode, OpsError } from './exit.js';
import { readLastErrors } from './last-errors.js';
import { noteReads } from './reads.js';
import { type StuckFilter, listStuck } from './stuck-sagas.js';
import { age, duration, type Output, sum } from './output.js';

type Options = StuckFilter & { limit?: number };

/** A screenful or two; the groups above count them all. A program gets them all. */
const LIMIT_DEFAULT = 50;
/** Whether there are more makes no difference to the operator. */
const SLOW_MAX = 10_000;
/** Orders that Temporal is asked about one by one, some milliseconds each: they show what it is. */
const STANDING_MAX = 50;
/** Sagas whose last error is asked for, likewise: beyond it the document has null. */
const ERRORS_MAX = 500;

export function addStuckCommand(program: Command): void {
  const command = program
    .command('stuck')
    .summary('which sagas need someone: by cause, then oldest and dearest first')
    .description(
      'Sagas that ask for an operator (NEEDS_ATTENTION), that were ended from outside while their order is not final, that are missing, or that do not move: their code fails, no worker takes them, an operator has paused an activity of theirs, or they are open for too long.',
    )
    .addOption(stepOption())
    .option(
      '--failure <kind>',
      'only those stuck for this reason, e.g. GatewayUnknown, TERMINATED, NO_POLLERS, ACTIVITY_PAUSED',
    )
    .option('--limit <n>', `show so many (default: ${LIMIT_DEFAULT}, in JSON all); the groups count all`, wholeNumber)
    .addHelpText(
      'after',
      '\nExamples:\n  ops stuck\n  ops stuck --step chargePayment --limit 500\n  npm run -s ops -- stuck --output json | jq -r .sagas[].orderId',
    )
    .action((options: Options) => run(command, (ops) => stuck(ops, options)));
}

async function stuck(ops: Ops, { limit, ...filter }: Options): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const slow = await countSlowOrders(db, SLOW_MAX);
  const temporal = await to.temporal().catch((err: unknown) => {
    if (!(err instanceof OpsError)) throw err;
    printSlow(out, slow);
    throw err;
  });
  const { link, client } = temporal;
  const [{ sagas, more }, pollers] = await Promise.all([listStuck(ops, filter), readPollers(client)]);
  const groups = groupByFailure(sagas);
  const shown = sagas.slice(0, limit ?? (out.json ? sagas.length : LIMIT_DEFAULT));
  const lastErrors = await readLastErrors(temporal, shown.slice(0, ERRORS_MAX));
  const rows = shown.map((saga, i) => ({ ...saga, lastError: lastErrors[i] ?? null }));
  const standing = slow.count === 0 ? [] : await describeStanding(ops, temporal, sagas);
  await noteReads(ops, db, 'stuck', []);
  out.document({
    count: sagas.length,
    more,
    slow,
    standing: groupSlow(standing),
    pollers,
    groups,
    sagas: rows.map((saga) => ({ ...saga, webUrl: link(saga.workflowId, saga.runId) })),
  });
  const isFiltered = filter.step !== undefined || filter.failure !== undefined;
  if (sagas.length === 0) out.print(nothingStuck(isFiltered, slow));
  else printStuck(out, groups, rows, link);
  if (shown.length < sagas.length) out.print(`… and ${sagas.length - shown.length} more: --limit ${sagas.length}`);
  if (more) out.notice('There are more than can be seen at a time.');
  if (slow.count > sagas.length) printSlow(out, slow);
  printStanding(out, standing);
  if (slow.count > 0 || sagas.length > 0) printPollers(out, pollers);
  return EXIT.done;
}

/** "No saga is stuck" means to an operator that all is well: it is said only if no order stands still either. */
function nothingStuck(isFiltered: boolean, { count }: SlowOrders): string {
  if (isFiltered) return 'No saga is stuck at that.';
  return count === 0 ? 'No saga is stuck.' : 'No saga waits for a decision yet, but not all is well:';
}

/** The longest waiting of those that no list of stuck sagas has yet. */
async function describeStanding({ to }: Ops, { client }: Temporal, stuckSagas: StuckSaga[]): Promise<SlowSaga[]> {
  const listed = new Set(stuckSagas.map(({ orderId }) => orderId));
  const orders = await listSlowOrders(await to.database(), STANDING_MAX + listed.size);
  return describeSlow(client, orders.filter(({ orderId }) => !listed.has(orderId)).slice(0, STANDING_MAX));
}

type Row = StuckSaga & { lastError: string | null };

function printStuck(out: Output, groups: StuckGroup[], rows: Row[], link: Temporal['link']): void {
  printGroups(out, groups);
  out.print();
  out.table(['age', 'saga', 'step', 'failure', 'amount'], rows.map(rowOf));
  printLastErrors(out, rows);
  const [first] = rows;
  const url = first && link(first.workflowId);
  if (url) out.print(`\nIn the Web UI: ${url}`);
}

/** One line for all that failed alike: a column of its own would wrap each row. */
function printLastErrors(out: Output, rows: Row[]): void {
  const counts = new Map<string, number>();
  for (const { lastError } of rows) if (lastError !== null) counts.set(lastError, (counts.get(lastError) ?? 0) + 1);
  if (counts.size === 0) return;
  out.print();
  out.table(
    ['sagas', 'last error'],
    [...counts].sort(([, a], [, b]) => b - a).map(([error, count]) => [`${count}`, error]),
  );
}

/** Just after something has broken, no operator is needed yet; but one who looks wants to know that it is so. */
function printSlow(out: Output, { count, oldest }: SlowOrders): void {
  if (oldest === null) return;
  const orders = count === 1 ? '1 order is' : `${count} orders are`;
  out.print(
    out.paint(
      'yellow',
      `${orders} open for more than ${SLOW_AFTER_S} s. The oldest, for ${age(oldest.since)}: ops order ${oldest.orderId}`,
    ),
  );
}

const WAITING_FOR: Record<SlowSaga['waitsFor'], string> = {
  worker: 'a worker that takes its task',
  attempt: 'an attempt that is under way',
  'next-try': 'the next try',
  unpausing: 'an operator who lets its activity go on',
  'its-own-time': 'a timer of its own',
  'its-start': 'a relay that starts its saga',
};

function printStanding(out: Output, standing: SlowSaga[]): void {
  if (standing.length === 0) return;
  out.print();
  out.table(
    ['orders', 'wait for', 'step', 'oldest', 'last error'],
    groupSlow(standing).map(({ count, waitsFor, step, oldest, lastError }) => [
      `${count}${standing.length === STANDING_MAX ? '+' : ''}`,
      WAITING_FOR[waitsFor],
      step ?? '–',
      age(oldest.since),
      lastError ?? '–',
    ]),
  );
}

function printPollers(out: Output, { workflow, activity, lastAskedSeconds }: Pollers): void {
  const seen = `${workflow.length} for sagas, ${activity.length} for activities`;
  if (workflow.length > 0 && activity.length > 0) {
    out.print(
      `\nWorkers that have asked Temporal for work within the last minute: ${seen}. One that is frozen stays among them for up to two.`,
    );
    return;
  }
  const last = lastAskedSeconds === null ? 'none is known' : `the last one ${duration(lastAskedSeconds * 1_000)} ago`;
  out.print(out.paint('red', `\nNo worker asks Temporal for work (${seen}; ${last}): start one, ROLE=worker or all.`));
}

const rowOf = ({ startedAt, workflowId, step, failure, total }: StuckSaga): string[] => [
  age(startedAt),
  workflowId,
  step ?? '–',
  failure ?? '–',
  money(total),
];

export function printGroups(out: Output, groups: StuckGroup[]): void {
  out.table(
    ['sagas', 'step', 'failure', 'oldest', 'amount'],
    groups.map(({ count, step, failure, oldest, amounts }) => [
      out.paint('bold', `${count}`),
      step ?? '–',
      out.paint('red', failure ?? '–'),
      age(oldest),
      sum(amounts),
    ]),
  );
}
