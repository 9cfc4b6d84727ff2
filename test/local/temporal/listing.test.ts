/**
 * The list of workflows, as the server that `npm start` runs keeps it: it is behind by a second, each saga that is quick is
 * written into it once, and it knows the sagas' search attributes from the moment at which it is ready.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { scrape } from '../../../bench/scrape.js';
import { closedLoop } from '../../../bench/load.js';
import { freePort } from '../../../local/processes/ports.js';
import { type Running, start } from '../../../local/processes/program.js';
import { temporalProgram } from '../../../local/temporal/server.js';
import { eventually } from '../../support/conditions.js';
import { required } from '../../support/database.js';

/** What the runbook says, a second, and as much again as a busy machine takes to write hundreds of records. */
const LISTED_WITHIN_MS = 5_000;
const CLIENTS = 8;
const STEPS = 4;
const SETTINGS = ['history.visibilityProcessorMaxPollRPS', 'history.visibilityTaskBatchSize'];

let folder: string;
let temporal: Running;
let connection: Connection;
let client: Client;
let metricsPort: number;
let args: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'order-saga-listing-'));
  const [port, uiPort] = [await freePort(), await freePort()];
  metricsPort = await freePort();
  const file = join(folder, 'temporal', 'temporal.db');
  const cli = required('TEMPORAL_CLI_PATH');
  const program = temporalProgram({ cli, port, uiPort, file, logFile: join(folder, 'temporal.log') });
  args = program.args;
  temporal = await start({ ...program, args: [...args, '--metrics-port', `${metricsPort}`] });
  connection = await Connection.connect({ address: `127.0.0.1:${port}` });
  client = new Client({ connection });
}, 60_000);
afterAll(async () => {
  await connection?.close();
  await temporal?.stop(10_000);
  rmSync(folder, { recursive: true, force: true });
});

/** No worker takes them: they run until they are terminated. */
const startOne = (type: string) => (n: number) =>
  client.workflow.start(type, { workflowId: `${type}-${n}`, taskQueue: 'nobody', args: [] });
const listed = async (type: string, status: string) =>
  (await client.workflow.count(`WorkflowType="${type}" AND ExecutionStatus="${status}"`)).count;

test('once the server is ready, sagas begin with their search attributes, of which it keeps in memory which there are', async () => {
  const searchAttributes = {
    SagaState: ['RUNNING'],
    SagaStep: ['step'],
    SagaFailure: ['failure'],
    CustomerId: ['cus_1'],
  };
  const start = (n: number) =>
    client.workflow.start('Marked', { workflowId: `Marked-${n}`, taskQueue: 'nobody', args: [], searchAttributes });
  await start(0);
  const before = await counted('persistence_requests', 'GetCurrentClusterMetadata');
  for (let n = 1; n <= 20; n++) await start(n);
  expect((await counted('persistence_requests', 'GetCurrentClusterMetadata')) - before).toBeLessThan(10);
});

test('a saga is listed within seconds of its start, and as ended within seconds of its end, hundreds beside it or not', async () => {
  const count = 300;
  const sagas = await closedLoop({ clients: CLIENTS, count }, startOne('Long'));
  await eventually('all are listed', async () => (await listed('Long', 'Running')) === count, LISTED_WITHIN_MS);
  await closedLoop({ clients: CLIENTS, count }, async (n) => sagas[n]?.terminate());
  await eventually('as ended', async () => (await listed('Long', 'Terminated')) === count, LISTED_WITHIN_MS);
  expect(await listed('Long', 'Running')).toBe(0);
}, 60_000);

test('sagas that have ended before they are listed are written once, not twice', async () => {
  const count = 240;
  const startsBefore = await startsWritten();
  const from = performance.now();
  await closedLoop({ clients: CLIENTS, count }, async (n) => {
    const saga = await startOne('Short')(n);
    for (let step = 0; step < STEPS; step++) await saga.describe(); // as long as a saga takes
    await saga.terminate();
  });
  const seconds = (performance.now() - from) / 1_000;
  await eventually('all are listed', async () => (await listed('Short', 'Terminated')) === count, LISTED_WITHIN_MS);
  // Each second's writing meets one running saga per client.
  expect((await startsWritten()) - startsBefore).toBeLessThanOrEqual(CLIENTS * (seconds + 2));
}, 60_000);

const startsWritten = () => counted('visibility_persistence_requests', 'RecordWorkflowExecutionStarted');

async function counted(metric: string, operation: string): Promise<number> {
  const series = [...(await scrape(metricsPort))].filter(
    ([name]) => name.startsWith(`${metric}{`) && name.includes(`operation="${operation}"`),
  );
  if (series.length === 0) throw new Error(`the server does not count ${operation}`);
  return series.reduce((sum, [, value]) => sum + value, 0);
}

test('Compose sets its server likewise', () => {
  const yaml = readFileSync('deploy/temporal/dynamic-config.yaml', 'utf8');
  for (const setting of SETTINGS) {
    const value = new RegExp(`^${setting}:\\n {2}- value: (\\d+)$`, 'm').exec(yaml)?.[1];
    expect(args).toContain(`${setting}=${value}`);
  }
});
