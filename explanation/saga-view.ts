/** What Temporal has of an order's saga: how it runs, what it waits for, and the newest page of its history. Asks the server only, no worker. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, type SagaPolicy } from '../contracts/saga.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { describeRun } from '../sagas/describe.js';
import { endedFromOutside, msOf } from '../sagas/execution.js';
import { codecsOf, readFailure } from '../sagas/payloads/reading.js';
import { findStandstill, readBuilds } from '../sagas/standstill.js';
import { type Wait, waitOf } from '../sagas/waits.js';
import { readPolicy } from './next-acts.js';
import { NoAnswer, PATIENCE_MS, patiently } from './patience.js';
import type { OrderRow } from './order-row.js';

/** All calls of one look. */
const CALLS_MS = PATIENCE_MS - 500;
/** A saga's history is a dozen events; what it came to is in the newest. */
const EVENTS_MAX = 50;

export type SagaView =
  | { asked: false; why: string }
  /** `known: false` = it has no such saga: never begun, or forgotten after its retention (undefined = how long that is, is not known). */
  | { asked: true; known: false; workflowId: string; retentionMs?: number | undefined }
  | ({ asked: true; known: true; workflowId: string; runId: string } & KnownSaga);

export type KnownSaga = {
  /** RUNNING, COMPLETED, TERMINATED … */
  execution: string;
  startedAt: string;
  closedAt: string | null;
  historyLength: number;
  /** As the saga marks itself; null = all is well, or it has not said. */
  marked: { state: string | null; step: string | null; failure: string | null };
  wait: Wait | null;
  /** Why it does not move, in the words of `ops stuck`. */
  standstill: { failure: string; step: string | null } | null;
  /** Of the newest attempt that failed, from the history or from what is pending. */
  lastError: string | null;
  /** The identity and the reason with which it was terminated. */
  endedBy: { identity: string | null; reason: string | null } | null;
  /** Where it runs, for commands of Temporal's own. */
  namespace: string;
  policy: SagaPolicy | undefined;
  description: WorkflowExecutionDescription;
};

/** @returns never throws: that Temporal does not answer is an answer */
export async function readSaga(client: Client | undefined, row: OrderRow): Promise<SagaView> {
  if (client === undefined) return { asked: false, why: 'Temporal has not answered this process' };
  try {
    // Its own calls end before: whoever closes the client afterwards finds none. What a key store is asked for need not.
    return await patiently('Temporal, or the key store of what it keeps,', () =>
      client.withDeadline(Date.now() + CALLS_MS, () => look(client, row)),
    );
  } catch (err) {
    return { asked: false, why: err instanceof NoAnswer ? err.message : sentenceOf(err) };
  }
}

async function look(client: Client, row: OrderRow): Promise<SagaView> {
  const workflowId = workflowIdOf(row);
  const description = await describeRun(client, workflowId);
  if (description === null)
    return {
      asked: true,
      known: false,
      workflowId,
      retentionMs: row.state.status === 'PENDING' ? undefined : await readRetention(client),
    };
  const { runId, status, startTime, closeTime, historyLength, typedSearchAttributes: marks } = description;
  const isRunning = status.name === 'RUNNING';
  const wait = isRunning ? waitOf(description) : null;
  const [events, policy, standstill] = await Promise.all([
    readNewest(client, description),
    isRunning ? readPolicy({ client }, description) : undefined,
    isRunning ? findStandstill(description, aroundOf(client, row)) : undefined,
  ]);
  return {
    ...{ asked: true, known: true, workflowId, runId },
    execution: endedFromOutside(status.name) ?? status.name,
    startedAt: startTime.toISOString(),
    closedAt: closeTime?.toISOString() ?? null,
    historyLength,
    marked: {
      state: marks.get(SAGA_STATE) ?? null,
      step: marks.get(SAGA_STEP) ?? null,
      failure: marks.get(SAGA_FAILURE) ?? null,
    },
    wait,
    standstill: standstill ?? null,
    lastError: wait?.lastError ?? (await lastErrorIn(client, events)),
    endedBy: endedByIn(events),
    namespace: client.options.namespace,
    policy,
    description,
  };
}

async function readRetention(client: Client): Promise<number | undefined> {
  const { namespace } = client.options;
  const answer = await client.workflowService.describeNamespace({ namespace }).catch(() => undefined);
  const retentionMs = msOf(answer?.config?.workflowExecutionRetentionTtl, 0);
  return retentionMs > 0 ? retentionMs : undefined;
}

/** The second saga is the one that takes a confirmed order back, and was the last to act on one that it has cancelled. */
function workflowIdOf({ id, state, events, log }: OrderRow): string {
  const wasConfirmed =
    state.status === 'CONFIRMED' ||
    events.some(({ type }) => type === 'order.confirmed') ||
    log.some(({ step, outcome }) => step === 'confirmOrder' && (outcome === 'completed' || outcome === 'skipped'));
  return wasConfirmed && state.unwindingReason !== null ? cancelOrderSagaId(id) : orderSagaId(id);
}

const aroundOf = (client: Client, { standstillSeconds }: OrderRow) => ({
  client,
  standstillSeconds,
  builds: () => readBuilds(client),
});

type Failure =
  | { message?: string | null; encodedAttributes?: Payload | null; cause?: Failure | null }
  | null
  | undefined;
type HistoryEvent = {
  activityTaskFailedEventAttributes?: { failure?: Failure } | null;
  activityTaskTimedOutEventAttributes?: { failure?: Failure } | null;
  markerRecordedEventAttributes?: { failure?: Failure } | null;
  workflowTaskFailedEventAttributes?: { failure?: Failure } | null;
  workflowExecutionFailedEventAttributes?: { failure?: Failure } | null;
  workflowExecutionTerminatedEventAttributes?: { reason?: string | null; identity?: string | null } | null;
};

async function readNewest(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<HistoryEvent[]> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_MAX,
  });
  return (history?.events ?? []) as HistoryEvent[];
}

/** Newest first. The innermost cause says what failed; what is around it says that it was tried. */
async function lastErrorIn(client: Client, events: HistoryEvent[]): Promise<string | null> {
  for (const event of events) {
    const failure =
      event.workflowExecutionFailedEventAttributes?.failure ??
      event.workflowTaskFailedEventAttributes?.failure ??
      event.activityTaskFailedEventAttributes?.failure ??
      event.activityTaskTimedOutEventAttributes?.failure ??
      event.markerRecordedEventAttributes?.failure;
    if (failure) return innermost(await readFailure(codecsOf(client), failure));
  }
  return null;
}

function innermost(failure: NonNullable<Failure>): string | null {
  let at = failure;
  while (at.cause?.message) at = at.cause;
  return at.message ?? null;
}

function endedByIn(events: HistoryEvent[]): KnownSaga['endedBy'] {
  for (const { workflowExecutionTerminatedEventAttributes: ended } of events) {
    if (ended) return { identity: ended.identity || null, reason: ended.reason || null };
  }
  return null;
}
