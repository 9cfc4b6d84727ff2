/** What the sagas of one order did: by their own account, of every run that Temporal still has, else by the log in Postgres. */
import type {
  WorkflowExecutionDescription,
  WorkflowExecutionInfo,
  WorkflowExecutionStatusName,
} from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import type { Order } from '../contracts/orders.js';
import type { SagaState, StepProgress } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import { readSagaLog } from '../domain/saga-log.js';
import { askProgress, describe } from '../sagas/deciding/asking.js';
import { endedFromOutside } from '../sagas/execution.js';
import type { Temporal } from './connections.js';

export type SagaStory = {
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

/** Runs before the newest, of one saga: a saga is begun anew now and then, not a hundred times. */
const EARLIER_MAX = 10;
const LIST_LIMIT_MS = 5_000;

/** The order's saga, and the one that takes it back if there is one. The log knows them as one. */
export async function readSagas(temporal: Temporal | undefined, db: Database, order: Order): Promise<SagaStory[]> {
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
  return description && tell(temporal, description);
}

async function tell(temporal: Temporal, description: WorkflowExecutionDescription): Promise<SagaStory> {
  const { workflowId, runId, status } = description;
  const progress = await askProgress(temporal, description);
  return {
    workflowId,
    runId,
    execution: executionOf(status.name),
    webUrl: temporal.link(workflowId, runId),
    source: progress ? 'saga' : 'log',
    state: progress?.state ?? 'RUNNING',
    steps: progress?.steps ?? [],
  };
}

const executionOf = (status: WorkflowExecutionStatusName): string => endedFromOutside(status) ?? status;

/** Runs that ended before the newest began, terminated ones above all: what they tried is in no other. @returns oldest first */
export async function readEarlierRuns(temporal: Temporal, sagas: SagaStory[]): Promise<SagaStory[]> {
  const { client } = temporal;
  const stories = await Promise.all(
    sagas.map(async ({ workflowId, runId }) => {
      if (runId === null) return [];
      const earlier: WorkflowExecutionInfo[] = [];
      for await (const run of client.workflow.list({ query: `WorkflowId="${workflowId}"` })) {
        if (run.runId !== runId) earlier.push(run);
        if (earlier.length === EARLIER_MAX) break;
      }
      earlier.sort((a, b) => a.startTime.getTime() - b.startTime.getTime());
      return Promise.all(earlier.map((run) => tellRun(temporal, run.workflowId, run.runId)));
    }),
  );
  return stories.flat().filter((story) => story !== null);
}

async function tellRun(temporal: Temporal, workflowId: string, runId: string): Promise<SagaStory | null> {
  const handle = temporal.client.workflow.getHandle(workflowId, runId);
  return temporal.client
    .withDeadline(Date.now() + LIST_LIMIT_MS, () => handle.describe())
    .then((description) => tell(temporal, description))
    .catch(() => null); // its history has left meanwhile
}
