/**
 * Finding stuck sagas: those that will not end without an operator. Three sources, because none sees all of them: sagas that
 * say so themselves (visibility, NEEDS_ATTENTION); sagas that were ended from outside or by a bug (visibility, until Temporal's
 * retention forgets them); and orders that Postgres shows waiting although no saga runs for them, or one that does not move.
 */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
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
  type SagaTimeLimits,
  readStandstillSeconds,
  type StuckCandidate,
  type StuckSaga,
  type WaitingOrder,
} from '../domain/stuck-sagas.js';
import { describeRun } from './describe.js';
import { endedFromOutside } from './execution.js';
import { findStandstill, OPEN_TOO_LONG, readBuilds, type Surroundings } from './standstill.js';

/** More than that is an outage, whose cause is to be mended first; and Postgres takes 32,767 parameters. */
const LISTED_MAX = 10_000;
/** Of waiting orders each costs a request to Temporal, a few milliseconds of it; a caller that has time passes a higher limit. */
const WAITING_MAX = 1_000;
const PARALLEL_MAX = 16;

/** What a candidate's `failure` says of an order that no saga works for: there was one, or there never was. */
export const NO_SAGA = 'NO_SAGA';
export const NOT_STARTED = 'NOT_STARTED';

export type StuckList = { sagas: StuckSaga[]; more: boolean };
export type { SagaTimeLimits };

/**
 * @param waitingMax waiting orders that are looked at, the longest waiting first
 * @returns oldest first, dearest first among those of one minute; `more` = there are too many to see all
 */
export async function findStuck(
  db: Database,
  client: Client,
  timeLimits: SagaTimeLimits,
  waitingMax = WAITING_MAX,
): Promise<StuckList> {
  const [needingAttention, ended, standstillSeconds] = await Promise.all([
    list(client, STUCK_QUERY),
    list(client, ENDED_FROM_OUTSIDE_QUERY),
    readStandstillSeconds(db),
  ]);
  // Those that say so themselves wait, too: however many they are, others are seen behind them.
  const readMax = waitingMax + needingAttention.length;
  const waiting = await listWaitingOrders(db, timeLimits, readMax);
  const seen = await joinStuckSagas(db, [
    ...needingAttention.map(toCandidate),
    ...latestRuns(ended).map(endedCandidate),
  ]);
  const endedRuns = new Set(ended.map((saga) => saga.runId));
  const known = new Set(needingAttention.map((saga) => orderIdOf(saga.workflowId)));
  const others = waiting.filter((order) => !known.has(order.orderId));
  const [live, unserved] = await Promise.all([
    withoutResumed(client, seen, endedRuns),
    findUnmoved(surroundingsOf(client, standstillSeconds), others.slice(0, waitingMax)),
  ]);
  const listed = new Set(live.map((saga) => saga.workflowId));
  const unlisted = unserved.filter((candidate) => !listed.has(candidate.workflowId));
  return {
    sagas: unlisted.length === 0 ? live : await joinStuckSagas(db, [...live.map(again), ...unlisted]),
    more:
      needingAttention.length === LISTED_MAX ||
      ended.length === LISTED_MAX ||
      waiting.length === readMax ||
      others.length > waitingMax,
  };
}

/** @returns sagas that run and say that they are in this state */
export async function findInState(db: Database, client: Client, state: SagaState): Promise<StuckList> {
  const found = await list(client, `SagaState="${state}" AND ExecutionStatus="Running"`);
  return { sagas: await joinStuckSagas(db, found.map(toCandidate)), more: found.length === LISTED_MAX };
}

async function list(client: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  const found: WorkflowExecutionInfo[] = [];
  for await (const saga of client.workflow.list({ query })) {
    found.push(saga);
    if (found.length === LISTED_MAX) break;
  }
  return found;
}

type SagaRun = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'startTime' | 'typedSearchAttributes'>;

function toCandidate({ workflowId, runId, startTime, typedSearchAttributes }: SagaRun): StuckCandidate {
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

const again = (saga: StuckSaga): StuckCandidate => ({ ...saga, startedAt: new Date(saga.startedAt) });

/** Why it failed while it still ran does not matter any more: it has to be restarted, whatever that was. */
const endedCandidate = (saga: WorkflowExecutionInfo): StuckCandidate => ({
  ...toCandidate(saga),
  failure: endedFromOutside(saga.status.name) ?? saga.status.name,
});

/** A saga that was restarted and ended again is one candidate. */
function latestRuns(ended: WorkflowExecutionInfo[]): WorkflowExecutionInfo[] {
  const latest = new Map<string, WorkflowExecutionInfo>();
  for (const saga of ended) {
    const known = latest.get(saga.workflowId);
    if (!known || known.startTime < saga.startTime) latest.set(saga.workflowId, saga);
  }
  return [...latest.values()];
}

/** Visibility remembers the run that ended after another has begun. */
async function withoutResumed(client: Client, sagas: StuckSaga[], endedRuns: Set<string>): Promise<StuckSaga[]> {
  const limit = pLimit(PARALLEL_MAX);
  const latest = await Promise.all(
    sagas.map(async (saga) => {
      if (saga.runId === null || !endedRuns.has(saga.runId)) return true;
      const now = await limit(() => describeRun(client, saga.workflowId));
      return now === null || now.runId === saga.runId;
    }),
  );
  return sagas.filter((_, i) => latest[i]);
}

function surroundingsOf(client: Client, standstillSeconds: number): Surroundings {
  let builds: Promise<Set<string>> | undefined;
  return {
    client,
    standstillSeconds,
    builds: () => {
      builds ??= readBuilds(client);
      return builds;
    },
  };
}

async function findUnmoved(around: Surroundings, orders: WaitingOrder[]): Promise<StuckCandidate[]> {
  const limit = pLimit(PARALLEL_MAX);
  const candidates = await Promise.all(orders.map((order) => limit(() => waitingCandidate(around, order))));
  return candidates.filter((candidate) => candidate !== undefined);
}

async function waitingCandidate(around: Surroundings, order: WaitingOrder): Promise<StuckCandidate | undefined> {
  const { orderId, takingBack, everStarted, isOpenTooLong, isLate, since } = order;
  const workflowId = takingBack ? cancelOrderSagaId(orderId) : orderSagaId(orderId);
  const saga = await describeRun(around.client, workflowId);
  if (saga?.status.name === 'RUNNING') {
    const standing = { ...toCandidate(saga), startedAt: since };
    const standstill = await findStandstill(saga, around);
    if (standstill) return { ...standing, ...standstill };
    return isOpenTooLong ? { ...standing, failure: OPEN_TOO_LONG } : undefined;
  }
  if (!isLate) return undefined;
  const failure = (saga && endedFromOutside(saga.status.name)) ?? (everStarted ? NO_SAGA : NOT_STARTED);
  return { orderId, workflowId, runId: saga?.runId ?? null, state: null, step: null, failure, startedAt: since };
}
