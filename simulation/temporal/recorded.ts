/** Histories as Temporal's CLI writes them, read into ours. */
import type { CommandEvent, Failure, HistoryEvent } from './events.js';

type Json = Record<string, unknown>;
type Payloads = { payloads?: { data?: string }[] } | undefined;

const decode = (data: string | undefined): unknown => {
  const text = Buffer.from(data ?? '', 'base64').toString();
  return text === '' ? undefined : JSON.parse(text);
};
const all = (of: unknown): unknown[] => ((of as Payloads)?.payloads ?? []).map(({ data }) => decode(data));
const first = (of: unknown): unknown => all(of)[0];

/** `597.925s` */
const ms = (text: unknown): number => Number.parseFloat(String(text ?? '0')) * 1_000;

export function fromRecorded({ events }: { events: Json[] }, workflowId: string): HistoryEvent[] {
  const seqs = new Map<string, number>(); // event id → activity or timer
  const updates = new Map<string, string>();
  return events.map((event): HistoryEvent => {
    const type = String(event['eventType']).replace('EVENT_TYPE_', '');
    const attributes = (Object.entries(event).find(([key]) => key.endsWith('EventAttributes'))?.[1] ?? {}) as Json;
    const id = String(event['eventId']);
    if (type === 'ACTIVITY_TASK_SCHEDULED') seqs.set(id, Number(attributes['activityId']));
    if (type === 'TIMER_STARTED') seqs.set(id, Number(attributes['timerId']));
    if (type === 'WORKFLOW_EXECUTION_UPDATE_ACCEPTED') updates.set(id, String(attributes['protocolInstanceId']));
    const of = (field: string) => seqs.get(String(attributes[field])) ?? 0;
    const update = () => updates.get(String(attributes['acceptedEventId'])) ?? '';
    return { at: Date.parse(String(event['eventTime'])), ...converted(type, attributes, { of, update, workflowId }) };
  });
}

type Refs = { of: (field: string) => number; update: () => string; workflowId: string };
type Bare = HistoryEvent extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never;

function converted(type: string, a: Json, { of, update, workflowId }: Refs): Bare {
  const failure = () => fromJson(a['failure'] as Json);
  const retryState = String(a['retryState']);
  switch (type) {
    case 'WORKFLOW_EXECUTION_STARTED':
      return {
        type: 'started',
        workflowType: (a['workflowType'] as { name: string }).name,
        input: first(a['input']),
        workflowId,
        runId: String(a['originalExecutionRunId']),
        memo: {},
      };
    case 'WORKFLOW_TASK_SCHEDULED':
      return { type: 'taskScheduled' };
    case 'WORKFLOW_TASK_STARTED':
      return { type: 'taskStarted', suggestsAnew: a['suggestContinueAsNew'] === true };
    case 'WORKFLOW_TASK_COMPLETED':
      return { type: 'taskCompleted', flags: ((a['sdkMetadata'] as Json)?.['langUsedFlags'] as number[]) ?? [] };
    case 'WORKFLOW_TASK_TIMED_OUT':
      return { type: 'taskTimedOut' };
    case 'WORKFLOW_TASK_FAILED':
      return { type: 'taskFailed' };
    case 'WORKFLOW_EXECUTION_SIGNALED':
      return { type: 'signaled', name: String(a['signalName']), input: all(a['input']) };
    case 'WORKFLOW_EXECUTION_CANCEL_REQUESTED':
      return { type: 'cancelRequested' };
    case 'TIMER_FIRED':
      return { type: 'timerFired', seq: Number(a['timerId']) };
    case 'ACTIVITY_TASK_STARTED':
      return { type: 'activityStarted', seq: of('scheduledEventId'), attempt: Number(a['attempt']) };
    case 'ACTIVITY_TASK_COMPLETED':
      return { type: 'activityCompleted', seq: of('scheduledEventId'), result: first(a['result']) };
    case 'ACTIVITY_TASK_FAILED':
      return { type: 'activityFailed', seq: of('scheduledEventId'), failure: failure(), retryState };
    case 'ACTIVITY_TASK_TIMED_OUT':
      return { type: 'activityTimedOut', seq: of('scheduledEventId'), failure: failure(), retryState };
    case 'ACTIVITY_TASK_CANCELED':
      return { type: 'activityCanceled', seq: of('scheduledEventId') };
    default:
      return command(type, a, { of, update });
  }
}

