/** Which build of the saga's code begins new sagas, as Temporal's Worker Deployment has it: one is current, another may get a share. */
import type { Client } from '@temporalio/client';
import { TASK_QUEUE } from '../../contracts/ids.js';
import { msOf } from '../../sagas/execution.js';
import { EXIT, OpsError, usage } from '../exit.js';

export type Routing = {
  /** null = sagas begin on workers that are not versioned. */
  current: string | null;
  /** null = no build gets a share. */
  ramping: string | null;
  percent: number;
  /** Builds that Temporal knows, whether or not workers of them run. */
  builds: string[];
};
/** A change that is refused if somebody else has changed the routing meanwhile. */
export type Deployment = {
  name: string;
  read: () => Promise<Routing>;
  /** @param percent of new sagas; 0 = none, and nothing ramps any more */
  ramp: (buildId: string, percent: number) => Promise<void>;
  makeCurrent: (buildId: string) => Promise<void>;
  /** Whether a worker of it asks for work. */
  isServed: (buildId: string) => Promise<boolean>;
};

/** An idle worker asks once a minute. */
const ASKED_WITHIN_MS = 70_000;
/** Of gRPC. */
const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;

/** @param identity who changes it, as Temporal shows it */
export function deploymentOf(client: Client, name: string, identity: string): Deployment {
  const { namespace } = client.options;
  const about = { namespace, deploymentName: name, identity };
  let token: Uint8Array | undefined;
  /** Whether the routing is as the last change makes it, while no answer to that has come. */
  let unanswered: ((routing: Routing) => boolean) | undefined;
  const read = async (): Promise<Routing> => {
    const { workerDeploymentInfo: info, conflictToken } = await client.workflowService
      .describeWorkerDeployment({ namespace, deploymentName: name })
      .catch((err: unknown) => {
        if (grpcCode(err) !== NOT_FOUND) throw err;
        throw usage(
          `Temporal knows no deployment ${name}: no worker with TEMPORAL_WORKER_BUILD_ID has asked for work (deploy/README.md).`,
        );
      });
    token = conflictToken;
    const { currentDeploymentVersion, rampingDeploymentVersion, rampingVersionPercentage } = info?.routingConfig ?? {};
    return {
      current: currentDeploymentVersion?.buildId ?? null,
      ramping: rampingDeploymentVersion?.buildId ?? null,
      percent: rampingVersionPercentage ?? 0,
      builds: (info?.versionSummaries ?? []).flatMap(({ deploymentVersion }) => deploymentVersion?.buildId ?? []),
    };
  };
  const change = async (
    act: (conflictToken: { conflictToken?: Uint8Array }) => Promise<{ conflictToken?: unknown }>,
    isDone: (routing: Routing) => boolean,
  ): Promise<void> => {
    const isBefore = unanswered;
    try {
      unanswered = isDone;
      token = (await act(token ? { conflictToken: token } : {})).conflictToken as Uint8Array;
      unanswered = undefined;
    } catch (err) {
      if (grpcCode(err) !== FAILED_PRECONDITION) throw err;
      unanswered = isBefore;
      if (isBefore) {
        const known = token;
        const routing = await read();
        unanswered = undefined;
        if (isDone(routing)) return;
        if (isBefore(routing)) return await change(act, isDone); // it was no other's change, but ours
        token = known;
      }
      throw new OpsError(
        `Temporal refuses to change the routing of ${name}: ${(err as { details?: string }).details ?? (err as Error).message}`,
        EXIT.failed,
        { cause: err },
      );
    }
  };
  return {
    name,
    read,
    ramp: (buildId, percentage) =>
      change(
        (known) =>
          client.workflowService.setWorkerDeploymentRampingVersion({
            ...about,
            ...known,
            ...(percentage > 0 && { buildId, percentage }),
          }),
        ({ ramping, percent }) => (percentage > 0 ? ramping === buildId && percent === percentage : ramping === null),
      ),
    makeCurrent: (buildId) =>
      change(
        (known) => client.workflowService.setWorkerDeploymentCurrentVersion({ ...about, ...known, buildId }),
        ({ current }) => current === buildId,
      ),
    isServed: async (buildId) => {
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: TASK_QUEUE },
        taskQueueType: 1, // workflow tasks
      });
      const now = Date.now();
      return (pollers ?? []).some(
        ({ deploymentOptions, lastAccessTime }) =>
          deploymentOptions?.deploymentName === name &&
          deploymentOptions.buildId === buildId &&
          now - msOf(lastAccessTime, 0) < ASKED_WITHIN_MS,
      );
    },
  };
}

const grpcCode = (err: unknown): number | undefined => (err as { code?: number }).code;
