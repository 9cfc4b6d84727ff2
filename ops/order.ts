/** `order`: all that is known of one order: how it stands, its money, what its sagas did, who decided what, its events. */
import type { Command } from 'commander';
import { money } from '../contracts/amounts.js';
import type { StoredEvent } from '../contracts/events.js';
import type { Order, StoredOrder } from '../contracts/orders.js';
import type { Database } from '../domain/database.js';
import { type OrderState, readOrder, readOrderState, readTraceOf } from '../domain/orders.js';
import { readOrderEvents } from '../domain/outbox.js';
import { readPaymentDue } from '../domain/payments.js';
import { type Finding, isVouched, listFindings } from '../domain/reconciliation-findings.js';
import { type GatewayView, movementsOf, refundUnderWay } from '../explanation/gateway-view.js';
import { type NextAct, nextActs, readPolicy } from '../explanation/next-acts.js';
import { refundPendingAt } from '../explanation/order-row.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { readTraceparent } from '../runtime/tracing/spans.js';
import { describe, sagaInCharge } from '../sagas/deciding/asking.js';
import { printFindings, printVouched } from './close-findings.js';
import { type Ops, orderId, run } from './command.js';
import { type OpsConfig, policyOf, type Temporal } from './connections.js';
import { EXIT, type ExitCode, nothingMatched } from './exit.js';
import { readGatewayOf } from './gateway-view.js';
import { openedDatabase, openedIfPossible } from './opened.js';
import { age, duration, type Output, time } from './output.js';
import { noteReads } from './reads.js';
import { readEarlierRuns, readSagas, type SagaStory } from './saga-stories.js';

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

async function showOrder(ops: Ops, id: string): Promise<ExitCode> {
  const { out, to, config } = ops;
  const db = await openedDatabase(ops);
  const order = await openedIfPossible(ops, (texts) => readOrder(db, id, texts));
  if (!order) throw nothingMatched(`There is no order ${id}.`);
  const temporal = await to.temporal().catch((err: unknown) => {
    out.notice(
      `${sentenceOf(err)}\nWhat follows is from the log in Postgres: it knows what was done, not what is being tried.`,
    );
    return undefined;
  });
  const [sagas, orderState, payment, listed, decisions, events, traceId] = await Promise.all([
    readSagas(temporal, db, order).catch((err: unknown) => {
      out.notice(`Temporal does not answer: ${sentenceOf(err)}. The steps are from the log in Postgres.`);
      return readSagas(undefined, db, order);
    }),
    readOrderState(db, id),
    readPaymentDue(db, id),
    listFindings(db, { orderId: order.id }),
    readDecisions(db, id),
    readOrderEvents(db, id, 0, EVENTS_MAX, 'closed'),
    readTraceId(db, id),
  ]);
  const findings = listed.filter((one) => !isVouched(one) && one.action !== 'refunded' && one.action !== 'cancelled');
  const vouched = listed.filter(isVouched);
  const [gateway, next, earlierRuns] = await Promise.all([
    readGatewayOf(config, payment),
    readNextActs(temporal, config, order, orderState),
    temporal ? readEarlierRuns(temporal, sagas).catch(() => []) : [],
  ]);
  await noteReads(ops, db, 'order', [id]);
  const { status, gatewayReference, refundReference } = payment;
  const report = {
    order,
    unwindingReason: orderState.unwindingReason,
    traceId,
    payment: { status, gatewayReference, refundReference },
    gateway,
    next,
    findings,
    vouched,
    sagas,
    earlierRuns,
    decisions,
  };
  out.document({ ...report, events: events.map(briefly) });
  if (!out.json) print(out, report, events);
  return EXIT.done;
}

type OrderReport = {
  order: StoredOrder;
  unwindingReason: string | null;
  /** As W3C Trace Context has it; null if the request that placed the order was not traced. */
  traceId: string | null;
  payment: { status: string | null; gatewayReference: string | null; refundReference: string | null };
  gateway: GatewayView;
  next: NextAct[];
  /** Differences of the gateway's ledger and ours that are not settled. */
  findings: Finding[];
  /** At most one: an operator's word that its money came, or went back, by other means. */
  vouched: Finding[];
  sagas: SagaStory[];
  /** Runs that ended before those began: an operator had terminated them, or they had grown too long. */
  earlierRuns: SagaStory[];
  decisions: LoggedDecision[];
};

