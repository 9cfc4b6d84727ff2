/** Everything a saga needs, real: Temporal's dev server, Postgres, the payment sandbox over HTTP, a worker. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { MockActivityEnvironment, TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, type Worker } from '@temporalio/worker';
import { pino } from 'pino';
import type { StoredOrder } from '../../contracts/orders.js';
import {
  CUSTOMER_ID,
  type OrderSagaResult,
  SAGA_FAILURE,
  SAGA_STATE,
  SAGA_STEP,
  type SagaPolicy,
  sagaStart,
} from '../../contracts/saga.js';
import type { SagaActivities, StepInput } from '../../contracts/steps.js';
import type { Database } from '../../domain/database.js';
import type { PaymentGateway } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { createSandbox } from '../../sandbox/server.js';
import type { Payloads } from '../../sagas/payloads/opened.js';
import type { WorkerVersion } from '../../workers/versioning.js';
import { keepFailures } from '../../workers/kept-failures.js';
import { createActivities, createWorker } from '../../workers/worker.js';
import { accept, createTestDatabase, required } from './database.js';
import { assertReplayable, workflowBundle } from './histories.js';
import { endSagas, outcomeOf } from './outcome.js';
import { quietTemporal, SERVER_LOG, SERVER_SILENT } from './quiet.js';

/** Generous where a test waits for success, so that a slow machine fails nothing; tests of a limit shorten it. */
export const PATIENT: SagaPolicy = {
  stepRetryBudgetMs: 60_000,
  sagaDeadlineMs: 600_000,
  compensationAttentionAfterMs: 60_000,
};

export type SagaStack = {
  db: Database;
  databaseUrl: string;
  client: Client;
  env: TestWorkflowEnvironment;
  sandboxUrl: string;
  /** Runs an activity by itself, as a worker that wakes up late would. */
  runActivity(name: keyof SagaActivities, input: StepInput): Promise<unknown>;
  /** Accepts an order and starts its saga. */
  place(
    lines: Record<string, number>,
    options?: { paymentMethod?: string; policy?: Partial<SagaPolicy> },
  ): Promise<{ order: StoredOrder; saga: WorkflowHandle; result: () => Promise<OrderSagaResult> }>;
  /** What the gateway's own ledger holds of an order: captured − refunded, and how many charges took money. */
  money(orderId: string): Promise<{ net: number; charges: number }>;
  /** Lets the gateway misbehave until `heal`. */
  fault(fault: {
    route: 'charge' | 'refund' | 'lookup' | 'all';
    mode: string;
    count?: number | null;
    delayMs?: number;
  }): Promise<void>;
  heal(): Promise<void>;
  /** Deploys another build of the saga's code: a worker of its own beside the first one. */
  deploy(build: {
    version: WorkerVersion;
    workflowsPath: string;
    activities?: (real: SagaActivities) => SagaActivities;
  }): Promise<void>;
  /** Ends all workers. */
  dismiss(): Promise<void>;
  /** Another worker of the same code, with this codec rather than the first one's. */
  engage(payloads?: Payloads): Promise<void>;
  /** @throws Error if a saga cannot be replayed from its history */
  stop(): Promise<void>;
};

export type Tamper = {
  /** Dynamic configuration of the Temporal server, `key=value`. */
  temporalConfig?: string[];
  /** The build that the first worker says it is. */
  version?: WorkerVersion;
  activities?: (real: SagaActivities, db: Database) => SagaActivities;
  /** The saga's code; that which ships, unless it is given. */
  workflowsPath?: string;
  gateway?: (real: PaymentGateway, db: Database) => PaymentGateway;
  /** The codec of the client and of the workers. */
  payloads?: (db: Database) => Promise<Payloads>;
};

