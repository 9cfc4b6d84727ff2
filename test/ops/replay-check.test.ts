/** Whether a new workflow bundle is refused before it gets the sagas that it cannot go on with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { eventually } from '../support/conditions.js';
import { BY_PROBER, RETRY_SIGNAL, sagaStart } from '../../contracts/saga.js';
import { sentenceOf } from '../../ops/replay-check/command.js';
import { accept, stock } from '../support/database.js';
import { workflowBundle } from '../support/histories.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { outcomeOf } from '../support/outcome.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
let ops: Cli;
let folder: string;
let swapped: string;
let forgetful: string;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'A', 1_000);
  folder = await mkdtemp(join(tmpdir(), 'order-saga-bundles-'));
  [swapped, forgetful] = (await Promise.all(['swapped-steps', 'forgets-generations'].map(bundled))) as [string, string];
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await s.stop();
});

async function bundled(build: string): Promise<string> {
  const workflowsPath = join(process.cwd(), `test/workers/builds/${build}.ts`);
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  const path = join(folder, `${build}.js`);
  await writeFile(path, code);
  return path;
}

/** A saga as code of this generation began it (none: before there was a count), which is retrying, and was asked to by the prober. */
async function begunBy(generation: number | undefined) {
  const order = await accept(s.db, { A: 1 });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
  const { generation: _, ...before } = options.args[0];
  const input = generation === undefined ? before : { ...before, generation };
  const saga = await s.client.workflow.start(type, { ...options, args: [input] });
  const pending = async () => ((await saga.describe()).raw.pendingActivities ?? []).length > 0;
  await eventually('it retries', pending);
  await saga.signal(RETRY_SIGNAL, BY_PROBER);
  const isHeard = async () => {
    const events = (await saga.fetchHistory()).events ?? [];
    const signalled = events.findIndex((event) => event.workflowExecutionSignaledEventAttributes);
    return events.slice(signalled + 1).some((event) => event.workflowTaskCompletedEventAttributes);
  };
  await eventually('it has heard the prober', isHeard);
  return saga;
}

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

test('sagas of generations before are replayed as their own code went, and a bundle that takes them for others is refused', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const sagas = [await begunBy(undefined), await begunBy(1), await begunBy(2)];
  await s.heal();
  await Promise.all(sagas.map((saga) => outcomeOf(saga)));
  const counted = async () => (await s.client.workflow.count('ExecutionStatus="Completed"')).count === 5;
  await eventually('all are closed in visibility', counted);
  const passed = await check('--bundle', workflowBundle());
  expect(passed).toMatchObject({ code: 0, document: { open: 0, replayed: 5, incompatible: [] } });
  expect(passed.stderr).toContain('Replayed 5 sagas: 0 open, 5 closed. The bundle can go on with all of them.');
  const { code, document } = await check('--bundle', forgetful);
  const refused = document.incompatible.map(({ workflowId }: { workflowId: string }) => workflowId);
  const [ofNone, of1] = sagas.map(({ workflowId }) => workflowId);
  expect({ code, refused: refused.toSorted() }).toEqual({ code: 1, refused: [ofNone, of1].toSorted() });
}, 120_000);

test.each([
  [[0, 1, 0, 1, 0, 0], 'Replayed 1 saga: 0 open, 1 closed. The bundle can go on with all of them.'],
  [[3, 40, 3, 20, 2, 0], 'Replayed 23 sagas: 3 open, 20 of 40 closed. The bundle cannot go on with 2 of them.'],
  [
    [3, 0, 3, 0, 0, 1],
    'Replayed 3 sagas: 3 open, 0 closed. The bundle can go on with all others. 1 saga cannot be replayed on today’s bundle either.',
  ],
])(
  'says in words what was replayed: %j',
  ([open, closed, openReplayed, closedReplayed, fresh, failingToday], sentence) => {
    const split = (o = 0, c = 0) => ({ open: o, closed: c });
    const failed = { fresh: fresh ?? 0, failingToday: failingToday ?? 0 };
    expect(sentenceOf(split(open, closed), split(openReplayed, closedReplayed), failed)).toBe(sentence);
  },
);
