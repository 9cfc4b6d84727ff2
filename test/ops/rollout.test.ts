/** A rollout of a build of the saga's code: it ends with all sagas on the build, or with none, by itself. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { SagaActivities } from '../../contracts/steps.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { workflowBundle } from '../support/histories.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

const deploymentName = 'order-saga';
/** As fast as they could, they would be a load of their own. */
const ORDER_EVERY_MS = 100;
const QUICK = ['--hold', '1s', '--sagas', '5', '--within', '60s', '--unchecked', '--yes', '--reason', 'a release'];

let s: SagaStack;
let ops: Cli;
let folder: string;
beforeAll(async () => {
  s = await startSagaStack({ version: { deploymentName, buildId: 'today' } });
  ops = cliOf(s);
  folder = await mkdtemp(join(tmpdir(), 'order-saga-rollout-'));
  await stock(s.db, 'A', 100_000);
  await served('today');
  await s.client.workflowService.setWorkerDeploymentCurrentVersion({
    namespace: 'default',
    deploymentName,
    buildId: 'today',
  });
}, 120_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await s.stop();
});

const buildFile = (name: string) => join(process.cwd(), `test/workers/builds/${name}.ts`);

async function served(buildId: string): Promise<void> {
  await eventually(`a worker of ${buildId} asks for work`, async () => {
    const { pollers } = await s.client.workflowService.describeTaskQueue({
      namespace: 'default',
      taskQueue: { name: 'order-saga' },
      taskQueueType: 1,
    });
    return (pollers ?? []).some(({ deploymentOptions }) => deploymentOptions?.buildId === buildId);
  });
}

type Placed = Awaited<ReturnType<SagaStack['place']>>[];

/** With customers ordering all the while. */
async function rollout(...args: string[]) {
  const placed: Placed = [];
  let isOver = false;
  const customers = (async (): Promise<void> => {
    while (!isOver) {
      placed.push(await s.place({ A: 1 }, { policy: PATIENT }));
      await pause(ORDER_EVERY_MS);
    }
  })();
  customers.catch(() => undefined); // told below
  try {
    return { ...(await ops.json('rollout', ...args)), placed };
  } finally {
    isOver = true;
    await customers;
  }
}

async function routing() {
  const { workerDeploymentInfo } = await s.client.workflowService.describeWorkerDeployment({
    namespace: 'default',
    deploymentName,
  });
  const { currentDeploymentVersion, rampingDeploymentVersion, rampingVersionPercentage } =
    workerDeploymentInfo?.routingConfig ?? {};
  return {
    current: currentDeploymentVersion?.buildId ?? null,
    ramping: rampingDeploymentVersion?.buildId ?? null,
    percent: rampingVersionPercentage ?? 0,
  };
}

async function buildOf(saga: Placed[number]['saga']) {
  const { raw } = await saga.describe();
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId;
}

const acts = () => s.db.$queryRaw<{ kind: string; subject: string; reason: string; after: object }[]>`
  SELECT kind, subject, reason, after FROM audit_acts WHERE route = 'ops rollout' ORDER BY id`;

const NONE_RAMPS = { ramping: null, percent: 0 };

test('a build that sagas cannot go on with gets none, and a dry run changes nothing', async () => {
  await s.deploy({ version: { deploymentName, buildId: 'swapped' }, workflowsPath: buildFile('swapped-steps') });
  await served('swapped');
  const { code } = await bundleWorkflowCode({
    workflowsPath: buildFile('swapped-steps'),
    logger: new DefaultLogger('ERROR'),
  });
  const bundle = join(folder, 'swapped.js');
  await writeFile(bundle, code);
  const before = await acts();
  const refused = await rollout('--build', 'swapped', '--bundle', bundle, '--yes', '--reason', 'a release');
  expect(refused).toMatchObject({
    code: 1,
    document: { error: { message: expect.stringContaining('swapped gets no sagas') } },
  });
  const dry = await rollout('--build', 'swapped', '--bundle', workflowBundle(), '--dry-run');
  expect(dry).toMatchObject({ code: 0, document: { outcome: 'dry run', replay: { incompatible: 0 } } });
  expect(dry.document.replay.replayed).toBeGreaterThan(0);
  expect(await ops.json('rollout', '--build', 'unheard-of', '--unchecked', '--reason', 'x')).toMatchObject({ code: 2 });
  expect(await routing()).toEqual({ current: 'today', ...NONE_RAMPS });
  expect(await acts()).toEqual(before);
}, 180_000);

test('a build whose steps fail is taken back by itself; sagas begin on the build of before again', async () => {
  const fails = async () => {
    throw new Error('planted: this build cannot charge');
  };
  await s.deploy({
    version: { deploymentName, buildId: 'fails' },
    workflowsPath: buildFile('next'),
    activities: (real): SagaActivities => ({ ...real, chargePayment: fails }),
  });
  await served('fails');
  const { code, document, placed } = await rollout('--build', 'fails', '--steps', '30,100', ...QUICK);
  expect({ code, outcome: document.outcome, because: document.because }).toEqual({
    code: 1,
    outcome: 'taken back',
    because: expect.stringContaining('its failures rose: chargePayment fails'),
  });
  expect(document.steps).toMatchObject([{ percent: 30, verdict: 'failing', before: { failing: 0 } }]);
  expect(await routing()).toEqual({ current: 'today', ...NONE_RAMPS });
  const [announced, concluded] = (await acts()).slice(-2);
  expect(announced).toMatchObject({ kind: 'act', subject: 'op-test', reason: 'a release', after: { build: 'fails' } });
  expect(concluded).toMatchObject({ kind: 'outcome', after: { outcome: 'taken back' } });
  const after = await Promise.all(Array.from({ length: 10 }, () => s.place({ A: 1 })));
  await Promise.all(after.map(({ result }) => result()));
  expect(await Promise.all(after.map(({ saga }) => buildOf(saga)))).toEqual(Array(10).fill('today'));
  expect(placed.length).toBeGreaterThan(0);
}, 180_000);

test('sagas that a build could not even begin are begun by the build of before, once it is taken back', async () => {
  await s.deploy({ version: { deploymentName, buildId: 'breaks' }, workflowsPath: buildFile('breaks') });
  await served('breaks');
  const { code, document, placed } = await rollout('--build', 'breaks', '--steps', '30,100', ...QUICK);
  expect({ code, because: document.because }).toEqual({
    code: 1,
    because: expect.stringContaining('its failures rose: the saga’s code fails'),
  });
  expect(await Promise.all(placed.map(({ result }) => result()))).toEqual(placed.map(() => ({ status: 'CONFIRMED' })));
}, 180_000);

test('a build that is well gets its share at each step, and is current in the end', async () => {
  await s.deploy({ version: { deploymentName, buildId: 'next' }, workflowsPath: buildFile('next') });
  await served('next');
  const { code, document, placed } = await rollout('--build', 'next', '--steps', '20,60,100', ...QUICK);
  expect({ code, because: document.because, outcome: document.outcome }).toEqual({
    code: 0,
    because: null,
    outcome: 'current',
  });
  expect(
    document.steps.map(({ percent, verdict }: { percent: number; verdict: string }) => [percent, verdict]),
  ).toEqual([20, 60, 100].map((percent) => [percent, 'well']));
  expect(await routing()).toEqual({ current: 'next', ...NONE_RAMPS });
  expect(await Promise.all(placed.map(({ result }) => result()))).toEqual(placed.map(() => ({ status: 'CONFIRMED' })));
  expect(new Set(await Promise.all(placed.map(({ saga }) => buildOf(saga))))).toEqual(new Set(['today', 'next']));
}, 180_000);
