/**
 * Histories of ours, written as Temporal's CLI writes them, so that Temporal's own replayer can be asked whether a worker would take up
 * such a saga: the counterpart of recorded.ts. What no replayer looks at (identities, task ids, builds) is left out.
 */
import type { ActivityOptions, Answer, Failure, HistoryEvent } from './events.js';

type Json = Record<string, unknown>;
export type WireHistory = { events: Json[] };

const TASK_QUEUE = { name: 'order-saga', kind: 'TASK_QUEUE_KIND_NORMAL' };
/** What today's Core writes with the first task that a local activity ends in. */
const CORE_FLAGS = [1, 2, 3];

const base64 = (text: string) => Buffer.from(text).toString('base64');
const payload = (value: unknown): Json =>
  value === undefined
    ? { metadata: { encoding: base64('binary/null') } }
    : { metadata: { encoding: base64('json/plain') }, data: base64(JSON.stringify(value)) };
const payloads = (...values: unknown[]): Json => ({ payloads: values.map(payload) });
const fields = (of: Json): Json => Object.fromEntries(Object.entries(of).map(([key, value]) => [key, payload(value)]));
const seconds = (ms: number | undefined): string => `${((ms ?? 0) / 1_000).toFixed(3)}s`;
const snake = (camel: string): string => camel.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

/** What later events say of earlier ones by their ids. */
type Places = {
  taskScheduled: number;
  taskStarted: number;
  taskCompleted: number;
  activities: Map<number, number>;
  started: Map<number, number>;
  timers: Map<number, number>;
  updates: Map<string, number>;
  cancelRequests: Map<number, number>;
  patches: string[];
  flagsAreTold: boolean;
};
/** An event without its number and time. */
type Written = { type: string; attributes: Json; summary?: string | undefined };

/** @param run its ids for the replayer, which keeps what it has in memory by them */
export function toWire(history: readonly HistoryEvent[], run: { workflowId: string; runId: string }): WireHistory {
  const places: Places = {
    ...{ taskScheduled: 0, taskStarted: 0, taskCompleted: 0 },
    ...{ activities: new Map(), started: new Map(), timers: new Map(), updates: new Map(), cancelRequests: new Map() },
    ...{ patches: [], flagsAreTold: false },
  };
  const events: Json[] = [];
  for (const event of history)
    for (const { type, attributes, summary } of written(event, events.length + 1, places, run)) {
      const name = `${type[0]?.toLowerCase()}${type.slice(1)}EventAttributes`;
      events.push({
        eventId: `${events.length + 1}`,
        eventTime: new Date(event.at).toISOString(),
        eventType: `EVENT_TYPE${snake(type)}`,
        ...(summary !== undefined && { userMetadata: { summary: payload(summary) } }),
        [name]: attributes,
      });
    }
  return { events };
}