function command(type: string, a: Json, { of, update }: Pick<Refs, 'of' | 'update'>): CommandEvent {
  switch (type) {
    case 'MARKER_RECORDED':
      return marker(a);
    case 'UPSERT_WORKFLOW_SEARCH_ATTRIBUTES': {
      const { indexedFields } = a['searchAttributes'] as { indexedFields: Record<string, { data: string }> };
      const decoded = Object.entries(indexedFields).map(([key, { data }]) => [key, decode(data) ?? null]);
      return { type: 'upsert', attributes: Object.fromEntries(decoded) };
    }
    case 'ACTIVITY_TASK_SCHEDULED': {
      const name = (a['activityType'] as { name: string }).name;
      return { type: 'activityScheduled', seq: Number(a['activityId']), name, input: first(a['input']), options: NONE };
    }
    case 'ACTIVITY_TASK_CANCEL_REQUESTED':
      return { type: 'activityCancelRequested', seq: of('scheduledEventId') };
    case 'TIMER_STARTED':
      return { type: 'timerStarted', seq: Number(a['timerId']), ms: ms(a['startToFireTimeout']), summary: undefined };
    case 'TIMER_CANCELED':
      return { type: 'timerCanceled', seq: Number(a['timerId']) };
    case 'WORKFLOW_EXECUTION_UPDATE_ACCEPTED': {
      const { name, args } = (a['acceptedRequest'] as { input: { name: string; args: unknown } }).input;
      return { type: 'updateAccepted', id: String(a['protocolInstanceId']), name, input: first(args), sequencingId: 0 };
    }
    case 'WORKFLOW_EXECUTION_UPDATE_COMPLETED': {
      const { success, failure } = a['outcome'] as { success?: unknown; failure?: Json };
      const answer = failure ? { failure: fromJson(failure) } : { success: first(success) };
      return { type: 'updateCompleted', id: update(), answer };
    }
    case 'WORKFLOW_EXECUTION_COMPLETED':
      return { type: 'completed', result: first(a['result']) };
    case 'WORKFLOW_EXECUTION_CONTINUED_AS_NEW':
      return { type: 'continuedAsNew', input: first(a['input']) };
    default:
      throw new Error(`A recorded history has an event that no saga has had before: ${type}`);
  }
}

/** What a replay does not look at. */
const NONE = {
  startToCloseMs: 0,
  scheduleToCloseMs: undefined,
  initialIntervalMs: 0,
  backoffCoefficient: 0,
  maximumIntervalMs: 0,
  maximumAttempts: 0,
  summary: undefined,
};

function marker(a: Json): CommandEvent {
  const details = a['details'] as Record<string, unknown>;
  if (a['markerName'] === 'core_patch')
    return { type: 'patchMarker', patchId: (Object.values(details).map(first)[0] as { id: string }).id };
  const data = first(details['data']) as {
    seq: number;
    activity_type: string;
    complete_time: { seconds: number; nanos: number };
  };
  return {
    type: 'laMarker',
    seq: data.seq,
    name: data.activity_type,
    completeAt: Math.floor(data.complete_time.seconds * 1_000 + data.complete_time.nanos / 1_000_000),
    ...(a['failure'] ? { failure: fromJson(a['failure'] as Json) } : { result: first(details['result']) }),
  };
}

function fromJson(failure: Json): Failure {
  const cause = failure['cause'] as Json | undefined;
  const application = failure['applicationFailureInfo'] as Json | undefined;
  const timedOut = failure['timeoutFailureInfo'] as { timeoutType: string } | undefined;
  const about = failure['activityFailureInfo'] as { activityType: { name: string }; activityId: string } | undefined;
  return {
    message: String(failure['message'] ?? ''),
    ...(cause && { cause: fromJson(cause) }),
    ...(application && {
      applicationFailureInfo: {
        type: String(application['type']),
        nonRetryable: application['nonRetryable'] === true,
        details: all(application['details']),
      },
    }),
    ...(timedOut && {
      timeoutFailureInfo: { timeoutType: timedOut.timeoutType.replace('TIMEOUT_TYPE_', '') as 'START_TO_CLOSE' },
    }),
    ...(failure['canceledFailureInfo'] ? { canceledFailureInfo: {} } : {}),
    ...(about && { activityFailureInfo: { activityType: about.activityType.name, activityId: about.activityId } }),
  };
}
