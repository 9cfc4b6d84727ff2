/** `order`: all that is known of one order: how it stands, its money, what its sagas did, who decided what, its events. */
import type { Command } from 'commander';
import type { StoredEvent } from '../contracts/events.js';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import type { Order } from '../contracts/orders.js';
import type { SagaState, StepProgress } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import { readOrderState, readOrder } from '../domain/orders.js';
import { readOrderEvents } from '../domain/outbox.js';
import { readPaymentDue } from '../domain/payments.js';
import { type Finding, listFindings } from '../domain/reconciliation-findings.js';
import { readSagaLog } from '../domain/saga-log.js';
import { endedFromOutside } from '../sagas/execution.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { printFindings } from './close-findings.js';
import { type Ops, orderId, run } from './command.js';
import type { Temporal } from './connections.js';
import { EXIT, type ExitCode, nothingMatched } from './exit.js';
import { age, duration, money, type Output, time } from './output.js';
import { askProgress, describe } from './sagas.js';

/** A saga's events are a dozen; so many would be a bug that one wants to see the beginning of. */
const EVENTS_MAX = 1_000;

export function addOrderCommand(program: Command): void {
  const command = program
    .command('order')
    .summary('one order: money, timeline of steps and undos, decisions, events')
    .description('Tells all that is known of one order. Works while Temporal is away, from the log in Postgres.')
    .argument('<order>', 'id of the order, or workflow id of its saga', orderId)
    .addHelpText(
      'after',
      '\nExamples:\n  ops order 01a1fc4b-2622-70f0-8b6b-725674f9c1d0\n  ops order order-01a1fc4b-2622-70f0-8b6b-725674f9c1d0-cancel',
    )
    .action((id: string) => run(command, (ops) => showOrder(ops, id)));
}

async function showOrder({ out, to }: Ops, id: string): Promise<ExitCode> {
  const db = await to.database();
  const order = await readOrder(db, id);
  if (!order) throw nothingMatched(`There is no order ${id}.`);
  const temporal = await to.temporal().catch((err: unknown) => {
    out.notice(
      `${sentenceOf(err)}\nWhat follows is from the log in Postgres: it knows what was done, not what is being tried.`,
    );
    return undefined;
  });
  const [sagas, orderState, payment, findings, decisions, events] = await Promise.all([
    readSagas(temporal, db, order).catch((err: unknown) => {
      out.notice(`Temporal does not answer: ${sentenceOf(err)}. The steps are from the log in Postgres.`);
      return readSagas(undefined, db, order);
    }),
    readOrderState(db, id),
    readPaymentDue(db, id),
    listFindings(db, { orderId: order.id, open: true }),
    readDecisions(db, id),
    readOrderEvents(db, id, 0, EVENTS_MAX),
  ]);
  const { status, gatewayReference } = payment;
  const report = {
    order,
    unwindingReason: orderState.unwindingReason,
    payment: { status, gatewayReference },
    findings,
    sagas,
    decisions,
  };
  out.document({ ...report, events: events.map(briefly) });
  if (!out.json) print(out, report, events);
  return EXIT.done;
}

type OrderReport = {
  order: Order;
  unwindingReason: string | null;
  payment: { status: string | null; gatewayReference: string | null };
  /** Differences of the gateway's ledger and ours that are not settled. */
  findings: Finding[];
  sagas: SagaStory[];
  decisions: LoggedDecision[];
};

type SagaStory = {
  workflowId: string;
  runId: string | null;
  /** How Temporal has it: RUNNING, COMPLETED, TERMINATED …; null if it cannot tell. */
  execution: string | null;
  webUrl: string | null;
  /** Who tells the steps: the saga itself, or the log in Postgres. */
  source: 'saga' | 'log';
  state: SagaState;
  steps: StepProgress[];
};

/** The order's saga, and the one that takes it back if there is one. The log knows them as one. */
async function readSagas(temporal: Temporal | undefined, db: Database, order: Order): Promise<SagaStory[]> {
  const ids = temporal ? [orderSagaId(order.id), cancelOrderSagaId(order.id)] : [];
  const sagas = await Promise.all(ids.map((workflowId) => temporal && askSaga(temporal, workflowId)));
  const known = sagas.filter((saga) => saga !== null && saga !== undefined);
  if (known.length > 0 && known.every(({ source }) => source === 'saga')) return known;
  const log = await readSagaLog(db, order);
  const [first] = known;
  const unknown = { workflowId: orderSagaId(order.id), runId: null, execution: null, webUrl: null };
  return [{ ...(first ?? unknown), source: 'log', ...log }];
}

