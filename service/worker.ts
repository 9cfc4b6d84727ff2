/** The role `worker` in a process of the service: a Temporal worker, kept running, and the reconciler beside it. */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { orderSagaId } from '../contracts/ids.js';
import type { SagaPolicy } from '../contracts/saga.js';
import type { AuditKeys } from '../domain/audit/signatures.js';
import { guardAccount } from '../gateways/account-guard.js';
import type { ErasureJournal } from '../gateways/erasure-journal/journal.js';
import { type BreakerState, protectGateway } from '../gateways/breaker.js';
import { createPaymentGateway } from '../gateways/stripe.js';
import { createCachedRead } from '../runtime/cached-read.js';
import { ConfigError, type readConfig } from '../runtime/config.js';
import type { Failpoints } from '../runtime/failpoints.js';
import { guarded } from '../runtime/guard.js';
import type { ReadinessCheck } from '../runtime/health.js';
import { backoffMs } from '../runtime/loop.js';
import type { Pools } from '../runtime/pools.js';
import { watchPostgres } from '../runtime/postgres-health.js';
import type { settings } from '../runtime/settings.js';
import type { TemporalLink } from '../runtime/temporal.js';
import type { ServicePayloads } from './payloads.js';
import type { SagaSlots } from '../sagas/slots.js';
import { listParked } from '../sagas/parked.js';
import { wakeSaga } from '../sagas/wake.js';
import { watchAccount } from '../workers/account.js';
import { createCrashingActivities } from '../workers/crash-points.js';
import { countGateway } from '../workers/gateway-metrics.js';
import { startEraser } from '../workers/eraser.js';
import { exposeWorker } from '../workers/metrics.js';
import { startOperations } from '../workers/operations/runner.js';
import { startProber } from '../workers/prober.js';
import { startVerifier, VERIFIER_DEFAULTS } from '../workers/verifier.js';
import { openAtMostMs } from '../verification/limits.js';
import { pausingSlots, releasingSlots } from '../workers/saga-progress.js';
import { startReconciler } from '../reconciliation/reconciler.js';
import { reportVersion } from '../workers/versioning.js';
import type { GatewayLists } from '../verification/sources/gateway.js';
import { keepFailures } from '../workers/kept-failures.js';
import { createActivities, createWorker } from '../workers/worker.js';
import { noteIn } from './erasure-journal.js';

/** Of one request; less where its attempt's deadline (gateways/deadline) comes first, which ends an attempt from inside. */
const GATEWAY_TIMEOUT_MS = 4_000;
/** A worker that has died is replaced, after a longer pause each time; the process's other roles go on meanwhile. */
const RESTART_AFTER_MS = { base: 1_000, max: 30_000 };
const TEMPORAL_LIMIT_MS = 1_000;

export type WorkerRole = {
  readiness: ReadinessCheck;
  /** How its circuit to the payment gateway stands. */
  breakerState: () => BreakerState;
  /** Activities under way are finished first. */
  stop(): Promise<void>;
};

export type WorkerRoleOptions = {
  pools: Pools;
  temporal: TemporalLink;
  /** undefined = payloads are not encrypted. */
  payloads: ServicePayloads | undefined;
  config: ReturnType<typeof readConfig<typeof settings>>;
  logger: Logger;
  failpoints: Failpoints | undefined;
  /** Where erasures are noted; undefined = nowhere. */
  journal: ErasureJournal | undefined;
  /** What a saga is given that is started anew from here. */
  policy: SagaPolicy;
  /** Of the audit trail, in which the end of an erasure is an entry. */
  keys: AuditKeys;
  /** Of sagas that the API of this process starts. */
  slots: SagaSlots | undefined;
};

/** Polls as soon as Temporal answers. */
export function startWorkerRole(options: WorkerRoleOptions): WorkerRole {
  const { pools, temporal, config, logger, failpoints, journal, slots } = options;
  if (config.STRIPE_API_KEY === '') throw new ConfigError('STRIPE_API_KEY is not set.');
  const stripe = createPaymentGateway({
    apiKey: () => config.STRIPE_API_KEY,
    timeoutMs: GATEWAY_TIMEOUT_MS,
    ...(config.PAYMENTS_URL !== undefined && { url: config.PAYMENTS_URL }),
  });
  const account = watchAccount({ db: pools.background, marker: stripe, logger });
  const gateway = guardAccount(protectGateway(countGateway(stripe), logger), account.ensureOurs);
  exposeWorker({ db: pools.background, breakerState: gateway.breakerState, accountState: account.state, logger });
  // Beside the worker, not in it: it goes on while Temporal is away, since it watches what Temporal should have done.
  const stopReconciler = startReconciler({
    db: pools.background,
    databaseUrl: () => config.DATABASE_URL,
    gateway,
    everyMs: config.RECONCILE_EVERY,
    actionsPerHourMax: config.RECONCILE_ACTIONS_PER_HOUR,
    scans: {
      refundCheckEveryMs: config.REFUND_CHECK_EVERY,
      refundYoungForMs: config.REFUND_YOUNG_FOR,
      refundRecheckEveryMs: config.REFUND_RECHECK_EVERY,
      refundFollowForMs: config.REFUND_FOLLOW_FOR,
    },
    wake: async (orderId) => {
      const client = temporal.client();
      if (client) await wakeSaga(client, orderSagaId(orderId));
    },
    logger,
  });
  const stopProber = startProber({
    db: pools.background,
    client: () => temporal.client(),
    gateway,
    everyMs: config.PROBE_EVERY,
    logger,
  });
  const stopOperations = startOperations({
    db: pools.background,
    keys: options.keys,
    client: () => temporal.client(),
    where: temporal.namespace,
    policy: options.policy,
    logger,
  });
  const stopVerifier = verify(options, gateway);
  const stopEraser = startEraser({
    ...{ db: pools.background, keys: options.keys, gateway, everyMs: config.ERASURE_EVERY, logger },
    listParked: async (orderIds) => {
      const client = temporal.client();
      return client ? listParked(client, orderIds) : new Set();
    },
    ...(journal && { note: noteIn(journal, pools.background) }),
    ...(failpoints && { pass: (moment, erasureId) => failpoints.at(moment, erasureId) }),
  });
  const steps = { db: pools.steps, gateway: slots ? pausingSlots(gateway, slots) : gateway };
  const activities = failpoints ? createCrashingActivities({ ...steps, failpoints }) : createActivities(steps);
  const polling = keepPolling(options, slots ? releasingSlots(activities, slots) : activities);
  return {
    readiness: createReadiness(options, polling.isPolling),
    breakerState: gateway.breakerState,
    stop: async () => {
      await Promise.all([
        stopReconciler(),
        stopProber(),
        stopOperations(),
        stopVerifier?.(),
        stopEraser(),
        polling.stop(),
      ]);
      await account.stop();
    },
  };
}

