/** Reading the three sides of every order that a restore may concern: Postgres, Temporal, the gateway. It only reads. */
import type { Client } from '@temporalio/client';
import pLimit from 'p-limit';
import { CANCEL_ORDER_SAGA, cancelOrderSagaId, ORDER_SAGA, orderIdOf, orderSagaId } from '../../contracts/ids.js';
import { listDue, readRestored, type RestoredOrder } from '../../domain/after-restore.js';
import type { Database } from '../../domain/database.js';
import { amountFromGateway, CHARGE_PURPOSE } from '../../gateways/marks.js';
import type { LedgerCharge, Page, PageRequest, PaymentLedger } from '../../gateways/payments.js';
import { describeRun } from '../../sagas/describe.js';
import { type HeldMoney, isTakenBack, type SagaRun, type Sides } from './difference.js';
import { readTold } from './history.js';

export type Ledger = Pick<PaymentLedger, 'listCharges' | 'listRefunds' | 'readCharge'>;
type Sources = { db: Database; client: Client; ledger: Ledger; installationId: string };

const FIRST = '00000000-0000-0000-0000-000000000000';
const PAGE = 1_000;
const PARALLEL_MAX = 8;
const ANSWER_LIMIT_MS = 10_000;
/** Clocks differ by less. */
const CLOCK_SKEW_MS = 5 * 60_000;
const ORDER_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * @param since what a saga has ended, and what money has moved, at or after this moment; open orders and running sagas are read however
 *              old they are
 */
export async function readSides(sources: Sources, since: Date): Promise<Sides[]> {
  const { db, client } = sources;
  const [runs, money] = await Promise.all([listRuns(client, since), readMoney(sources, since)]);
  const orders = await readOrders(db, [...new Set([...runs.keys()].map(orderIdOf)), ...money.keys()]);
  const ids = new Set([...[...runs.keys()].map(orderIdOf), ...money.keys(), ...orders.keys()]);
  const limit = pLimit(PARALLEL_MAX);
  return Promise.all(
    [...ids].map((orderId) =>
      limit(async (): Promise<Sides> => {
        const order = orders.get(orderId);
        const isDue = order?.isDue === true;
        const [saga, cancellation] = await Promise.all([
          runOf(client, runs, orderSagaId(orderId), isDue && !isTakenBack(order)),
          runOf(client, runs, cancelOrderSagaId(orderId), isDue && isTakenBack(order)),
        ]);
        // A saga writes here first, then to its history: what that says is here by now, unless this database has lost it.
        const now = isDue ? (await readRestored(db, [orderId]))[0] : order;
        const { held, givenBack } = money.get(orderId) ?? NONE;
        return { orderId, order: now, saga, cancellation, held, givenBack };
      }),
    ),
  );
}

/** By workflow id, of each the newest run. Visibility trails by a second or so. */
async function listRuns(client: Client, since: Date): Promise<Map<string, SagaRun & { startTime: Date }>> {
  const query = `WorkflowType IN ('${ORDER_SAGA}','${CANCEL_ORDER_SAGA}') AND (ExecutionStatus = 'Running' OR CloseTime >= '${since.toISOString()}')`;
  const runs = new Map<string, SagaRun & { startTime: Date }>();
  for await (const { workflowId, runId, status, startTime } of client.workflow.list({ query, pageSize: PAGE })) {
    if (!ORDER_ID.test(orderIdOf(workflowId))) continue;
    const known = runs.get(workflowId);
    if (!known || known.startTime < startTime)
      runs.set(workflowId, { workflowId, runId, status: status.name, startTime });
  }
  return runs;
}

async function readOrders(db: Database, ids: string[]): Promise<Map<string, RestoredOrder>> {
  const orders = new Map<string, RestoredOrder>();
  const keep = (page: RestoredOrder[]) => {
    for (const order of page) orders.set(order.id, order);
  };
  for (let at = 0; at < ids.length; at += PAGE) keep(await readRestored(db, ids.slice(at, at + PAGE)));
  for (let afterId = FIRST; ; ) {
    const page = await listDue(db, afterId, PAGE);
    keep(page);
    const last = page.at(-1);
    if (page.length < PAGE || !last) return orders;
    afterId = last.id;
  }
}

/** @param isNeeded an open order needs it: it is asked for itself, since lists are late, and what it has done is read */
async function runOf(
  client: Client,
  runs: ReadonlyMap<string, SagaRun>,
  workflowId: string,
  isNeeded: boolean,
): Promise<SagaRun | undefined> {
  const listed = runs.get(workflowId);
  if (!isNeeded && !listed?.workflowId.endsWith('-cancel')) return listed;
  const now = await client.withDeadline(Date.now() + ANSWER_LIMIT_MS, () => describeRun(client, workflowId));
  if (!now) return undefined;
  const run: SagaRun = { workflowId, runId: now.runId, status: now.status.name };
  if (run.status === 'RUNNING') return { ...run, told: await readTold(client, workflowId, run.runId) };
  if (run.status !== 'COMPLETED') return run;
  const handle = client.workflow.getHandle(workflowId, run.runId);
  const result = (await client.withDeadline(Date.now() + ANSWER_LIMIT_MS, () => handle.result())) as SagaRun['result'];
  return { ...run, ...(result && { result }) };
}

type Money = Pick<Sides, 'held' | 'givenBack'>;
const NONE: Money = { held: [], givenBack: [] };
const GONE = new Set(['succeeded', 'pending', 'requires_action']);

/** By order: what the gateway holds of charges that are ours by their marks, and which of them went back by refunds of ours. */
async function readMoney({ ledger, installationId }: Sources, since: Date): Promise<Map<string, Money>> {
  const from = new Date(since.getTime() - CLOCK_SKEW_MS);
  const listed = await all((request) => ledger.listCharges(request), from);
  const refunds = await all((request) => ledger.listRefunds(request), from);
  const ofOurs = refunds.filter(({ status, orderId }) => GONE.has(status) && orderId !== null);
  const goneBack = new Set(ofOurs.map(({ chargeReference }) => chargeReference));
  const known = new Set(listed.map(({ reference }) => reference));
  const limit = pLimit(PARALLEL_MAX);
  const older = await Promise.all(
    [...goneBack]
      .filter((reference) => !known.has(reference))
      .map((reference) => limit(() => ledger.readCharge(reference))),
  );
  const money = new Map<string, Money>();
  for (const charge of [...listed, ...older.filter((one) => one !== null)]) {
    const orderId = charge.orderId?.toLowerCase() ?? '';
    if (charge.installationId !== installationId || charge.purpose !== CHARGE_PURPOSE) continue;
    if (!ORDER_ID.test(orderId) || charge.state !== 'succeeded') continue;
    const of = money.get(orderId) ?? { held: [], givenBack: [] };
    if (charge.received > charge.refunded) of.held.push(heldOf(charge));
    else if (goneBack.has(charge.reference)) of.givenBack.push(charge.reference);
    money.set(orderId, of);
  }
  return money;
}

const heldOf = ({ reference, received, refunded, currency, installationId }: LedgerCharge): HeldMoney => ({
  reference,
  amount: amountFromGateway(installationId, { amount: received - refunded, currency }),
  currency,
});

async function all<T>(list: (request: PageRequest) => Promise<Page<T>>, since: Date): Promise<T[]> {
  const items: T[] = [];
  for (let after: string | undefined; ; ) {
    const page = await list({ since, ...(after !== undefined && { after }) });
    items.push(...page.items);
    if (page.after === undefined) return items;
    after = page.after;
  }
}