async function askSaga(temporal: Temporal, workflowId: string): Promise<SagaStory | null> {
  const description = await describe(temporal, workflowId);
  if (!description) return null;
  const { runId, status } = description;
  const progress = await askProgress(temporal, description);
  const execution = endedFromOutside(status.name) ?? status.name;
  return {
    workflowId,
    runId,
    execution,
    webUrl: temporal.link(workflowId, runId),
    source: progress ? 'saga' : 'log',
    state: progress?.state ?? 'RUNNING',
    steps: progress?.steps ?? [],
  };
}

type LoggedDecision = { at: string; by: string; what: string; detail: string | null };

async function readDecisions(db: Database, orderId: string): Promise<LoggedDecision[]> {
  const entries = await db.sagaLogEntry.findMany({ where: { orderId, actor: { not: null } }, orderBy: { id: 'asc' } });
  return entries.map(({ at, actor, step, outcome, detail }) => ({
    at: at.toISOString(),
    by: actor ?? '',
    what: step === 'resolve' ? outcome : `${step}: ${outcome}`,
    detail,
  }));
}

const briefly = ({ sequence, type, occurredAt, data }: StoredEvent) => ({
  sequence,
  type,
  time: occurredAt.toISOString(),
  data,
});

function print(
  out: Output,
  { order, unwindingReason, payment, findings, sagas, decisions }: OrderReport,
  events: StoredEvent[],
): void {
  const why = order.cancellation?.reason ?? unwindingReason;
  out.print(
    `${out.paint('bold', order.id)}  ${paintStatus(out, order)}${why === null ? '' : ` (${order.cancellation ? '' : 'unwinding: '}${why})`}  ${money(order.total)}`,
  );
  const external = order.externalOrderId === undefined ? '' : `, external id ${order.externalOrderId}`;
  out.print(`accepted ${time(order.createdAt)} (${age(order.createdAt)} ago), customer ${order.customerId}${external}`);
  const { currency } = order.total;
  for (const { sku, quantity, unitPrice } of order.items) {
    out.print(`  ${quantity} × ${sku} at ${money({ amount: unitPrice, currency })}`);
  }
  out.print(
    `payment  ${payment.status ?? 'no outcome known'}${payment.gatewayReference ? `, ${payment.gatewayReference}` : ''}`,
  );
  if (findings.length > 0) {
    out.print(out.paint('red', '\nThe gateway’s ledger says otherwise'));
    printFindings(out, findings);
  }
  for (const saga of sagas) printSaga(out, saga);
  if (decisions.length > 0) {
    out.print(out.paint('bold', '\nDecisions'));
    out.table(
      ['time', 'by', 'what', 'detail'],
      decisions.map((d) => [time(d.at), d.by, d.what, d.detail ?? '']),
    );
  }
  out.print(out.paint('bold', '\nEvents'));
  out.table(
    ['', 'time', 'type'],
    events.map((e) => [`${e.sequence}`, time(e.occurredAt.toISOString()), e.type]),
  );
}

function printSaga(out: Output, { workflowId, execution, webUrl, source, state, steps }: SagaStory): void {
  const isOurs = execution === null || execution === 'RUNNING' || execution === 'COMPLETED';
  const shown = isOurs ? state : `${execution}: no worker works on it; \`retry\` restarts it`;
  const style = isOurs && state !== 'NEEDS_ATTENTION' ? 'bold' : 'red';
  out.print(
    `\n${out.paint('bold', 'Saga')} ${workflowId}  ${out.paint(style, shown)}${source === 'log' ? '  (from the log in Postgres)' : ''}`,
  );
  if (webUrl !== null) out.print(out.paint('dim', webUrl));
  out.table(
    ['', 'step', 'status', 'tries', 'started', 'took', 'last error'],
    steps.map(({ kind, name, status, attempts, startedAt, finishedAt, lastError }) => [
      kind === 'step' ? '+' : '-',
      name,
      ['parked', 'retrying', 'refused'].includes(status) ? out.paint('red', status) : status,
      `${attempts}`,
      startedAt === null ? '' : time(startedAt),
      startedAt === null ? '' : took(startedAt, finishedAt),
      lastError ?? '',
    ]),
  );
}

const took = (from: string, to: string | null): string =>
  to === null ? `${age(from)} …` : duration(Date.parse(to) - Date.parse(from));

const paintStatus = (out: Output, { status }: Order): string =>
  out.paint(status === 'CONFIRMED' ? 'green' : status === 'PENDING' ? 'yellow' : 'red', status);
