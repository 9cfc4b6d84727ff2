/**
 * What a running saga waits for just now, as Temporal's server describes it: answered without a worker, and so also when all
 * of them are frozen. It says what is the case, not whether that is too long: that is standstill.ts.
 */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { msOf, STATE_SCHEDULED, UNDER_WAY } from './execution.js';

/**
 * - `worker`      a task is there for the taking, and no worker has taken it
 * - `attempt`     an attempt, or the saga's own code, is under way at a worker
 * - `next-try`    an attempt has failed, and the next one has its time
 * - `unpausing`   an operator has paused the activity
 * - `its-own-time` nothing is to be done: the saga waits for a timer or for a message
 */
export const WAITS_FOR = ['worker', 'attempt', 'next-try', 'unpausing', 'its-own-time'] as const;
export type WaitsFor = (typeof WAITS_FOR)[number];

export type Wait = {
  waitsFor: WaitsFor;
  /** The step or undo; null = the saga's own code, which runs first tries of steps itself. */
  step: string | null;
  /** Of an activity: which try is next, or under way. */
  attempt: number | null;
  lastError: string | null;
  /** Of what kind that was; absent = it has no kind, or is none of an application. */
  failure?: string;
  /** Since when a task waits or is under way, or when the next try begins. */
  at: string | null;
  /** Of an activity whose tries have an end: when that is. A pause keeps it from ending. */
  until?: string;
  /** Of what an operator has paused: since when, who, and why, as far as Temporal was told. */
  pause?: { at: string | null; by: string | null; reason: string | null };
};

/** @returns the one thing that holds the saga up: what has failed before what only waits */
export function waitOf({ raw }: WorkflowExecutionDescription, now = Date.now()): Wait {
  const activities = raw.pendingActivities ?? [];
  const [activity] = activities.toSorted((a, b) => Number(Boolean(b.lastFailure)) - Number(Boolean(a.lastFailure)));
  if (activity) {
    const { state, paused, attempt, scheduledTime, lastStartedTime, lastFailure, activityType } = activity;
    const { expirationTime, pauseInfo } = activity;
    const until = msOf(expirationTime, 0);
    const kind =
      lastFailure?.applicationFailureInfo?.type ?? (lastFailure?.timeoutFailureInfo ? 'TimeoutFailure' : undefined);
    const isScheduled = state === STATE_SCHEDULED;
    const at = msOf(isScheduled ? scheduledTime : (lastStartedTime ?? scheduledTime), now);
    return {
      waitsFor:
        paused === true && !UNDER_WAY.has(state ?? 0)
          ? 'unpausing'
          : !isScheduled
            ? 'attempt'
            : at > now
              ? 'next-try'
              : 'worker',
      step: activityType?.name ?? null,
      attempt: attempt ?? null,
      lastError: lastFailure?.message ?? null,
      ...(kind && { failure: kind }),
      at: new Date(at).toISOString(),
      ...(until > 0 && { until: new Date(until).toISOString() }),
      ...(paused === true && { pause: pauseOf(pauseInfo) }),
    };
  }
  const task = raw.pendingWorkflowTask;
  const none = { step: null, attempt: null, lastError: null };
  if (!task) return { waitsFor: 'its-own-time', ...none, at: null };
  const started = task.startedTime;
  const at = new Date(msOf(started ?? task.scheduledTime, now)).toISOString();
  return { waitsFor: started ? 'attempt' : 'worker', ...none, attempt: task.attempt ?? null, at };
}

type PauseInfo = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number]['pauseInfo'];

function pauseOf(info: PauseInfo): NonNullable<Wait['pause']> {
  const at = msOf(info?.pauseTime, 0);
  const said = info?.manual ?? info?.rule;
  return {
    at: at > 0 ? new Date(at).toISOString() : null,
    by: said?.identity || null,
    reason: said?.reason || null,
  };
}
