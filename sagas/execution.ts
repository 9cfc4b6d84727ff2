/** One saga as Temporal's server describes it: whether it has come to its own end, and what it is trying just now. */
import type { WorkflowExecutionDescription, WorkflowExecutionStatusName } from '@temporalio/client';
import type { SagaProgress } from '../contracts/saga.js';

const ENDED = { FAILED: 'FAILED', TERMINATED: 'TERMINATED', TIMED_OUT: 'TIMED_OUT', CANCELLED: 'CANCELED' } as const;

/** @returns how it was ended if it did not come to its own end, in the words that lists and `--failure` take */
export const endedFromOutside = (status: WorkflowExecutionStatusName): string | undefined =>
  (ENDED as Partial<Record<WorkflowExecutionStatusName, string>>)[status];

/** @param failure what a saga was listed as stuck for */
export const isEndedFromOutside = (failure: string): boolean => (Object.values(ENDED) as string[]).includes(failure);

/** `tries`: how often it has been begun. */
export type PendingActivity = { id: string; name: string; tries: number; lastFailure: string | null };

export const pendingActivities = ({ raw }: WorkflowExecutionDescription): PendingActivity[] =>
  (raw.pendingActivities ?? []).map((activity) => ({
    id: activity.activityId ?? '',
    name: activity.activityType?.name ?? '',
    // While it backs off, the server numbers the try that comes next.
    tries: (activity.attempt ?? 0) - (UNDER_WAY.has(activity.state ?? 0) ? 0 : 1),
    lastFailure: activity.lastFailure?.message ?? null,
  }));

/**
 * STARTED, CANCEL_REQUESTED and PAUSE_REQUESTED of temporal.api.enums.v1.PendingActivityState: the try that goes on may yet
 * succeed. What is paused is SCHEDULED or PAUSED.
 */
export const UNDER_WAY = new Set<number>([2, 3, 5]);
/** SCHEDULED of the same; while it backs off, its time is in the future. */
export const STATE_SCHEDULED = 1;

type Timestamp = { seconds?: unknown; nanos?: number | null } | null | undefined;
export const msOf = (time: Timestamp, otherwise: number): number =>
  time ? Number(time.seconds) * 1_000 + (time.nanos ?? 0) / 1e6 : otherwise;

/** The saga itself does not see how often an activity that is still under way has been tried; the server does. */
export function withPendingAttempts(progress: SagaProgress, description: WorkflowExecutionDescription): SagaProgress {
  for (const activity of pendingActivities(description)) {
    const step = progress.steps.find(({ name, finishedAt }) => name === activity.name && finishedAt === null);
    if (!step) continue;
    step.attempts += activity.tries;
    step.lastError = activity.lastFailure ?? step.lastError;
  }
  return progress;
}
