/** Who asks Temporal for our tasks, as its server sees it: a worker that is frozen or gone asks no more. */
import type { Client } from '@temporalio/client';
import { TASK_QUEUE } from '../contracts/ids.js';

/** An idle worker's request is open for a minute before it asks again. */
const ASKED_WITHIN_MS = 70_000;

/** temporal.api.enums.v1.TaskQueueType */
const KINDS = { workflow: 1, activity: 2 } as const;

/** @returns requests within the last 70 s, by the kind of task that they ask for */
export async function countPollers(client: Client): Promise<Record<keyof typeof KINDS, number>> {
  const count = async (taskQueueType: 1 | 2): Promise<number> => {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name: TASK_QUEUE },
      taskQueueType,
    });
    const now = Date.now();
    return (pollers ?? []).filter(
      ({ lastAccessTime }) => now - Number(lastAccessTime?.seconds ?? 0) * 1_000 < ASKED_WITHIN_MS,
    ).length;
  };
  const [workflow, activity] = await Promise.all([count(KINDS.workflow), count(KINDS.activity)]);
  return { workflow, activity };
}