export async function startSagaStack(tamper: Tamper = {}): Promise<SagaStack> {
  const [env, database, sandbox, scratch] = await Promise.all([
    startTemporal(tamper.temporalConfig),
    createTestDatabase(),
    startSandbox(),
    mkdtemp(join(tmpdir(), 'order-saga-builds-')),
  ]);
  const { db } = database;
  const real = createPaymentGateway({ url: sandbox.url, apiKey: 'sk_test_saga', timeoutMs: 1_000 });
  const gateway = tamper.gateway?.(real, db) ?? real;
  const activities = createActivities({ db, gateway });
  const codec = await tamper.payloads?.(db);
  const client = codec ? new Client({ connection: env.connection, ...codec.clientOptions }) : env.client;
  const workers: { worker: Worker; running: Promise<void> }[] = [];
  const dismiss = async () => {
    const all = workers.splice(0);
    for (const { worker } of all) worker.shutdown();
    await Promise.all(all.map(({ running }) => running));
  };
  const run = async (
    codePath: string,
    version?: WorkerVersion,
    ofBuild?: (real: SagaActivities) => SagaActivities,
    payloads = codec,
  ) => {
    const worker = await createWorker({
      connection: env.nativeConnection,
      namespace: 'default',
      activities: ofBuild?.(activities) ?? tamper.activities?.(activities, db) ?? activities,
      workflowBundle: codePath,
      logger: pino({ level: 'silent' }),
      failures: keepFailures(db, pino({ level: 'silent' })),
      ...(version && { version }),
      ...(payloads && { payloadCodec: payloads.codec }),
    });
    workers.push({ worker, running: worker.run() });
  };
  const bundled = async (workflowsPath: string, name: string) => {
    const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
    const codePath = join(scratch, `${name}.js`);
    await writeFile(codePath, code);
    return codePath;
  };
  await run(tamper.workflowsPath ? await bundled(tamper.workflowsPath, 'first') : workflowBundle(), tamper.version);
  let isOtherCode = false;
  const json = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`${sandbox.url}${path}`, init);
    if (!answer.ok) throw new Error(`the sandbox answered ${answer.status} to ${path}: ${await answer.text()}`);
    return (await answer.json()) as unknown;
  };
  return {
    db,
    databaseUrl: database.url,
    client,
    env,
    sandboxUrl: sandbox.url,
    runActivity: (name, input) =>
      new MockActivityEnvironment().run(activities[name] as (input: StepInput) => Promise<unknown>, input),
    place: async (lines, { policy, ...options } = {}) => {
      const order = await accept(db, lines, options);
      const { type, options: start } = sagaStart({ ...order, kind: 'order' }, { ...PATIENT, ...policy });
      const saga = await client.workflow.start(type, start);
      const result = (): Promise<OrderSagaResult> => outcomeOf(saga, result);
      return { order, saga, result };
    },
    money: async (orderId) => {
      const { data } = (await json('/v1/payment_intents?limit=100', authorized)) as { data: Intent[] };
      const { data: refunds } = (await json('/v1/refunds?limit=100', authorized)) as { data: Refund[] };
      const intents = data.filter((intent) => intent.metadata['orderId'] === orderId && intent.amount_received > 0);
      const refunded = refunds.filter(
        (r) => r.status === 'succeeded' && intents.some((i) => i.id === r.payment_intent),
      );
      const sum = (amounts: number[]) => amounts.reduce((a, b) => a + b, 0);
      return {
        net: sum(intents.map((i) => i.amount_received)) - sum(refunded.map((r) => r.amount)),
        charges: intents.length,
      };
    },
    fault: async (fault) => {
      await json('/sandbox/faults', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(fault),
      });
    },
    heal: async () => {
      await fetch(`${sandbox.url}/sandbox/faults`, { method: 'DELETE' });
    },
    deploy: async ({ version, workflowsPath, activities: ofBuild }) => {
      isOtherCode = true;
      await run(await bundled(workflowsPath, version.buildId), version, ofBuild);
    },
    dismiss,
    engage: (payloads) => run(workflowBundle(), tamper.version, undefined, payloads),
    stop: async () => {
      await dismiss();
      try {
        if (tamper.workflowsPath === undefined && !isOtherCode && replays()) await assertReplayable(client);
      } finally {
        await rm(scratch, { recursive: true, force: true });
        await endSagas(client);
        await env.teardown();
        await Promise.all([database.drop(), sandbox.stop()]);
      }
    },
  };
}

/** A replay per saga is minutes over the whole suite: with FULL=1 all are replayed, else those of the workflows' own tests. */
const replays = (): boolean =>
  process.env['FULL'] === '1' || (expect.getState().testPath ?? '').includes('/test/workflows/');

type Intent = { id: string; amount_received: number; metadata: Record<string, string> };
type Refund = { amount: number; status: string; payment_intent: string };
const authorized = { headers: { authorization: 'Bearer sk_test_saga' } };

/**
 * @param config     dynamic configuration, `key=value`
 * @param namespaces besides `default`
 */
export function startTemporal(config: string[] = [], namespaces: string[] = []): Promise<TestWorkflowEnvironment> {
  quietTemporal();
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path: required('TEMPORAL_CLI_PATH') },
      searchAttributes: [SAGA_STATE, SAGA_STEP, SAGA_FAILURE, CUSTOMER_ID],
      log: SERVER_LOG,
      extraArgs: [
        ...SERVER_SILENT,
        ...config.flatMap((setting) => ['--dynamic-config-value', setting]),
        ...namespaces.flatMap((name) => ['--namespace', name]),
      ],
    },
  });
}

export async function startSandbox(): Promise<{ url: string; stop: () => Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-sandbox-'));
  const app = await createSandbox({ dataDir, logger: pino({ level: 'silent' }), searchLagMs: 50 });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    stop: async () => {
      await app.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
