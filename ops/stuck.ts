/** `stuck`: which sagas will not end without an operator, grouped by what looks like one cause. */
import type { Command } from 'commander';
import {
  countSlowOrders,
  groupByFailure,
  SLOW_AFTER_S,
  type SlowOrders,
  type StuckGroup,
  type StuckSaga,
} from '../domain/stuck-sagas.js';
import { type Ops, run, stepOption, wholeNumber } from './command.js';
import { EXIT, type ExitCode } from './exit.js';
import { type StuckFilter, listStuck } from './stuck-sagas.js';
import { age, money, type Output, sum } from './output.js';

type Options = StuckFilter & { limit?: number };

/** A screenful or two; the groups above count them all. A program gets them all. */
const LIMIT_DEFAULT = 50;
/** Whether there are more makes no difference to the operator. */
const SLOW_MAX = 10_000;

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
  const { link } = await to.temporal();
  const { sagas, more } = await listStuck(ops, filter);
  const slow = await countSlowOrders(await to.database(), SLOW_MAX);
  const groups = groupByFailure(sagas);
  const shown = sagas.slice(0, limit ?? (out.json ? sagas.length : LIMIT_DEFAULT));
  out.document({
    count: sagas.length,
    more,
    slow,
    groups,
    sagas: shown.map((saga) => ({ ...saga, webUrl: link(saga.workflowId, saga.runId) })),
  });
  if (sagas.length === 0) {
    out.print('No saga is stuck.');
    printSlow(out, slow);
    return EXIT.done;
  }
  printGroups(out, groups);
  out.print();
  out.table(
    ['age', 'order', 'step', 'failure', 'amount', 'charge', 'saga'],
    shown.map((saga) => rowOf(saga, link(saga.workflowId) ?? saga.workflowId)),
  );
  if (shown.length < sagas.length) out.print(`… and ${sagas.length - shown.length} more: --limit ${sagas.length}`);
  if (more) out.notice('There are more than can be seen at a time.');
  return EXIT.done;
}

/** Just after something has broken, no operator is needed yet; but one who looks wants to know that it is so. */
function printSlow(out: Output, { count, oldest }: SlowOrders): void {
  if (oldest === null) return;
  const orders = count === 1 ? '1 order is' : `${count} orders are`;
  out.print(
    `${orders} open for more than ${SLOW_AFTER_S} s: steps are being retried, or no worker runs. The oldest, for ${age(oldest.since)}: ops order ${oldest.orderId}`,
  );
}

const rowOf = ({ startedAt, orderId, step, failure, total, gatewayReference }: StuckSaga, link: string): string[] => [
  age(startedAt),
  orderId,
  step ?? '–',
  failure ?? '–',
  money(total),
  gatewayReference ?? '–',
  link,
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