function verify({ pools, temporal, config, logger }: WorkerRoleOptions, gateway: GatewayLists) {
  if (config.VERIFY_EVERY === 0) return undefined;
  return startVerifier({
    ...VERIFIER_DEFAULTS,
    db: pools.background,
    gateway,
    client: () => temporal.client(),
    everyMs: config.VERIFY_EVERY,
    allEveryMs: config.VERIFY_ALL_EVERY,
    spanMs: config.VERIFY_SPAN,
    pageSize: config.VERIFY_PAGE,
    openAtMostMs: openAtMostMs({
      stepRetryBudgetMs: config.STEP_RETRY_BUDGET,
      sagaDeadlineMs: config.SAGA_DEADLINE,
      compensationAttentionAfterMs: config.COMPENSATION_ATTENTION_AFTER,
    }),
    logger,
  });
}

function keepPolling(
  { pools, temporal, payloads, config, logger }: WorkerRoleOptions,
  activities: ReturnType<typeof createActivities>,
): { isPolling: () => boolean; stop: () => Promise<void> } {
  const workflowBundle = config.WORKFLOW_BUNDLE ?? fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
  const { TEMPORAL_DEPLOYMENT_NAME: deploymentName, TEMPORAL_WORKER_BUILD_ID: buildId } = config;
  const version = buildId === '' ? undefined : { deploymentName, buildId };
  const stopping = new AbortController();
  let worker: Worker | undefined;
  const runOnce = async () => {
    const { connection, client } = await temporal.connected;
    // Without its key it could not even say that it has failed, and would end by that.
    await payloads?.ready;
    if (stopping.signal.aborted) return;
    const { namespace } = temporal;
    worker = await createWorker({
      connection,
      namespace,
      activities,
      workflowBundle,
      logger,
      failures: keepFailures(pools.background, logger),
      ...(version && { version }),
      ...(payloads && { payloadCodec: payloads.codec }),
    });
    if (stopping.signal.aborted) return;
    logger.info('the worker polls');
    if (version) guarded(logger, 'versioning', reportVersion)(client, namespace, version, logger);
    await worker.run();
  };
  const run = async () => {
    for (let failures = 1; !stopping.signal.aborted; failures++) {
      const startedAt = performance.now();
      try {
        await runOnce();
      } catch (err) {
        if (stopping.signal.aborted) return;
        if (performance.now() - startedAt > RESTART_AFTER_MS.max) failures = 1; // it did not fail at its start
        logger.error({ err, failures }, 'the worker has died; making another');
        const ms = backoffMs(failures, RESTART_AFTER_MS.base, RESTART_AFTER_MS.max);
        await pause(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  };
  const ended = run();
  return {
    isPolling: () => worker?.getState() === 'RUNNING',
    stop: async () => {
      stopping.abort();
      if (worker?.getState() === 'RUNNING') worker.shutdown();
      // Where Temporal, or the store of keys, has never answered there is nothing to wait for.
      if (temporal.client() !== undefined && payloads?.isReady() !== false) await ended;
    },
  };
}

/** Polls Temporal, which answers, and reaches Postgres. */
function createReadiness({ pools, temporal, payloads }: WorkerRoleOptions, isPolling: () => boolean): ReadinessCheck {
  const readDatabase = watchPostgres(pools.background);
  const readTemporal = createCachedRead<'up' | 'down'>({
    freshMs: TEMPORAL_LIMIT_MS,
    limitMs: TEMPORAL_LIMIT_MS,
    read: async () => {
      const client = temporal.client();
      if (!client) return 'down';
      await client.withDeadline(Date.now() + 5 * TEMPORAL_LIMIT_MS, () => client.workflowService.getSystemInfo({}));
      return 'up';
    },
    otherwise: () => 'down',
  });
  return async () => {
    const [database, answer] = await Promise.all([readDatabase(), readTemporal()]);
    const polls = isPolling();
    return {
      ready: polls && answer === 'up' && database === 'up',
      ...{ polls, temporal: answer, database },
      ...(payloads && { payloadKey: payloads.isReady() ? 'at hand' : 'missing' }),
    };
  };
}
