/** The Temporal worker: runs the sagas and their steps. Any number of processes may run one. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Info } from '@temporalio/activity';
import type { PayloadCodec } from '@temporalio/common';
import {
  type ActivityInboundCallsInterceptor,
  type NativeConnection,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { translated } from '../activities/failures.js';
import { createInventoryActivities } from '../activities/inventory.js';
import { createOrderActivities } from '../activities/orders.js';
import { createPaymentActivities } from '../activities/payments.js';
import { guardStock } from '../activities/stock-locks.js';
import { TASK_QUEUE } from '../contracts/ids.js';
import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import type { PaymentGateway } from '../gateways/payments.js';
import { isTracing } from '../runtime/tracing/spans.js';
import { concealed } from '../sagas/payloads/failures.js';
import { WORKFLOW_TASKS_MAX } from '../sagas/slots.js';
import type { FailureKeeper } from './kept-failures.js';
import { logAttempts, logSinks } from './saga-log.js';
import { countAttempts } from './step-metrics.js';
import { traceAttempts, traceSinks } from './tracing.js';
import { createCountingActivities } from './tries.js';
import type { WorkerVersion } from './versioning.js';

const traceModule = fileURLToPath(new URL('../workflows/trace.js', import.meta.url));

export type WorkerDependencies = {
  connection: NativeConnection;
  namespace: string;
  activities: SagaActivities;
  /** Path of the bundle made by `npm run build`; workflows are bundled at start-up if it is absent. */
  workflowBundle?: string;
  logger: Logger;
  /** Where failed attempts and parkings are kept for later. undefined = nowhere. */
  failures?: FailureKeeper;
  /** Sagas that begin on this worker stay on its build until they end. undefined = any worker takes any saga. */
  version?: WorkerVersion;
  /** Of every payload. undefined = they are as the SDK makes them. */
  payloadCodec?: PayloadCodec;
};

export function createActivities(deps: { db: Database; gateway: PaymentGateway }): SagaActivities {
  return guardStock(deps.db, {
    ...createInventoryActivities(deps),
    ...createPaymentActivities(deps),
    ...createOrderActivities(deps),
    ...createCountingActivities(),
  });
}

const concealing: ActivityInboundCallsInterceptor = { execute: (input, next) => concealed(() => next(input)) };

export async function createWorker({
  connection,
  namespace,
  activities,
  workflowBundle,
  logger,
  failures,
  version,
  payloadCodec,
}: WorkerDependencies): Promise<Worker> {
  const workflows: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> =
    workflowBundle !== undefined && existsSync(workflowBundle)
      ? { workflowBundle: { codePath: workflowBundle } }
      : { workflowsPath: fileURLToPath(new URL('../workflows/index.js', import.meta.url)) };
  return Worker.create({
    ...workflows,
    connection,
    namespace,
    taskQueue: TASK_QUEUE,
    activities,
    ...(payloadCodec && { dataConverter: { payloadCodecs: [payloadCodec] } }),
    sinks: { ...traceSinks, ...logSinks(logger, failures?.ofParking) },
    // Behind those of the activities: what is thrown beside a step must not stand in the history as its library says it.
    interceptors: {
      ...(workflows.workflowsPath !== undefined && { workflowModules: [traceModule] }),
      activity: [
        // Outermost: whoever logs an attempt reads its words.
        ...(payloadCodec ? [() => ({ inbound: concealing })] : []),
        ...(isTracing() ? [({ info }: { info: Info }) => ({ inbound: traceAttempts(info) })] : []),
        ({ info }) => ({ inbound: logAttempts(logger, info) }),
        ...(failures ? [({ info }: { info: Info }) => ({ inbound: failures.ofAttempts(info) })] : []),
        ({ info }) => ({ inbound: countAttempts(info.activityType) }),
        () => ({ inbound: { execute: (input, next) => translated(() => next(input)) } }),
      ],
    },
    ...(version && {
      workerDeploymentOptions: { version, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' as const },
    }),
    // More than the API of this process begins sagas at a time, so that each finds room: sagas/slots.
    maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASKS_MAX,
    // After a worker's death, tasks stick to its queue for this long. 10 s by default, which was seen as 9 s of silence.
    stickyQueueScheduleToStartTimeout: '1s',
    // Sagas sleep only while something is wrong; a thousand of them in memory are some 100 MB.
    maxCachedWorkflows: 1_000,
    // Longer than one attempt, so that a deploy makes no activity time out; the force time ends what does not listen.
    shutdownGraceTime: '10s',
    shutdownForceTime: '14s',
  });
}
