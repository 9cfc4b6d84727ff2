/**
 * A census of the sagas that began since a moment, by build: how many, and how many of them fail. Asked of Temporal alone: workers
 * of a bad build might not be there to ask. What fails shows in three ways: visibility has what is parked or was ended; of what
 * still runs the server knows which tries have failed; and a saga whose very first task fails has no build yet, but one that it is tried on.
 */
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import pLimit from 'p-limit';
import { CANCEL_ORDER_SAGA, ORDER_SAGA } from '../../contracts/ids.js';
import { SAGA_STATE, SAGA_STEP } from '../../contracts/saga.js';
import { endedFromOutside } from '../../sagas/execution.js';
import { hasTaskFailed } from '../../sagas/standstill.js';
import type { Census } from './gate.js';

/** Of those that run: so many of each build are looked at closely, and the rest is taken to be like them. */
const LOOKED_AT_MAX = 200;
const AT_ONCE = 16;
/** A task of a worker that was killed fails once or twice. */
const TASK_ATTEMPTS_MIN = 3;

const OURS = `WorkflowType IN ("${ORDER_SAGA}","${CANCEL_ORDER_SAGA}")`;
const RUNNING = 'ExecutionStatus="Running"';
const CUT_SHORT = 'ExecutionStatus IN ("Failed","Terminated","TimedOut","Canceled")';

/** @returns of each build, in the order in which they are named */
export async function takeCensus(
  client: Client,
  deploymentName: string,
  builds: readonly string[],
  since: Date,
): Promise<Census[]> {
  const begun = `${OURS} AND StartTime >= "${since.toISOString()}"`;
  const limit = pLimit(AT_ONCE);
  const look = (query: string) => lookAt(client, limit, query);
  const unassigned = await look(`${begun} AND ${RUNNING} AND TemporalWorkerDeploymentVersion IS NULL`);
  return Promise.all(
    builds.map(async (build) => {
      const own = `${begun} AND TemporalWorkerDeploymentVersion="${deploymentName}:${build}"`;
      const [all, completed, cut, open, running] = await Promise.all([
        client.workflow.count(own),
        client.workflow.count(`${own} AND ExecutionStatus="Completed"`),
        list(client, `${own} AND ${CUT_SHORT}`),
        client.workflow.count(`${own} AND ${RUNNING}`),
        look(`${own} AND ${RUNNING}`),
      ]);
      const eachStandsFor = running.length < LOOKED_AT_MAX ? 1 : open.count / LOOKED_AT_MAX;
      const tried = unassigned.filter(({ triedOn }) => triedOn === build);
      const census: Census = { begun: all.count + tried.length, ended: completed.count, failing: 0, why: {} };
      const note = (why: string | undefined, count = 1) => {
        if (why === undefined) return;
        census.failing += count;
        census.why[why] = (census.why[why] ?? 0) + count;
      };
      for (const { status } of cut) note(`ended: ${endedFromOutside(status.name)}`);
      for (const { why } of running) note(why, eachStandsFor);
      for (const { why } of tried) note(why);
      return rounded(census);
    }),
  );
}

const rounded = ({ failing, why, ...counts }: Census): Census => ({
  ...counts,
  failing: Math.round(failing),
  why: Object.fromEntries(Object.entries(why).map(([name, count]) => [name, Math.round(count)])),
});

type Looked = { why: string | undefined; triedOn: string | undefined };

async function lookAt(client: Client, limit: ReturnType<typeof pLimit>, query: string): Promise<Looked[]> {
  const found = await list(client, query);
  return Promise.all(
    found.map((saga) =>
      limit(async () => {
        const parked = whyParked(saga);
        const described = await client.workflow
          .getHandle(saga.workflowId, saga.runId)
          .describe()
          .catch(() => undefined); // retention, or the server for a moment
        return {
          why: parked ?? (described && (await whyFailing(client, described))),
          triedOn: described && triedOn(described),
        };
      }),
    ),
  );
}

async function list({ workflow }: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  const found: WorkflowExecutionInfo[] = [];
  for await (const saga of workflow.list({ query })) {
    found.push(saga);
    if (found.length === LOOKED_AT_MAX) break;
  }
  return found;
}

function whyParked({ typedSearchAttributes: attributes }: WorkflowExecutionInfo): string | undefined {
  if (attributes.get(SAGA_STATE) !== 'NEEDS_ATTENTION') return undefined;
  return `parked at ${attributes.get(SAGA_STEP) ?? 'a step'}`;
}

/** A task that times out, as on a busy machine or when its worker has gone, is none that fails. */
async function whyFailing(client: Client, saga: WorkflowExecutionDescription): Promise<string | undefined> {
  const { status, raw } = saga;
  if (status.name !== 'RUNNING') return undefined;
  const isTriedAgain = (raw.pendingWorkflowTask?.attempt ?? 1) >= TASK_ATTEMPTS_MIN;
  if (isTriedAgain && (await hasTaskFailed(saga, { client }))) return 'the saga’s code fails';
  const failed = (raw.pendingActivities ?? []).find(({ lastFailure }) => lastFailure);
  return failed && `${failed.activityType?.name ?? 'a step'} fails`;
}

/** The build that its next task goes to, while it has completed none. */
const triedOn = ({ raw }: WorkflowExecutionDescription): string | undefined =>
  raw.workflowExecutionInfo?.versioningInfo?.versionTransition?.deploymentVersion?.buildId ?? undefined;
