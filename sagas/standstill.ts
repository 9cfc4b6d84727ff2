/**
 * Standstill: a saga runs, says nothing, and does not move. Its workers cannot report it, since they are what is wrong: its
 * code fails, or no worker runs it. So it is found from outside, by what waits and for how long. Temporal's list of pollers
 * alone would not do: it remembers dead workers for five minutes.
 */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { TASK_QUEUE } from '../contracts/ids.js';
import { msOf, STATE_SCHEDULED, UNDER_WAY } from './execution.js';

/** The saga's code fails in its worker: a bug, or a release that does not fit what the saga has done so far. */
export const WORKFLOW_TASK_FAILING = 'WORKFLOW_TASK_FAILING';
/** A task waits, and no worker takes it: no worker runs, or none of the saga's build, or it is frozen. */
export const NO_POLLERS = 'NO_POLLERS';
/**
 * An operator has paused an activity of it (`temporal activity pause`), of which the saga itself learns nothing: no bug, but only
 * an operator lets it go on.
 */
export const ACTIVITY_PAUSED = 'ACTIVITY_PAUSED';
/** It should have come to its end by now, or have said why not. */
export const OPEN_TOO_LONG = 'OPEN_TOO_LONG';

/** A live worker takes a task within milliseconds, and a busy one shows that it moves. */
const TASK_WAITS_MS = 20_000;
/** A task of a worker that was killed fails once or twice. */
const ATTEMPTS_MIN = 3;
/** So many are no accident, whatever the history says of the first. */
const ATTEMPTS_MANY = 6;
/** Other orders are being worked on: then a task that waits is only queued. */
const MOVED_WITHIN_S = 15;
/** Of the newest events: a workflow task leaves two or three. */
const EVENTS_MAX = 10;

/** What is the same for all sagas that are looked at together. */
export type Surroundings = {
  client: Client;
  /** For how long no step of any order has come to its end. */
  standstillSeconds: number;
  /** Builds of which a worker asks for work, having some to do. */
  builds: () => Promise<Set<string>>;
};

export type Standstill = { failure: string; step: string | null };

/** @returns why the saga does not move, or undefined if nothing is known against it */
export async function findStandstill(
  saga: WorkflowExecutionDescription,
  around: Surroundings,
): Promise<Standstill | undefined> {
  const now = Date.now();
  const task = saga.raw.pendingWorkflowTask;
  if (task) {
    const attempt = task.attempt ?? 1;
    const since = task.startedTime ?? task.scheduledTime;
    if (attempt >= ATTEMPTS_MIN || now - msOf(since, now) > TASK_WAITS_MS) {
      const isFailing = (await hasTaskFailed(saga, around)) || (attempt >= ATTEMPTS_MANY && hasMoved(around));
      if (isFailing) return { failure: WORKFLOW_TASK_FAILING, step: null };
      if (await isUnserved(saga, around)) return { failure: NO_POLLERS, step: null };
    }
  }
  const paused = (saga.raw.pendingActivities ?? []).find(
    ({ state, paused: isPaused }) => isPaused === true && !UNDER_WAY.has(state ?? 0),
  );
  if (paused) return { failure: ACTIVITY_PAUSED, step: paused.activityType?.name ?? null };
  const waits = (saga.raw.pendingActivities ?? []).find(
    ({ state, scheduledTime }) => state === STATE_SCHEDULED && now - msOf(scheduledTime, now) > TASK_WAITS_MS,
  );
  if (waits && (await isUnserved(saga, around))) return { failure: NO_POLLERS, step: waits.activityType?.name ?? null };
  return undefined;
}

const hasMoved = ({ standstillSeconds }: Surroundings): boolean => standstillSeconds < MOVED_WITHIN_S;

/** No saga moves; or others do, but no worker is there of the build that this saga is pinned to. */
async function isUnserved(saga: WorkflowExecutionDescription, around: Surroundings): Promise<boolean> {
  if (!hasMoved(around)) return true;
  const { behavior, deploymentVersion: version } = saga.raw.workflowExecutionInfo?.versioningInfo ?? {};
  if (behavior !== PINNED || !version) return false;
  return !(await around.builds()).has(buildName(version));
}
/** VERSIONING_BEHAVIOR_PINNED */
const PINNED = 1;
type Build = { deploymentName?: string | null; buildId?: string | null };
const buildName = ({ deploymentName, buildId }: Build): string => `${deploymentName}/${buildId}`;

/** The server writes a failed task into the history once; what fails again after it only counts as another attempt. */
export async function hasTaskFailed(
  { workflowId, runId }: Pick<WorkflowExecutionDescription, 'workflowId' | 'runId'>,
  { client }: Pick<Surroundings, 'client'>,
): Promise<boolean> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_MAX,
  });
  for (const event of history?.events ?? []) {
    if (event.workflowTaskFailedEventAttributes) return true;
    if (event.workflowTaskCompletedEventAttributes || event.workflowTaskTimedOutEventAttributes) return false;
  }
  return false;
}

/**
 * Asked about a task that waits: a worker that is idle has asked up to a minute ago, and would have been given it; one that is
 * busy has asked just now.
 * @param askedWithinMs of a task that waits: less than it has waited
 * @returns builds of which a worker has asked for workflow tasks since
 */
export async function readBuilds(client: Client, askedWithinMs = TASK_WAITS_MS): Promise<Set<string>> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: TASK_QUEUE },
    taskQueueType: 1, // workflow tasks
  });
  const now = Date.now();
  const live = (pollers ?? []).filter(({ lastAccessTime }) => now - msOf(lastAccessTime, 0) < askedWithinMs);
  return new Set(live.map(({ deploymentOptions }) => buildName(deploymentOptions ?? {})));
}
