/** The deploys, act by act: a release that is refused, one that is taken back by itself, one that goes out and is gone back from, restarts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHECKOUT } from '../../local/checkout.js';
import { freePort } from '../../local/processes/ports.js';
import { partOf } from '../nemesis/processes.js';
import { SERVICES } from '../plan/faults.js';
import type { Part } from '../world/part.js';
import { until } from '../world/waiting.js';
import { countInFlight } from './crowd.js';
import type { Stage } from './stage.js';

export const NOW = 'N';
export const NEXT = 'N+1';
const BROKEN = 'N+1-broken';
const INCOMPATIBLE = 'N+1-incompatible';
const BUNDLE = join(CHECKOUT, 'dist', 'workflow-bundle.js');

export type Pace = {
  /** Of a rollout: `--steps`, `--hold`, `--sagas`. */
  steps: string;
  hold: string;
  sagas: string;
  /** How long customers order amid what takes no time itself. */
  quietMs: number;
};

const READY_LIMIT_MS = 120_000;
const DRAINED_LIMIT_MS = 180_000;
const SIGNED = ['--yes', '--reason', 'the deploys'];

const rollout = (stage: Stage, build: string, { steps, hold, sagas }: Pace, ...more: string[]) =>
  stage.ops(
    ...['rollout', '--build', build, '--steps', steps, '--hold', hold, '--sagas', sagas, '--within', '120s'],
    ...['--bundle', BUNDLE, ...more, ...SIGNED],
  );

function expectCode(
  { violations }: Stage,
  what: string,
  { code, said }: { code: number; said: string },
  wanted: number,
) {
  if (code !== wanted) violations.push(`${what}: it ended with ${code} instead of ${wanted}: ${said.slice(-600)}`);
}

export async function makeCurrent(stage: Stage, build: string): Promise<void> {
  await until(`${build} is known`, READY_LIMIT_MS, async () => {
    const told = await stage.ops('rollout', '--build', build, '--now', ...SIGNED);
    return told.code === 0;
  });
}

/** Its code has two steps exchanged: no saga that is there could go on on it. */
export async function refuseIncompatible(stage: Stage, pace: Pace): Promise<void> {
  const bundle = join(stage.around.folder, 'incompatible-bundle.js');
  const exchanged = readFileSync(BUNDLE, 'utf8')
    .replaceAll('reserveInventory', 'that of before')
    .replaceAll('chargePayment', 'reserveInventory')
    .replaceAll('that of before', 'chargePayment');
  writeFileSync(bundle, exchanged);
  const worker = await stage.engage(INCOMPATIBLE, { WORKFLOW_BUNDLE: bundle });
  const told = await rollout(stage, INCOMPATIBLE, pace, '--bundle', bundle);
  expectCode(stage, 'the incompatible release', told, 1);
  if (!`${told.document?.error?.message}`.includes('gets no sagas'))
    stage.violations.push(`the incompatible release was not refused for its code: ${told.said.slice(-600)}`);
  await dismiss(worker);
}

/** Its workers look for the gateway where there is none. */
export async function takeBackBroken(stage: Stage, pace: Pace): Promise<{ seconds: number; begun: number }> {
  const from = performance.now();
  const worker = await stage.engage(BROKEN, { PAYMENTS_URL: `http://127.0.0.1:${await freePort()}` });
  const told = await rollout(stage, BROKEN, pace);
  expectCode(stage, 'the broken release', told, 1);
  if (told.document?.outcome !== 'taken back') stage.violations.push('the broken release was not taken back');
  const seconds = Math.round((performance.now() - from) / 1_000);
  // Its own sagas wait on it; the mended release has the same name.
  await dismiss(worker);
  const mended = await stage.engage(BROKEN);
  await drained(stage, BROKEN);
  await dismiss(mended);
  return { seconds, begun: told.document?.steps?.at(-1)?.candidate.begun ?? 0 };
}

export async function goOut(stage: Stage, pace: Pace): Promise<unknown> {
  const told = await rollout(stage, NEXT, pace);
  expectCode(stage, 'the release', told, 0);
  return told.document?.steps;
}

export async function goBack(stage: Stage): Promise<void> {
  expectCode(stage, 'the way back', await stage.ops('rollout', '--build', NOW, '--now', ...SIGNED), 0);
}

export async function drained(stage: Stage, build: string): Promise<void> {
  await until(`${build} has no sagas any more`, DRAINED_LIMIT_MS, async () => {
    const { running } = await countInFlight(stage.around, build);
    return running === 0;
  });
}

/** In order, and for good. */
export async function dismiss(worker: Part): Promise<void> {
  await worker.stop();
  await worker.retire();
}

/** One process after the other, as a rolling restart does it. */
export async function restartEach(stage: Stage, { quietMs }: Pace): Promise<void> {
  for (const name of SERVICES)
    await stage.act(`restart of ${name}`, async () => {
      const part = partOf(stage.around, name);
      await part.stop();
      part.up();
      await until(`${name} is ready again`, READY_LIMIT_MS, () => part.isReady());
      await sleep(quietMs);
    });
}
