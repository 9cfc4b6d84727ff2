/**
 * Pollers: workers as Temporal's task queue knows them. A worker that has nothing to do asks once a minute, and one that was killed
 * is remembered for five; one that is frozen seems to ask once more when the server ends its open question: so this says who was there
 * up to two minutes ago. Whether anybody works shows in tasks that wait (standstill.ts).
 */
import type { Client } from '@temporalio/client';
import { TASK_QUEUE } from '../contracts/ids.js';
import { msOf } from './execution.js';

/** A worker's question is answered after a minute if there is nothing to do, and then it asks again. */
const LIVE_WITHIN_MS = 70_000;

/** TaskQueueType of temporal.api.enums.v1. */
const QUEUES = { workflow: 1, activity: 2 } as const;

export type Pollers = {
  /** Workers that have asked within the last minute, by what they ask for. */
  workflow: string[];
  activity: string[];
  /** Seconds since any of them has asked; null = none is known. */
  lastAskedSeconds: number | null;
};

export async function readPollers(client: Client): Promise<Pollers> {
  const now = Date.now();
  const ask = async (taskQueueType: number) => {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name: TASK_QUEUE },
      taskQueueType,
    });
    return (pollers ?? []).map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      ageMs: now - msOf(lastAccessTime, 0),
    }));
  };
  const [workflow, activity] = await Promise.all([ask(QUEUES.workflow), ask(QUEUES.activity)]);
  const live = (pollers: typeof workflow) => [
    ...new Set(pollers.filter(({ ageMs }) => ageMs < LIVE_WITHIN_MS).map(({ identity }) => identity)),
  ];
  const newest = Math.min(...[...workflow, ...activity].map(({ ageMs }) => ageMs));
  return {
    workflow: live(workflow),
    activity: live(activity),
    lastAskedSeconds: Number.isFinite(newest) ? Math.max(0, newest / 1_000) : null,
  };
}