function written(
  event: HistoryEvent,
  id: number,
  places: Places,
  run: { workflowId: string; runId: string },
): Written[] {
  const { activities, started, timers, updates, cancelRequests } = places;
  const ofTask = { workflowTaskCompletedEventId: `${places.taskCompleted}` };
  const ofActivity = (seq: number) => ({
    scheduledEventId: `${activities.get(seq)}`,
    startedEventId: `${started.get(seq) ?? 0}`,
  });
  const one = (type: string, attributes: Json, summary?: string): Written[] => [{ type, attributes, summary }];
  switch (event.type) {
    case 'started':
      return one('WorkflowExecutionStarted', {
        ...{ workflowType: { name: event.workflowType }, taskQueue: TASK_QUEUE, input: payloads(event.input) },
        ...{
          workflowId: run.workflowId,
          originalExecutionRunId: run.runId,
          firstExecutionRunId: run.runId,
          attempt: 1,
        },
        ...{ workflowTaskTimeout: '5s', memo: { fields: fields(event.memo) }, header: {} },
      });
    case 'taskScheduled':
      places.taskScheduled = id;
      return one('WorkflowTaskScheduled', { taskQueue: TASK_QUEUE, startToCloseTimeout: '5s', attempt: 1 });
    case 'taskStarted':
      places.taskStarted = id;
      return one('WorkflowTaskStarted', {
        scheduledEventId: `${places.taskScheduled}`,
        suggestContinueAsNew: event.suggestsAnew ?? false,
      });
    case 'taskCompleted': {
      places.taskCompleted = id;
      const coreUsedFlags = places.flagsAreTold ? [] : CORE_FLAGS;
      places.flagsAreTold = true;
      return one('WorkflowTaskCompleted', {
        ...{ scheduledEventId: `${places.taskScheduled}`, startedEventId: `${places.taskStarted}` },
        sdkMetadata: { coreUsedFlags, langUsedFlags: event.flags },
      });
    }
    case 'taskTimedOut':
      return one('WorkflowTaskTimedOut', {
        ...{ scheduledEventId: `${places.taskScheduled}`, startedEventId: `${places.taskStarted}` },
        timeoutType: 'TIMEOUT_TYPE_START_TO_CLOSE',
      });
    case 'taskFailed':
      return one('WorkflowTaskFailed', {
        ...{ scheduledEventId: `${places.taskScheduled}`, startedEventId: `${places.taskStarted}` },
        cause: 'WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND',
      });
    case 'signaled':
      return one('WorkflowExecutionSignaled', { signalName: event.name, input: payloads(...event.input) });
    case 'cancelRequested':
      return one('WorkflowExecutionCancelRequested', {});
    case 'timerFired':
      return one('TimerFired', { timerId: `${event.seq}`, startedEventId: `${timers.get(event.seq)}` });
    case 'activityStarted':
      started.set(event.seq, id);
      return one('ActivityTaskStarted', {
        scheduledEventId: `${activities.get(event.seq)}`,
        attempt: event.attempt,
      });
    case 'activityCompleted':
      return one('ActivityTaskCompleted', { ...ofActivity(event.seq), result: payloads(event.result) });
    case 'activityFailed':
    case 'activityTimedOut':
      return one(event.type === 'activityFailed' ? 'ActivityTaskFailed' : 'ActivityTaskTimedOut', {
        ...{ ...ofActivity(event.seq), failure: failureOf(event.failure), retryState: event.retryState },
      });
    case 'activityCanceled':
      return one('ActivityTaskCanceled', {
        ...{ ...ofActivity(event.seq), latestCancelRequestedEventId: `${cancelRequests.get(event.seq) ?? 0}` },
      });
    case 'laMarker':
      return one('MarkerRecorded', { ...ofTask, markerName: 'core_local_activity', ...localActivity(event) });
    case 'patchMarker': {
      places.patches.push(event.patchId);
      const details = { 'patch-data': payloads({ id: event.patchId, deprecated: false }) };
      // The server's note of it, which makes sagas of a patch findable, is a command of Core's.
      const noted = { indexedFields: fields({ TemporalChangeVersion: places.patches }) };
      return [
        ...one('MarkerRecorded', { ...ofTask, markerName: 'core_patch', details }),
        ...one('UpsertWorkflowSearchAttributes', { ...ofTask, searchAttributes: noted }),
      ];
    }
    case 'upsert':
      return one('UpsertWorkflowSearchAttributes', {
        ...ofTask,
        searchAttributes: { indexedFields: fields(event.attributes) },
      });
    case 'activityScheduled':
      activities.set(event.seq, id);
      return one(
        'ActivityTaskScheduled',
        {
          ...{ ...ofTask, activityId: `${event.seq}`, activityType: { name: event.name }, taskQueue: TASK_QUEUE },
          ...{ header: {}, input: payloads(event.input), ...limitsOf(event.options) },
        },
        event.options.summary,
      );
    case 'activityCancelRequested':
      cancelRequests.set(event.seq, id);
      return one('ActivityTaskCancelRequested', { ...ofTask, scheduledEventId: `${activities.get(event.seq)}` });
    case 'timerStarted':
      timers.set(event.seq, id);
      return one(
        'TimerStarted',
        { ...ofTask, timerId: `${event.seq}`, startToFireTimeout: seconds(event.ms) },
        event.summary,
      );
    case 'timerCanceled':
      return one('TimerCanceled', {
        ...{ ...ofTask, timerId: `${event.seq}`, startedEventId: `${timers.get(event.seq)}` },
      });
    case 'updateAccepted':
      updates.set(event.id, id);
      return one('WorkflowExecutionUpdateAccepted', {
        ...{ protocolInstanceId: event.id, acceptedRequestMessageId: `${event.id}/request` },
        acceptedRequestSequencingEventId: `${event.sequencingId}`,
        acceptedRequest: {
          meta: { updateId: event.id },
          input: { header: {}, name: event.name, args: payloads(event.input) },
        },
      });
    case 'updateCompleted':
      return one('WorkflowExecutionUpdateCompleted', {
        ...{ meta: { updateId: event.id }, acceptedEventId: `${updates.get(event.id)}` },
        outcome: outcomeOf(event.answer),
      });
    case 'completed':
      return one('WorkflowExecutionCompleted', { ...ofTask, result: payloads(event.result) });
    case 'continuedAsNew':
      return one('WorkflowExecutionContinuedAsNew', {
        ...{ ...ofTask, newExecutionRunId: 'anew', taskQueue: TASK_QUEUE, input: payloads(event.input) },
      });
    case 'workflowFailed':
      return one('WorkflowExecutionFailed', { ...ofTask, failure: failureOf(event.failure) });
  }
}

