/**
 * A history, as the simulation keeps it: the events of Temporal that sagas have, with what is needed of them. An event's id is its
 * place in the list, counted from 1. recorded.ts converts recorded histories to this, and wire.ts these to what the real replayer reads.
 */
/** As on the wire, decoded. */
export type Failure = {
  message: string;
  source?: string;
  stackTrace?: string;
  cause?: Failure;
  applicationFailureInfo?: { type: string; nonRetryable?: boolean; details?: unknown[]; nextRetryDelayMs?: number };
  timeoutFailureInfo?: { timeoutType: TimeoutType; lastFailure?: Failure };
  canceledFailureInfo?: object;
  activityFailureInfo?: {
    activityType: string;
    activityId: string;
    scheduledEventId?: number;
    startedEventId?: number;
  };
};
export type TimeoutType = 'START_TO_CLOSE' | 'SCHEDULE_TO_CLOSE' | 'SCHEDULE_TO_START';

export type ActivityOptions = {
  startToCloseMs: number;
  scheduleToCloseMs: number | undefined;
  initialIntervalMs: number;
  backoffCoefficient: number;
  maximumIntervalMs: number;
  maximumAttempts: number;
  summary: string | undefined;
};
/** How an update was answered. */
export type Answer = { success: unknown } | { failure: Failure };

/** What a workflow asks for; each makes one event. */
export type CommandEvent =
  | { type: 'laMarker'; seq: number; name: string; completeAt: number; result?: unknown; failure?: Failure }
  | { type: 'patchMarker'; patchId: string }
  | { type: 'upsert'; attributes: Record<string, unknown> }
  | { type: 'activityScheduled'; seq: number; name: string; input: unknown; options: ActivityOptions }
  | { type: 'activityCancelRequested'; seq: number }
  | { type: 'timerStarted'; seq: number; ms: number; summary: string | undefined }
  | { type: 'timerCanceled'; seq: number }
  | { type: 'updateAccepted'; id: string; name: string; input: unknown; sequencingId: number }
  | { type: 'updateCompleted'; id: string; answer: Answer }
  | { type: 'completed'; result: unknown }
  | { type: 'continuedAsNew'; input: unknown }
  | { type: 'workflowFailed'; failure: Failure };

/** What a workflow is told. */
export type InboundEvent =
  | {
      type: 'started';
      workflowType: string;
      input: unknown;
      workflowId: string;
      runId: string;
      memo: Record<string, unknown>;
    }
  | { type: 'signaled'; name: string; input: unknown[] }
  | { type: 'cancelRequested' }
  | { type: 'timerFired'; seq: number }
  | { type: 'activityStarted'; seq: number; attempt: number; lastFailure?: Failure }
  | { type: 'activityCompleted'; seq: number; result: unknown }
  | { type: 'activityFailed'; seq: number; failure: Failure; retryState: string }
  | { type: 'activityTimedOut'; seq: number; failure: Failure; retryState: string }
  | { type: 'activityCanceled'; seq: number };

type TaskEvent =
  | { type: 'taskScheduled' }
  | { type: 'taskStarted'; suggestsAnew?: boolean }
  | { type: 'taskCompleted'; flags: number[] }
  | { type: 'taskTimedOut' }
  | { type: 'taskFailed' };

export type HistoryEvent = (CommandEvent | InboundEvent | TaskEvent) & { at: number };

const COMMANDS: ReadonlySet<string> = new Set<CommandEvent['type']>([
  'laMarker',
  'patchMarker',
  'upsert',
  'activityScheduled',
  'activityCancelRequested',
  'timerStarted',
  'timerCanceled',
  'updateAccepted',
  'updateCompleted',
  'completed',
  'continuedAsNew',
  'workflowFailed',
]);
export const isCommand = (event: { type: string }): event is CommandEvent => COMMANDS.has(event.type);
