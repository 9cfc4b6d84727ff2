/**
 * Builds: a saga that is pinned to a build of the workers goes on only where a worker of that build runs. Which open sagas have none is
 * asked of Temporal as a whole, since one that waits for a timer or an operator has no task yet that would wait visibly.
 */
import type { Client } from '@temporalio/client';
import { TASK_QUEUE } from '../contracts/ids.js';
import { readBuilds } from './standstill.js';

/** A worker with nothing to do asks once a minute. */
const ASKED_WITHIN_MS = 70_000;
/** Temporal keeps a hundred versions of a deployment; those with open sagas are among the newest. */
const BUILDS_MAX = 20;
/** VERSION_DRAINAGE_STATUS_DRAINED: no saga is pinned to it. */
const DRAINED = 2;
/** gRPC's NOT_FOUND, UNIMPLEMENTED: a server that knows of no deployments has no sagas of one. */
const KNOWS_NONE = new Set([5, 12]);

export type LeftBehind = {
  /** As Temporal writes it: `<deployment>:<build>`. */
  build: string;
  sagas: number;
};

/** @returns builds that no worker runs, of which sagas are open */
export async function readLeftBehind(client: Client, askedWithinMs = ASKED_WITHIN_MS): Promise<LeftBehind[]> {
  const builds = await readKnownBuilds(client);
  if (builds.length === 0) return [];
  const live = await readBuilds(client, askedWithinMs);
  const idle = builds.filter(({ name }) => !live.has(name)).slice(0, BUILDS_MAX);
  const counted = await Promise.all(
    idle.map(async ({ build }) => {
      const query = `TaskQueue="${TASK_QUEUE}" AND ExecutionStatus="Running" AND TemporalWorkerDeploymentVersion="${build}"`;
      return { build, sagas: (await client.workflow.count(query)).count };
    }),
  );
  return counted.filter(({ sagas }) => sagas > 0);
}

type Build = { name: string; build: string };

/** Newest first, of every deployment of the namespace. */
async function readKnownBuilds(client: Client): Promise<Build[]> {
  const { namespace } = client.options;
  const { workerDeployments } = await client.workflowService.listWorkerDeployments({ namespace }).catch(none);
  const described = await Promise.all(
    (workerDeployments ?? []).map(({ name: deploymentName }) =>
      client.workflowService.describeWorkerDeployment({ namespace, deploymentName: deploymentName ?? '' }),
    ),
  );
  return described
    .flatMap(({ workerDeploymentInfo }) => workerDeploymentInfo?.versionSummaries ?? [])
    .filter(({ drainageStatus }) => drainageStatus !== DRAINED)
    .map(({ deploymentVersion }) => deploymentVersion ?? {})
    .filter(({ buildId }) => /^[\w.:+-]+$/.test(buildId ?? '')) // others could not be asked about
    .map(({ deploymentName, buildId }) => ({
      name: `${deploymentName}/${buildId}`,
      build: `${deploymentName}:${buildId}`,
    }));
}

function none(err: { code?: number }): { workerDeployments: [] } {
  if (KNOWS_NONE.has(err.code ?? 0)) return { workerDeployments: [] };
  throw err;
}
