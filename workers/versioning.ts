/**
 * Worker Versioning: which build of the saga's code gets new sagas. An operator decides that, with `ops rollout` or `temporal worker
 * deployment set-current-version`; a worker only says what it is, and, since a forgotten decision would look like a standstill, how
 * things stand.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';

/**
 * A build of the saga's code, by the names of Temporal's Worker Versioning.
 * https://docs.temporal.io/production-deployment/worker-deployments/worker-versioning
 */
export type WorkerVersion = { deploymentName: string; buildId: string };

/** Temporal learns of a deployment by its first poll, a moment after the worker has begun. */
const ASK_TIMES = 10;
const ASK_EVERY_MS = 1_000;

/** Says in the log whether this build gets new sagas. Never throws: the worker works either way. */
export async function reportVersion(
  client: Client,
  namespace: string,
  version: WorkerVersion,
  logger: Logger,
): Promise<void> {
  const { deploymentName, buildId } = version;
  for (let asked = 1; asked <= ASK_TIMES; asked++) {
    try {
      const current = await readCurrentBuild(client, namespace, deploymentName);
      const facts = { deploymentName, buildId, current };
      if (current === buildId) logger.info(facts, 'this build is current: it gets new sagas');
      else if (current !== undefined) logger.info(facts, 'this build is not current: it only finishes its own sagas');
      else logger.error(facts, `no build is current, so sagas may wait to begin: run \`${commandFor(version)}\``);
      return;
    } catch (err) {
      logger.debug({ err, asked }, 'Temporal does not know the deployment yet');
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS).unref());
    }
  }
  logger.warn({ deploymentName, buildId }, 'Temporal does not say which build is current');
}

const commandFor = ({ deploymentName, buildId }: WorkerVersion): string =>
  `temporal worker deployment set-current-version --deployment-name ${deploymentName} --build-id ${buildId} --yes`;

/** @returns undefined if none is: sagas then begin only on workers that are not versioned */
async function readCurrentBuild(
  client: Client,
  namespace: string,
  deploymentName: string,
): Promise<string | undefined> {
  const { workerDeploymentInfo } = await client.workflowService.describeWorkerDeployment({ namespace, deploymentName });
  return workerDeploymentInfo?.routingConfig?.currentDeploymentVersion?.buildId ?? undefined;
}
