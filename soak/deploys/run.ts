/**
 * Deploys with sagas in flight: a thousand of them, some parked, while a release goes out step by step and is gone back from, others are
 * refused or taken back, and each process is restarted; customers order all the while. Then everything must hold.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeRun } from '../machine.js';
import { openOperationLog, type OperationLog } from '../operation-log.js';
import { quiesce } from '../quiesce.js';
import type { Held } from '../result.js';
import { rightInTheEnd } from '../run.js';
import { stockUp } from '../workload/clients.js';
import { type Installation, startInstallation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import {
  dismiss,
  drained,
  goBack,
  goOut,
  makeCurrent,
  NEXT,
  NOW,
  type Pace,
  refuseIncompatible,
  restartEach,
  takeBackBroken,
} from './acts.js';
import { assemble, type Crowd, hold } from './crowd.js';
import { type Histories, readHistories } from './histories.js';
import { type Act, createStage, type Stage } from './stage.js';
import { createTraffic } from './traffic.js';

export type DeploysOptions = {
  /** In flight all through it. */
  sagas: number;
  /** Orders a second beside. */
  perSecond: number;
  pace: Pace;
  /** Also the releases that are refused and taken back. */
  withBadReleases: boolean;
  folder: string;
  say: (text: string) => void;
  stops: (() => Promise<unknown>)[];
};
export type DeploysResult = ReturnType<typeof describeRun> & {
  sagas: number;
  crowd: { parked: number; retrying: number };
  takenBack: { seconds: number; begun: number } | null;
  acts: (Act & { begunOn: Record<string, number> })[];
  histories: Omit<Histories, 'begunOn'>;
  held: Held[];
  violations: string[];
};

/** None of them gives up, or comes to its deadline, before the deploys are over. */
const SETTINGS = {
  TEMPORAL_WORKER_BUILD_ID: NOW,
  STEP_RETRY_BUDGET: '2h',
  SAGA_DEADLINE: '4h',
  COMPENSATION_ATTENTION_AFTER: '2h',
};
const PARKED_SHARE = 0.8;
/** A busy machine answers "not now" at first. */
const STOCKED_LIMIT_MS = 120_000;
/** `ops retry` of so many a second at most. */
const RETRY_RATE = '50/s';

export async function runDeploys(options: DeploysOptions): Promise<DeploysResult> {
  const { folder, stops } = options;
  mkdirSync(folder, { recursive: true });
  const log = openOperationLog(join(folder, 'operations.jsonl'));
  const around = await startInstallation(folder, stops, SETTINGS);
  try {
    return await play(options, around, log);
  } finally {
    await around.stop();
  }
}

async function play(options: DeploysOptions, around: Installation, log: OperationLog): Promise<DeploysResult> {
  const { sagas, perSecond, pace, withBadReleases, stops, say } = options;
  const stage = createStage({ around, log, settings: SETTINGS, stops, say });
  const traffic = createTraffic(around.apis, log, perSecond);
  await until('there is stock', STOCKED_LIMIT_MS, async () => {
    await stockUp(around.direct.api, 10 * sagas);
    return true;
  });
  await makeCurrent(stage, NOW);
  const crowd = await stage.act('the crowd comes', () => assemble(around, traffic, sagas, PARKED_SHARE));
  traffic.flow();
  await stage.act('N alone', () => sleep(pace.quietMs));
  if (withBadReleases) await stage.act('an incompatible release is refused', () => refuseIncompatible(stage, pace));
  const takenBack = withBadReleases
    ? await stage.act('a release that fails is taken back', () => takeBackBroken(stage, pace))
    : null;
  const next = await stage.act('N+1 starts beside N', () => stage.engage(NEXT));
  await stage.act('N+1 goes out', () => goOut(stage, pace));
  const left = await stage.act('half of the crowd goes on', () => release(stage, crowd));
  await stage.act('back to N', async () => {
    await goBack(stage);
    await sleep(pace.quietMs);
  });
  await stage.act('N+1 ends its sagas, and goes', async () => {
    await drained(stage, NEXT);
    await dismiss(next);
  });
  await restartEach(stage, pace);
  await stage.act('the rest of the crowd goes on', async () => {
    await release(stage, left, 1);
    await sleep(pace.quietMs);
  });
  await traffic.stop();
  say('waiting for everything to end');
  const settle = async () => traffic.caller.unanswered().length;
  const { violations } = await quiesce(around, { settle }, log);
  const histories = await readHistories(around.direct.temporal);
  const { begunOn, ...told } = histories;
  return {
    ...describeRun(),
    sagas,
    crowd: { parked: crowd.parked.length, retrying: crowd.retrying.length },
    takenBack,
    acts: stage.acts().map((act) => ({ ...act, begunOn: begunOn(act.fromMs, act.toMs) })),
    histories: told,
    held: await rightInTheEnd(around, log),
    violations: [...violations, ...around.surprises, ...stage.violations, ...wrongOf(stage.acts(), told)],
  };
}

/** The gateway is back for them, and an operator has those tried again that wait for one. @returns who is left */
async function release(stage: Stage, { parked, retrying }: Crowd, share = 0.5): Promise<Crowd> {
  const some = <T>(all: T[]) => Math.ceil(all.length * share);
  const left = { parked: parked.slice(some(parked)), retrying: retrying.slice(some(retrying)) };
  await hold(stage.around, left);
  const ids = parked.slice(0, some(parked));
  // One that has gone on by itself meanwhile is no fault; one that has not is found in the end.
  await stage.ops('retry', ...ids, '--rate', RETRY_RATE, '--yes');
  return left;
}

function wrongOf(acts: Act[], { activityTimeouts, taskFailures, moved }: Omit<Histories, 'begunOn'>): string[] {
  const wrong = acts.flatMap(({ name, failed }) =>
    failed === 0 ? [] : [`${name}: ${failed} orders had no answer at their second try`],
  );
  for (const [kind, count] of Object.entries(activityTimeouts)) wrong.push(`${count} activity timeouts: ${kind}`);
  for (const [cause, count] of Object.entries(taskFailures)) wrong.push(`${count} tasks of sagas failed: ${cause}`);
  return [...wrong, ...moved.map((says) => `a saga ran on another build than it began on: ${says}`)];
}
