/** What processes of the service need around them, all of it real, for tests that start, kill and cut off such processes. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { type Running, start } from '../../local/processes/program.js';
import { eventually } from './conditions.js';
import { createTestDatabase, type TestDatabase } from './database.js';
import { expectRight } from './invariants.js';
import { readCharges, readFacts, readSagas } from './ledgers.js';
import { type Receiver, startReceiver } from './receiver.js';
import { startSandbox, startTemporal } from './saga.js';
import { serviceProgram } from './service.js';

export type Surroundings = {
  temporal: TestWorkflowEnvironment;
  database: TestDatabase;
  sandbox: { url: string };
  receiver: Receiver;
  /** Settings by which a relay delivers to `receiver`, at this address of it. */
  webhook: (url?: string) => Record<string, string>;
  /**
   * Starts a process of the service with these settings, and ends it with everything else. `isReady` is given its log's path; `checkout`
   * has another build than this one's.
   */
  start: (
    variables: Record<string, string>,
    isReady: (log: string) => Promise<boolean>,
    checkout?: string,
  ) => Promise<Running>;
  /** All lines that all processes have logged, those of ended ones as well. */
  logged: () => Promise<Record<string, unknown>[]>;
  /** Waits until every saga has ended. @throws unless there are so many orders, and money, stock and events are right */
  expectRight: (orders: number) => Promise<void>;
  stop: () => Promise<void>;
};

export async function startSurroundings(): Promise<Surroundings> {
  const [temporal, database, sandbox, receiver, folder] = await Promise.all([
    startTemporal(),
    createTestDatabase(),
    startSandbox(),
    startReceiver(),
    mkdtemp(join(tmpdir(), 'order-saga-surroundings-')),
  ]);
  const running: Running[] = [];
  return {
    temporal,
    database,
    sandbox,
    receiver,
    webhook: (url = receiver.url) => ({
      WEBHOOK_URL: url,
      WEBHOOK_SECRET: receiver.secret,
      WEBHOOK_ALLOW_PRIVATE: 'true',
    }),
    start: async (variables, isReady, checkout) => {
      const log = join(folder, `${running.length}.log`);
      const common = { METRICS_PORT: '0', STRIPE_API_KEY: 'sk_test_surroundings' };
      const service = await start(serviceProgram({ ...common, ...variables }, log, () => isReady(log), checkout));
      running.push(service);
      return service;
    },
    logged: async () => {
      const files = await Promise.all(running.map((_, at) => readFile(join(folder, `${at}.log`), 'utf8')));
      return files.flatMap((text) => text.split('\n').flatMap(parsed));
    },
    expectRight: async (orders) => {
      const sagas = await eventually('all sagas have ended', async () => {
        const all = await readSagas(temporal.client);
        return all.every(({ status }) => status === 'COMPLETED') && all;
      });
      const facts = await readFacts((sql) => database.db.$queryRawUnsafe(sql));
      if (facts.orders.length !== orders) throw new Error(`there are ${facts.orders.length} orders, not ${orders}`);
      expectRight({ ...facts, sagas, charges: await readCharges(sandbox.url) });
    },
    stop: async () => {
      for (const service of running) await kill(service);
      await Promise.all([temporal.teardown(), database.drop(), sandbox.stop(), receiver.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** As a power cut would. */
export async function kill(service: Running): Promise<void> {
  service.kill();
  await service.exited;
}

/** Whether the API at this address says that it can do its work. */
export const isServing = async (api: string): Promise<boolean> =>
  (await fetch(`${api}/readyz`).catch(() => undefined))?.ok === true;

/** A customer's request for one piece. */
export const orderOne = (api: string, key: string, customerId: string, limitMs = 30_000): Promise<Response> =>
  fetch(`${api}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ customerId, items: [{ sku: 'A', quantity: 1 }], paymentMethod: 'pm_card_visa' }),
    signal: AbortSignal.timeout(limitMs),
  });

/** A line that is being written is not whole yet; what Node itself prints is not ours. */
function parsed(line: string): Record<string, unknown>[] {
  try {
    return [JSON.parse(line) as Record<string, unknown>];
  } catch {
    return [];
  }
}
