/**
 * A worker fleet: worker processes as they are deployed, in a world of their own, to be killed, frozen and continued at the crash
 * points of their steps (workers/crash-points). Each Temporal namespace has two, one to fail and one to take over, so that what
 * fails in one namespace delays no other. A worker that dies is replaced, as a supervisor would.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@temporalio/client';
import type { Database } from '../../domain/database.js';
import { type Running, run, untilReady } from '../../local/processes/program.js';
import type { Action } from '../../runtime/failpoints.js';
import { eventually } from './conditions.js';
import { createTestDatabase } from './database.js';
import { startSandbox, startTemporal } from './saga.js';
import { serviceProgram } from './service.js';

export type WorkerFleet = {
  db: Database;
  databaseUrl: string;
  sandboxUrl: string;
  /** One per namespace, to start sagas in it. */
  clients: Client[];
  /** Has the first worker that comes to this moment of the order do that. */
  plan(orderId: string, moment: string, action: Action): void;
  /** @returns the process that has carried out the plan */
  met(orderId: string, moment: string): Promise<number>;
  /** Continues a frozen process. @throws if it has not slept until now */
  wake(pid: number): Promise<void>;
  /** Resolves when the step that met the plan has come to its end in that process. */
  over(orderId: string, moment: string): Promise<void>;
  stop(): Promise<void>;
};

/**
 * A frozen process keeps its connection, and the server would hand it tasks for as long as its polls last; pinged every
 * second, it is found out.
 */
const FIND_THE_FROZEN = ['frontend.keepAliveTime="1s"', 'frontend.keepAliveTimeout="1s"'];

/** A plan is met at once, unless its order was in a process that another plan has frozen. */
const MEET_LIMIT_MS = 60_000;

const WORKERS_PER_NAMESPACE = 2;
const KILL_LIMIT_MS = 5_000;

/** @param more of what each worker is told; what is said here of it wins */
export async function startFleet(namespaceCount: number, more: Record<string, string> = {}): Promise<WorkerFleet> {
  const namespaces = Array.from({ length: namespaceCount }, (_, i) => `namespace-${i}`);
  const [env, database, sandbox, folder] = await Promise.all([
    startTemporal(FIND_THE_FROZEN, namespaces),
    createTestDatabase(),
    startSandbox(),
    mkdtemp(join(tmpdir(), 'order-saga-failpoints-')),
  ]);
  const variables = {
    ROLE: 'worker',
    DATABASE_URL: database.url,
    DATABASE_POOL: '4',
    TEMPORAL_ADDRESS: env.address,
    PAYMENTS_URL: sandbox.url,
    STRIPE_API_KEY: 'sk_test_fleet',
    // One after the other, but each process asks whether it is its turn.
    RECONCILE_EVERY: '5s',
    FAILPOINTS: folder,
    ...more,
  };
  const workers = new Set<Running>();
  let started = 0;
  let stopping = false;
  const startWorker = async (namespace: string): Promise<void> => {
    const log = join(folder, `worker-${started++}.log`);
    const polls = async () => existsSync(log) && readFileSync(log, 'utf8').includes('the worker polls');
    const program = serviceProgram({ ...variables, TEMPORAL_NAMESPACE: namespace }, log, polls);
    const worker = run(program);
    workers.add(worker);
    void worker.exited.then(() => {
      workers.delete(worker);
      if (!stopping) startWorker(namespace).catch(() => undefined); // its own end has started a successor
    });
    await untilReady(program, worker);
  };
  await Promise.all(
    namespaces.flatMap((namespace) => Array.from({ length: WORKERS_PER_NAMESPACE }, () => startWorker(namespace))),
  );
  const pathOf = (orderId: string, moment: string) => join(folder, `${orderId}.${moment}`);
  return {
    db: database.db,
    databaseUrl: database.url,
    sandboxUrl: sandbox.url,
    clients: namespaces.map((namespace) => new Client({ connection: env.connection, namespace })),
    plan: (orderId, moment, action) => writeFileSync(pathOf(orderId, moment), action),
    met: (orderId, moment) =>
      eventually(`a worker comes to ${moment}`, () => readMet(pathOf(orderId, moment)), MEET_LIMIT_MS),
    wake: async (pid) => {
      if (!(await isFrozen(pid))) throw new Error(`process ${pid} has not slept until now`);
      process.kill(pid, 'SIGCONT');
    },
    over: async (orderId, moment) => {
      await eventually(`${moment} is over`, () => existsSync(`${pathOf(orderId, moment)}.over`));
    },
    stop: async () => {
      stopping = true;
      await Promise.all([...workers].map((worker) => worker.stop(KILL_LIMIT_MS)));
      await env.teardown();
      await Promise.all([database.drop(), sandbox.stop(), rm(folder, { recursive: true, force: true })]);
    },
  };
}

function readMet(plan: string): number | undefined {
  const path = [`${plan}.hit`, `${plan}.over`].find((candidate) => existsSync(candidate));
  return path === undefined ? undefined : Number(readFileSync(path, 'utf8').split(' ')[1]) || undefined;
}

/** Whether the kernel says that it is stopped, rather than that we have asked it to. */
export const isFrozen = async (pid: number): Promise<boolean> => (await stateOf(pid)).startsWith('T');

async function stateOf(pid: number): Promise<string> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=', '-p', `${pid}`]);
  return stdout.trim();
}
