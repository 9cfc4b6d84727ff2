/** `retry`, `skip`, `compensate`: an operator's decision on one saga, some, or all that look alike. */
import type { Command } from 'commander';
import { money } from '../contracts/amounts.js';
import type { Resolution } from '../contracts/saga.js';
import { readOrder, readOrderState } from '../domain/orders.js';
import { groupByFailure, type StuckSaga } from '../domain/stuck-sagas.js';
import { sagaInCharge } from '../sagas/deciding/asking.js';
import { decide, type Target } from '../sagas/deciding/decide.js';
import { saysEnded } from '../sagas/ended.js';
import { isEndedFromOutside } from '../sagas/execution.js';
import { type ActOptions, actOnAll, addManyOptions, askBefore, DIRECT_MAX, signatureOf } from './act.js';
import { atOption, type Ops, orderIds, run, stepOption, wholeNumber } from './command.js';
import { policyOf } from './connections.js';
import { type ExitCode, nothingMatched, usage } from './exit.js';
import { actOnServer } from './operations/start.js';
import { createRecorder } from './recorder.js';
import { printGroups } from './stuck.js';
import { listStuck, type StuckFilter } from './stuck-sagas.js';

type Options = ActOptions & StuckFilter & { all?: boolean; limit?: number; at?: string };

const COMMANDS = {
  retry: {
    summary: 'try the step that waits again now; restart a saga that was ended from outside',
    done: 'tried again',
    example: `
  ops retry 01a1fc4b-2622-70f0-8b6b-725674f9c1d0
  ops retry --all --step chargePayment --failure GatewayUnknown --canary 3 --rate 10/s`,
  },
  skip: {
    summary: 'vouch that the step (or undo) that waits has been done by hand, and go on',
    done: 'recorded as done by hand',
    example: `
  ops skip 01a1fc4b-2622-70f0-8b6b-725674f9c1d0 --at chargePayment --reason 'paid by bank transfer, ticket 4711'`,
  },
  compensate: {
    summary: 'give the order up: undo what was done, cancel it',
    done: 'unwound and cancelled',
    example: `
  ops compensate 01a1fc4b-2622-70f0-8b6b-725674f9c1d0 --reason 'gateway stays down, ticket 4711'
  ops compensate --all --step chargePayment --canary 1 --reason 'gateway stays down, ticket 4711'`,
  },
} as const;

export function addResolveCommands(program: Command): void {
  for (const action of ['retry', 'skip', 'compensate'] as const) {
    const { summary, example } = COMMANDS[action];
    const command = program
      .command(action)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .argument('[orders...]', 'ids of orders, or workflow ids of their sagas', orderIds)
      .option('--all', 'all stuck sagas that `stuck` lists, oldest and dearest first')
      .addOption(stepOption())
      .option('--failure <kind>', 'only those stuck for this reason, as `stuck` groups them')
      .option('--limit <n>', 'at most so many', wholeNumber)
      .addOption(atOption());
    addManyOptions(command)
      .addHelpText('after', `\nExamples:${example}`)
      .action((ids: string[], options: Options) => run(command, (ops) => resolveAll(ops, action, ids, options)));
  }
}

async function resolveAll(ops: Ops, action: Resolution['action'], ids: string[], options: Options): Promise<ExitCode> {
  const isFiltered = options.all === true || options.step !== undefined || options.failure !== undefined;
  if (ids.length === 0 && !isFiltered)
    throw usage(`Which? Name orders, or use --all, --step, --failure. See \`${action} --help\`.`);
  if (ids.length > 0 && isFiltered) throw usage('Name orders, or filter with --all, --step, --failure: not both.');
  if (options.at !== undefined && (isFiltered || (ids.length > DIRECT_MAX && options.direct !== true)))
    throw usage(
      `--at goes with up to ${DIRECT_MAX} orders that are named, or with --direct: others are held to where they were listed.`,
    );
  const signature = signatureOf(options, ops.config, action === 'retry' ? 'retried from the ops CLI' : undefined);
  const resolution: Resolution = { action, ...signature };
  const targets = ids.length > 0 ? await named(ops, ids, options.at) : await filtered(ops, options);
  const many = `${targets.length} ${targets.length === 1 ? 'saga' : 'sagas'}`;
  await askBefore(ops, `${action} ${many}, as ${signature.operator}?`, options.yes);
  if (targets.length > DIRECT_MAX && options.direct !== true)
    return actOnServer(ops, action, resolution, { orderIds: targets.map(({ orderId }) => orderId) }, options);
  const [temporal, db] = [await ops.to.temporal(), await ops.to.database()];
  const recorder = createRecorder(ops, action, signature.operator);
  const deciding = { temporal, db, policy: policyOf(ops.config), recorder };
  return actOnAll(ops, resolution, targets, options, ({ seen, ...target }) =>
    decide(deciding, target, { ...resolution, ...seen }),
  );
}

/** `seen`: where the operator has seen it, which it is held to. */
type Seen = Target & { seen: Pick<Resolution, 'expectedStep' | 'expectedFailure'> };

async function filtered(ops: Ops, { step, failure, limit }: Options): Promise<Seen[]> {
  const { out } = ops;
  const filter: StuckFilter = { ...(step !== undefined && { step }), ...(failure !== undefined && { failure }) };
  const { sagas, more } = await listStuck(ops, filter);
  const chosen = sagas.slice(0, limit);
  if (chosen.length === 0) throw nothingMatched('No stuck saga matches.');
  printGroups(out, groupByFailure(chosen));
  if (more) out.notice('There are more than can be seen at a time: repeat the command afterwards.');
  return chosen.map((saga) => ({
    ...{ orderId: saga.orderId, workflowId: saga.workflowId, seen: seenOf(saga) },
    ...(!saysEnded(saga.failure) && { seenAtWork: true as const }),
  }));
}

function seenOf({ state, step, failure }: StuckSaga): Seen['seen'] {
  if (failure !== null && isEndedFromOutside(failure)) return { expectedFailure: failure };
  return state === 'NEEDS_ATTENTION' && step !== null ? { expectedStep: step } : {};
}

async function named({ out, to }: Ops, ids: string[], at: string | undefined): Promise<Seen[]> {
  const db = await to.database();
  const found: Seen[] = [];
  const rows: string[][] = [];
  for (const id of ids) {
    const order = await readOrder(db, id);
    if (!order) {
      out.notice(`There is no order ${id}.`);
      continue;
    }
    const workflowId = sagaInCharge(id, await readOrderState(db, id));
    found.push({ orderId: id, workflowId, seen: at === undefined ? {} : { expectedStep: at } });
    rows.push([id, order.status, money(order.total)]);
  }
  if (found.length === 0) throw nothingMatched('None of these orders exists.');
  if (found.length < ids.length) throw usage('Nothing was done, since some of these orders do not exist.');
  out.table(['order', 'status', 'total'], rows);
  return found;
}
