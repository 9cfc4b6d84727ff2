/** Why sagas that are listed as stuck are stuck, in the words of what failed: from the saga itself, else from Temporal's server. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import pLimit from 'p-limit';
import type { StuckSaga } from '../domain/stuck-sagas.js';
import { askProgress, describe } from '../sagas/deciding/asking.js';
import { pendingActivities } from '../sagas/execution.js';
import { WORKFLOW_TASK_FAILING } from '../sagas/standstill.js';
import type { Temporal } from './connections.js';

const PARALLEL_MAX = 16;
/** Of the newest events: a workflow task leaves two or three. */
const EVENTS_MAX = 10;

/** @returns one per saga, null where nothing is known; never throws, for the list without it is worth having */
export async function readLastErrors(temporal: Temporal, sagas: StuckSaga[]): Promise<(string | null)[]> {
  const limit = pLimit(PARALLEL_MAX);
  // No worker answers: each saga would have its whole time not to.
  let isSilent = false;
  const read = async ({ workflowId, runId, failure }: StuckSaga): Promise<string | null> => {
    if (runId === null) return null;
    const saga = await describe(temporal, workflowId);
    if (saga === null) return null;
    if (failure === WORKFLOW_TASK_FAILING) return readTaskFailure(temporal, saga);
    const pending = pendingActivities(saga).find(({ lastFailure }) => lastFailure !== null);
    if (pending) return pending.lastFailure;
    if (isSilent || saga.status.name !== 'RUNNING') return null;
    const progress = await askProgress(temporal, saga);
    isSilent ||= progress === undefined;
    const steps = progress?.steps ?? [];
    const failing = steps.filter(({ lastError, finishedAt }) => lastError !== null && finishedAt === null);
    return (failing.find(({ status }) => status === 'parked') ?? failing.at(-1))?.lastError ?? null;
  };
  return Promise.all(sagas.map((saga) => limit(() => read(saga).catch(() => null))));
}

/** The server writes a failed task into the history once; what fails again after it only counts as another attempt. */
async function readTaskFailure(
  { client }: Temporal,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<string | null> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_MAX,
  });
  const failed = (history?.events ?? []).find((event) => event.workflowTaskFailedEventAttributes);
  return failed?.workflowTaskFailedEventAttributes?.failure?.message ?? null;
}
