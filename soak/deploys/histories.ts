/** What the histories of all sagas say about deploys: attempts that timed out, tasks that failed, and the builds that a saga ran on. */
import type { Client } from '@temporalio/client';
import { withTemporal } from '../verify/temporal.js';

export type Histories = {
  sagas: number;
  /** By kind: activities, and the last try before the one that came to its end. */
  activityTimeouts: Record<string, number>;
  /** The saga's code has failed: by cause. */
  taskFailures: Record<string, number>;
  /** The worker was gone; another has taken it over. */
  taskTimeouts: number;
  /** Sagas that ran on more than one build. */
  moved: string[];
  /** Of sagas that began between two moments: how many on which build. */
  begunOn: (fromMs: number, toMs: number) => Record<string, number>;
};

const AT_ONCE = 16;
/** WorkflowTaskFailedCause of temporal.api.enums.v1. The second: a message came while the saga was ending, and it looks again. */
const NONE = 0;
const UNHANDLED_COMMAND = 1;
/** TimeoutType of temporal.api.enums.v1. */
const TIMEOUTS = ['unknown', 'start to close', 'schedule to start', 'retry budget', 'heartbeat'] as const;

type Read = { workflowId: string; startedMs: number; builds: string[] };
type Fetched = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']
>[number];

export const readHistories = (address: string): Promise<Histories> =>
  withTemporal(address, async ({ workflow }) => {
    const found: { activityTimeouts: Record<string, number>; taskFailures: Record<string, number> } = {
      activityTimeouts: {},
      taskFailures: {},
    };
    let taskTimeouts = 0;
    const sagas: Read[] = [];
    const readOne = async (workflowId: string, runId: string, startedMs: number) => {
      const { events } = await workflow.getHandle(workflowId, runId).fetchHistory();
      for (const event of events ?? []) {
        const timedOut =
          event.activityTaskTimedOutEventAttributes?.failure ?? event.activityTaskStartedEventAttributes?.lastFailure;
        if (timedOut?.timeoutFailureInfo)
          add(found.activityTimeouts, TIMEOUTS[timedOut.timeoutFailureInfo.timeoutType ?? 0] ?? 'unknown');
        if (event.workflowTaskTimedOutEventAttributes) taskTimeouts++;
        const cause = event.workflowTaskFailedEventAttributes?.cause ?? NONE;
        if (cause !== NONE && cause !== UNHANDLED_COMMAND) add(found.taskFailures, `cause ${cause}`);
      }
      sagas.push({ workflowId, startedMs, builds: [...new Set((events ?? []).flatMap(buildsOf))] });
    };
    const listed: [string, string, number][] = [];
    for await (const { workflowId, runId, startTime } of workflow.list())
      listed.push([workflowId, runId, startTime.getTime()]);
    for (let at = 0; at < listed.length; at += AT_ONCE)
      await Promise.all(listed.slice(at, at + AT_ONCE).map((one) => readOne(...one)));
    return {
      ...found,
      sagas: sagas.length,
      taskTimeouts,
      moved: sagas
        .filter(({ builds }) => builds.length !== 1)
        .map(({ workflowId, builds }) => `${workflowId}: ${builds.join(', ')}`),
      begunOn: (fromMs, toMs) => {
        const counts: Record<string, number> = {};
        for (const { startedMs, builds } of sagas)
          if (startedMs >= fromMs && startedMs < toMs) add(counts, builds[0] ?? 'none');
        return counts;
      },
    };
  });

/** Of each task of the saga's code that was carried out. */
function buildsOf({ workflowTaskCompletedEventAttributes: done }: Fetched): string[] {
  const build = done?.deploymentVersion?.buildId;
  return build ? [build] : [];
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