function localActivity(event: Extract<HistoryEvent, { type: 'laMarker' }>): Json {
  const whole = Math.floor(event.completeAt / 1_000);
  const completeTime = { seconds: whole, nanos: Math.round((event.completeAt - whole * 1_000) * 1_000_000) };
  const data = {
    ...{ seq: event.seq, attempt: 1, activity_id: `${event.seq}`, activity_type: event.name },
    ...{ complete_time: completeTime, backoff: null, original_schedule_time: completeTime },
  };
  return event.failure
    ? { details: { data: payloads(data) }, failure: failureOf(event.failure) }
    : { details: { data: payloads(data), result: payloads(event.result) } };
}

const limitsOf = (options: ActivityOptions): Json => ({
  startToCloseTimeout: seconds(options.startToCloseMs),
  scheduleToCloseTimeout: seconds(options.scheduleToCloseMs),
  retryPolicy: {
    ...{ initialInterval: seconds(options.initialIntervalMs), backoffCoefficient: options.backoffCoefficient },
    ...{ maximumInterval: seconds(options.maximumIntervalMs), maximumAttempts: options.maximumAttempts },
  },
});

const outcomeOf = (answer: Answer): Json =>
  'failure' in answer ? { failure: failureOf(answer.failure) } : { success: payloads(answer.success) };

function failureOf(failure: Failure): Json {
  const { cause, applicationFailureInfo: application, timeoutFailureInfo: timeout } = failure;
  const about = failure.activityFailureInfo;
  return {
    ...{ message: failure.message, source: failure.source ?? 'TypeScriptSDK', stackTrace: '' },
    ...(cause && { cause: failureOf(cause) }),
    ...(application && {
      applicationFailureInfo: {
        ...{ type: application.type, nonRetryable: application.nonRetryable ?? false },
        details: payloads(...(application.details ?? [])),
      },
    }),
    ...(timeout && { timeoutFailureInfo: { timeoutType: `TIMEOUT_TYPE_${timeout.timeoutType}` } }),
    ...(failure.canceledFailureInfo && { canceledFailureInfo: {} }),
    ...(about && {
      activityFailureInfo: { activityType: { name: about.activityType }, activityId: about.activityId },
    }),
  };
}
