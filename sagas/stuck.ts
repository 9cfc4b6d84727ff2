/**
 * Finding stuck sagas: those that will not end without someone. Three sources, because none sees all of them: sagas that say
 * so themselves (visibility, NEEDS_ATTENTION); sagas that were ended from outside or by a bug (visibility, until Temporal's
 * retention forgets them); and orders that Postgres shows waiting although no saga runs for them.
 */
import { type Client, type WorkflowExecutionInfo, WorkflowNotFoundError } from '@temporalio/client';
import pLimit from 'p-limit';
import { cancelOrderSagaId, orderIdOf, orderSagaId } from '../contracts/ids.js';
import {
  ENDED_FROM_OUTSIDE_QUERY,
  SAGA_FAILURE,
  SAGA_STATE,
  SAGA_STEP,
  type SagaState,
  STUCK_QUERY,
} from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import {
  joinStuckSagas,
  listWaitingOrders,
  type SagaFinding,
  type StuckSaga,
  type WaitingOrder,
} from '../domain/stuck-sagas.js';
import { endedFromOutside } from './execution.js';

/** More than that is an outage, whose cause is to be mended first; and Postgres takes 32,767 parameters. */
const FINDINGS_MAX = 10_000;
/** Of waiting orders each costs a question to Temporal. */
const WAITING_MAX = 500;
const PARALLEL_MAX = 16;

/** What a finding's `failure` says of an order that no saga works for: there was one, or there never was. */
export const NO_SAGA = 'NO_SAGA';
export const NOT_STARTED = 'NOT_STARTED';

export type Stuck = { sagas: StuckSaga[]; more: boolean };

/** @returns oldest first, dearest first among those of one minute; `more` = there are too many to see all */
export async function findStuck(db: Database, client: Client): Promise<Stuck> {
  const [parked, ended, waiting] = await Promise.all([
    list(client, STUCK_QUERY),
    list(client, ENDED_FROM_OUTSIDE_QUERY),
    listWaitingOrders(db, WAITING_MAX),
  ]);
  const seen = await joinStuckSagas(db, [...parked.map(toFinding), ...latestRuns(ended).map(endedFinding)]);
  const endedRuns = new Set(ended.map((saga) => saga.runId));
  const known = new Set(parked.map((saga) => orderIdOf(saga.workflowId)));
  const [live, orphans] = await Promise.all([
    withoutResumed(client, seen.filter(hasItsWorkAhead), endedRuns),
    withoutSaga(
      client,
      waiting.filter((order) => !known.has(order.orderId)),
    ),
  ]);
  const listed = new Set(live.map((saga) => saga.workflowId));
  const forgotten = orphans.filter((finding) => !listed.has(finding.workflowId));
  return {
    sagas: forgotten.length === 0 ? live : await joinStuckSagas(db, [...live.map(again), ...forgotten]),
    more: parked.length === FINDINGS_MAX || ended.length === FINDINGS_MAX || waiting.length === WAITING_MAX,
  };
}

/** @returns sagas that run and say that they are in this state */
export async function findInState(db: Database, client: Client, state: SagaState): Promise<Stuck> {
  const found = await list(client, `SagaState="${state}" AND ExecutionStatus="Running"`);
  return { sagas: await joinStuckSagas(db, found.map(toFinding)), more: found.length === FINDINGS_MAX };
}

async function list(client: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  const found: WorkflowExecutionInfo[] = [];
  for await (const saga of client.workflow.list({ query })) {
    found.push(saga);
    if (found.length === FINDINGS_MAX) break;
  }
  return found;
}

function toFinding({ workflowId, runId, startTime, typedSearchAttributes }: WorkflowExecutionInfo): SagaFinding {
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

const again = (saga: StuckSaga): SagaFinding => ({ ...saga, startedAt: new Date(saga.startedAt) });

/** Why it failed while it still ran does not matter any more: it has to be started anew, whatever that was. */
const endedFinding = (saga: WorkflowExecutionInfo): SagaFinding => ({
  ...toFinding(saga),
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
async function withoutResumed(client: Client, sagas: StuckSaga[], endedRuns: Set<string>): Promise<StuckSaga[]> {
  const limit = pLimit(PARALLEL_MAX);
  const latest = await Promise.all(
    sagas.map(async (saga) => {
      if (saga.runId === null || !endedRuns.has(saga.runId)) return true;
      const now = await limit(() => describe(client, saga.workflowId));
      return now === null || now.runId === saga.runId;
    }),
  );
  return sagas.filter((_, i) => latest[i]);
}

async function withoutSaga(client: Client, orders: WaitingOrder[]): Promise<SagaFinding[]> {
  const limit = pLimit(PARALLEL_MAX);
  const findings = await Promise.all(orders.map((order) => limit(() => orphanFinding(client, order))));
  return findings.filter((finding) => finding !== undefined);
}

async function orphanFinding(client: Client, order: WaitingOrder): Promise<SagaFinding | undefined> {
  const { orderId, takingBack, everStarted, since } = order;
  const workflowId = takingBack ? cancelOrderSagaId(orderId) : orderSagaId(orderId);
  const saga = await describe(client, workflowId);
  if (saga?.status.name === 'RUNNING') return undefined;
  const failure = (saga && endedFromOutside(saga.status.name)) ?? (everStarted ? NO_SAGA : NOT_STARTED);
  return { orderId, workflowId, runId: saga?.runId ?? null, state: null, step: null, failure, startedAt: since };
}

async function describe(client: Client, workflowId: string) {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) return null;
    throw err;
  }
}
