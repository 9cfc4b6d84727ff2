/** Stuck sagas, as `stuck` lists them and the bulk commands choose from them: Temporal's visibility joined with Postgres. */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import pLimit from 'p-limit';
import { orderIdOf, orderSagaId } from '../contracts/ids.js';
import {
  ENDED_FROM_OUTSIDE_QUERY,
  SAGA_FAILURE,
  SAGA_STATE,
  SAGA_STEP,
  type SagaState,
  STUCK_QUERY,
} from '../contracts/saga.js';
import { joinStuckSagas, type SagaFinding, type StuckSaga } from '../domain/stuck-sagas.js';
import type { Connections, Temporal } from './connections.js';
import { describe, endedFromOutside } from './sagas.js';

export type Filter = { step?: string; failure?: string };

/** More than that is an outage, whose cause is to be mended first; and Postgres takes 32,767 parameters. */
const FINDINGS_MAX = 10_000;
const LIST_LIMIT_MS = 30_000;
const PARALLEL_MAX = 16;

/** @returns oldest first, dearest first among those of one minute; `more` = there are too many to see all */
export async function findStuck(to: Connections, filter: Filter): Promise<{ sagas: StuckSaga[]; more: boolean }> {
  const [temporal, db] = await Promise.all([to.temporal(), to.database()]);
  const [waiting, ended] = await Promise.all([list(temporal, STUCK_QUERY), list(temporal, ENDED_FROM_OUTSIDE_QUERY)]);
  const findings = [...waiting.map(waitingFinding), ...latestRuns(ended).map(endedFinding)];
  const joined = await joinStuckSagas(db, findings);
  const endedRuns = new Set(ended.map((saga) => saga.runId));
  const sagas = await withoutResumed(temporal, joined.filter(hasItsWorkAhead), endedRuns);
  return {
    sagas: sagas.filter((saga) => matches(saga, filter)),
    more: waiting.length === FINDINGS_MAX || ended.length === FINDINGS_MAX,
  };
}

const matches = ({ step, failure }: StuckSaga, filter: Filter): boolean =>
  (filter.step === undefined || filter.step === step) && (filter.failure === undefined || filter.failure === failure);

function list({ client }: Temporal, query: string): Promise<WorkflowExecutionInfo[]> {
  return client.withDeadline(Date.now() + LIST_LIMIT_MS, async () => {
    const found: WorkflowExecutionInfo[] = [];
    for await (const saga of client.workflow.list({ query })) {
      found.push(saga);
      if (found.length === FINDINGS_MAX) break;
    }
    return found;
  });
}

function waitingFinding({ workflowId, runId, startTime, typedSearchAttributes }: WorkflowExecutionInfo): SagaFinding {
  return {
    orderId: orderIdOf(workflowId),
    workflowId,
    runId,
    state: (typedSearchAttributes.get(SAGA_STATE) ?? null) as SagaState | null,
    step: typedSearchAttributes.get(SAGA_STEP) ?? null,
    failure: typedSearchAttributes.get(SAGA_FAILURE) ?? null,
    startedAt: startTime,
  };
}

/** Why it failed while it still ran does not matter any more: it has to be started anew, whatever that was. */
const endedFinding = (saga: WorkflowExecutionInfo): SagaFinding => ({
  ...waitingFinding(saga),
  failure: endedFromOutside(saga.status.name) ?? saga.status.name,
});

/** A saga that was started anew and ended again is one finding. */
function latestRuns(ended: WorkflowExecutionInfo[]): WorkflowExecutionInfo[] {
  const latest = new Map<string, WorkflowExecutionInfo>();
  for (const saga of ended) {
    const known = latest.get(saga.workflowId);
    if (!known || known.startTime < saga.startTime) latest.set(saga.workflowId, saga);
  }
  return [...latest.values()];
}

/** The saga that confirmed an order has done its part, however it ended: taking the order back is another saga's. */
const hasItsWorkAhead = ({ status, workflowId, orderId }: StuckSaga): boolean =>
  status !== 'CONFIRMED' || workflowId !== orderSagaId(orderId);

/** Visibility remembers the run that ended after another has begun. */
async function withoutResumed(temporal: Temporal, sagas: StuckSaga[], endedRuns: Set<string>): Promise<StuckSaga[]> {
  const limit = pLimit(PARALLEL_MAX);
  const latest = await Promise.all(
    sagas.map(async (saga) => {
      if (!endedRuns.has(saga.runId)) return true;
      const now = await limit(() => describe(temporal, saga.workflowId));
      return now === null || now.runId === saga.runId;
    }),
  );
  return sagas.filter((_, i) => latest[i]);
}