/** @returns none that needs Temporal if that does not answer */
async function readNextActs(
  temporal: Temporal | undefined,
  config: OpsConfig,
  order: StoredOrder,
  orderState: OrderState,
): Promise<NextAct[]> {
  const ask = async () => {
    const saga = temporal && (await describe(temporal, sagaInCharge(order.id, orderState)));
    return { saga, policy: temporal && saga ? await readPolicy(temporal, saga) : undefined };
  };
  const asked = await ask().catch(() => ({ saga: undefined, policy: undefined }));
  return nextActs({ order, orderState, ...asked, policyOfToday: policyOf(config), probeEveryMs: config.PROBE_EVERY });
}

const readTraceId = async (db: Database, id: string): Promise<string | null> =>
  readTraceparent(await readTraceOf(db, id))?.traceId ?? null;

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

function print(out: Output, report: OrderReport, events: StoredEvent[]): void {
  const { order, traceId, findings, vouched, sagas, earlierRuns, decisions } = report;
  printHead(out, report);
  out.print(`correlation id  ${order.correlationId}${traceId === null ? '' : `, trace id ${traceId}`}`);
  printMoney(out, report, events);
  printNext(out, report);
  if (findings.length > 0) {
    out.print(out.paint('red', '\nThe gateway’s ledger says otherwise'));
    printFindings(out, findings);
  }
  printVouched(out, vouched);
  for (const run of earlierRuns) printSaga(out, run, 'Earlier run of');
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

function printHead(out: Output, { order, unwindingReason }: OrderReport): void {
  const why = order.cancellation?.reason ?? unwindingReason;
  out.print(
    `${out.paint('bold', order.id)}  ${paintStatus(out, order)}${why === null ? '' : ` (${order.cancellation ? '' : 'unwinding: '}${why})`}  ${money(order.total)}`,
  );
  const external = order.externalOrderId === undefined ? '' : `, external id ${order.externalOrderId}`;
  out.print(
    `accepted ${time(order.createdAt)} (${age(order.createdAt)} ago), customer ${customerOf(order)}${external}`,
  );
  const { currency } = order.total;
  for (const { sku, quantity, unitPrice } of order.items) {
    out.print(`  ${quantity} × ${sku} at ${money({ amount: unitPrice, currency })}`);
  }
}

/** What we have on record, and what the gateway itself says. */
function printMoney(out: Output, { order, payment, gateway }: OrderReport, events: StoredEvent[]): void {
  const { status, gatewayReference, refundReference } = payment;
  const references = [gatewayReference, refundReference].filter((reference) => reference !== null).join(', ');
  const underWay = status === 'REFUNDED' ? refundUnderWay(gateway, { pendingAt: refundPendingAt(events) }) : undefined;
  out.print(
    `payment  ${status ?? 'no outcome known'}${references && `, ${references}`}${underWay ? `: ${underWay}` : ''}`,
  );
  if (!gateway.asked) {
    out.print(`gateway  not asked: ${gateway.why}`);
    return;
  }
  const { currency } = order.total;
  const late =
    gateway.charges.length === 0 ? ': it lists no charge of this order (its search is up to a minute late)' : '';
  out.print(`gateway  holds ${money({ amount: gateway.holds, currency })}${late}`);
  for (const charge of gateway.charges) {
    const disputed = charge.disputed ? out.paint('red', ', disputed') : '';
    out.print(`  ${charge.reference}  ${charge.state}, ${movementsOf(charge)}${disputed}`);
  }
}

function printNext(out: Output, { next }: OrderReport): void {
  if (next.length === 0) {
    out.print('next     nothing: the order is final');
    return;
  }
  for (const { what, at, atLatest } of next) {
    const when = at === null ? '' : `  ${atLatest ? 'by ' : ''}${time(at)} (${whenOf(at)})`;
    out.print(`next     ${what}${when}`);
  }
}

const whenOf = (at: string): string =>
  Date.parse(at) > Date.now() ? `in ${duration(Date.parse(at) - Date.now())}` : `${age(at)} ago`;

function printSaga(
  out: Output,
  { workflowId, execution, webUrl, source, state, steps }: SagaStory,
  title: 'Saga' | 'Earlier run of' = 'Saga',
): void {
  const isOurs = execution === null || execution === 'RUNNING' || execution === 'COMPLETED';
  const ended = title === 'Saga' ? ': no worker works on it; `retry` restarts it' : ': another run has followed it';
  const shown = isOurs ? state : `${execution}${ended}`;
  const style = isOurs && state !== 'NEEDS_ATTENTION' ? 'bold' : 'red';
  out.print(
    `\n${out.paint('bold', title)} ${workflowId}  ${out.paint(style, shown)}${source === 'log' ? '  (from the log in Postgres)' : ''}`,
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

/** Whom people know it by, and by what its sagas and events are found. */
const customerOf = ({ customerId, customer }: StoredOrder): string =>
  customer === customerId ? customerId : `${customerId} (reference ${customer})`;
