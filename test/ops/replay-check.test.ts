/** Whether a new workflow bundle is refused before it gets the sagas that it cannot go on with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { workflowBundle } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
let ops: Cli;
let folder: string;
let swapped: string;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'A', 1_000);
  folder = await mkdtemp(join(tmpdir(), 'order-saga-bundles-'));
  swapped = join(folder, 'swapped.js');
  const workflowsPath = join(process.cwd(), 'test/workers/builds/swapped-steps.ts');
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  await writeFile(swapped, code);
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await s.stop();
});

const check = (...args: string[]) => ops.json('replay-check', ...args);

test('nothing to replay is no proof: it ends with 2', async () => {
  const { code, document } = await check('--bundle', workflowBundle());
  expect({ code, message: document.error.message }).toEqual({
    code: 2,
    message: expect.stringContaining('No saga to replay'),
  });
}, 60_000);

test('a bundle that goes on with open and closed sagas is passed, one whose steps are exchanged is refused, by name', async () => {
  const done = await s.place({ A: 1 });
  await done.result();
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const open = await s.place({ A: 1 });
  const counted = async () => (await s.client.workflow.count('ExecutionStatus="Completed"')).count === 1;
  await eventually('both are in visibility', counted);
  await eventually('it retries', async () => ((await open.saga.describe()).raw.pendingActivities ?? []).length > 0);

  expect(await check('--bundle', workflowBundle())).toMatchObject({
    code: 0,
    document: { open: 1, closed: 1, replayed: 2, incompatible: [], failingToday: [] },
  });
  const refused = await check('--bundle', swapped, '--against', workflowBundle(), '--since', '1h');
  expect(refused).toMatchObject({ code: 1, document: { replayed: 2, failingToday: [] } });
  const { incompatible } = refused.document;
  expect(incompatible.map(({ workflowId }: { workflowId: string }) => workflowId).sort()).toEqual(
    [`order-${done.order.id}`, `order-${open.order.id}`].sort(),
  );
  expect(incompatible[0]).toMatchObject({
    event: { id: expect.any(Number), type: 'markerRecorded', of: 'reserveInventory' },
    command: { expected: 'reserveInventory', found: 'chargePayment' },
  });
  // What today's bundle cannot replay either is no fault of the candidate.
  expect(await check('--bundle', swapped, '--against', swapped)).toMatchObject({
    code: 0,
    document: { incompatible: [], failingToday: [expect.anything(), expect.anything()] },
  });
  await s.heal();
  await open.result();
}, 120_000);
