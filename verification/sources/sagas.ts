/** What Temporal says of sagas: its lists, a page at a time, and of those that have come to their own end the result, one by one. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import pLimit from 'p-limit';
import { CANCEL_ORDER_SAGA, cancelOrderSagaId, ORDER_SAGA, orderSagaId } from '../../contracts/ids.js';
import { SAGA_STATE } from '../../contracts/saga.js';
import type { LedgerSaga, LedgerStanding } from '../ledgers.js';

const ANSWER_LIMIT_MS = 5_000;
/** Of requests at a time: Temporal has others to serve. */
const PARALLEL_MAX = 4;

type Run = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'status' | 'startTime' | 'typedSearchAttributes'>;

/**
 * The sagas of these orders by Temporal's list, which trails by a second or so.
 * @param results what a saga has come to is `asked` of its history, which costs six times as much as all else here, or taken as it is
 *   `listed`: one that has undone its order says so in its last act (workflows/ending)
 */
export async function readSagas(
  client: Client,
  orders: readonly LedgerStanding[],
  results: 'asked' | 'listed',
): Promise<LedgerSaga[]> {
  if (orders.length === 0) return [];
  const ids = orders.flatMap(idsOf);
  const newest = new Map<string, Run>();
  const query = `WorkflowId IN (${ids.map((id) => `'${id}'`).join(',')})`;
  for await (const run of list(client, query, ids.length)) {
    const known = newest.get(run.workflowId);
    if (!known || known.startTime < run.startTime) newest.set(run.workflowId, run);
  }
  return results === 'asked' ? withResults(client, orders, [...newest.values()]) : [...newest.values()].map(asListed);
}

/** The same by asking for each: what it says is the case. */
export async function describeSagas(client: Client, orders: readonly LedgerStanding[]): Promise<LedgerSaga[]> {
  const limit = pLimit(PARALLEL_MAX);
  const runs = await Promise.all(orders.flatMap(idsOf).map((id) => limit(() => describe(client, id))));
  return withResults(
    client,
    orders,
    runs.filter((run) => run !== undefined),
  );
}

const idsOf = ({ id, status, isTakenBack }: LedgerStanding): string[] =>
  isTakenBack || status === 'CANCELLED' ? [orderSagaId(id), cancelOrderSagaId(id)] : [orderSagaId(id)];

async function describe(client: Client, workflowId: string): Promise<Run | undefined> {
  try {
    return await within(client, () => client.workflow.getHandle(workflowId).describe());
  } catch (err) {
    if (err instanceof Error && err.name === 'WorkflowNotFoundError') return undefined;
    throw err;
  }
}

function asListed({ workflowId, status, typedSearchAttributes }: Run): LedgerSaga {
  const state = typedSearchAttributes.get(SAGA_STATE) ?? null;
  const result = { status: state === 'COMPENSATED' ? 'CANCELLED' : 'CONFIRMED' };
  return { workflowId, status: status.name, result: status.name === 'COMPLETED' ? result : null, state };
}

/** Of final orders' sagas. */
async function withResults(client: Client, orders: readonly LedgerStanding[], runs: Run[]): Promise<LedgerSaga[]> {
  const final = new Set(orders.filter(({ isFinal }) => isFinal).flatMap(idsOf));
  const limit = pLimit(PARALLEL_MAX);
  return Promise.all(
    runs.map(async (run) => {
      const { workflowId, runId, status } = run;
      const hasResult = status.name === 'COMPLETED' && final.has(workflowId);
      const handle = client.workflow.getHandle(workflowId, runId);
      const result = hasResult ? await limit(() => within(client, () => handle.result())) : null;
      return { ...asListed(run), result };
    }),
  );
}

/** Every workflow that is called a saga, the newest first; the runs of one may be several. */
export async function* listClaimed(
  client: Client,
  since: Date | undefined,
  limits: { page: number; all: number },
): AsyncGenerator<string[]> {
  const from = since ? ` AND StartTime > '${since.toISOString()}'` : '';
  const query = `WorkflowType IN ('${ORDER_SAGA}','${CANCEL_ORDER_SAGA}')${from}`;
  let [page, count] = [[] as string[], 0];
  for await (const { workflowId } of list(client, query, limits.page)) {
    page.push(workflowId);
    if (++count === limits.all) break;
    if (page.length < limits.page) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/** @returns for how long Temporal knows a saga that has ended, in milliseconds */
export async function readRetentionMs(client: Client): Promise<number> {
  const { namespace } = client.options;
  const { config } = await within(client, () => client.workflowService.describeNamespace({ namespace }));
  return Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1_000;
}

const list = (client: Client, query: string, pageSize: number) => client.workflow.list({ query, pageSize });

const within = <T>(client: Client, ask: () => Promise<T>): Promise<T> =>
  client.withDeadline(Date.now() + ANSWER_LIMIT_MS, ask);
