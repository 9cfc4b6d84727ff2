/** A rollout: a build gets a growing share of new sagas, and all of them at last, or none again as soon as its own fail. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { isAway } from '../../sagas/away.js';
import { OpsError } from '../exit.js';
import type { Output } from '../output.js';
import { takeCensus } from './census.js';
import { type Census, type GateLimits, judge, percentOf, type Verdict } from './gate.js';
import type { Deployment, Routing } from './routing.js';

export type RolloutPlan = GateLimits & {
  build: string;
  /** Percent of new sagas, one after the other. */
  steps: number[];
  /** Each step lasts at least so long. */
  holdMs: number;
  /** A step that has not proved itself by then is taken back. */
  provedWithinMs: number;
};
type StepReport = { percent: number; seconds: number; verdict: Verdict; candidate: Census; before: Census };
export type RolloutReport = {
  outcome: 'current' | 'taken back';
  /** Why it was taken back. */
  because: string | null;
  steps: StepReport[];
};

type Around = { client: Client; deployment: Deployment; out: Output; stopped: AbortSignal };

const LOOK_EVERY_MS = 1_000;
const SAY_EVERY_MS = 10_000;
/** Temporal may be what is away. */
const BACK_WITHIN_MS = 120_000;

/** @param from the routing as it is; what it has for current gets all sagas again if the build is taken back */
export async function roll(around: Around, plan: RolloutPlan, from: Routing): Promise<RolloutReport> {
  const { deployment, out } = around;
  const since = new Date();
  const steps: StepReport[] = [];
  let [isAsked, isRamping] = [false, false];
  try {
    for (const percent of plan.steps) {
      isAsked = true;
      await patiently(around, plan.provedWithinMs, () => deployment.ramp(plan.build, percent));
      isRamping = true;
      const report = await watchStep(around, plan, from.current, percent, since);
      steps.push(report);
      out.print(sentenceOfStep(plan.build, from.current, report));
      if (report.verdict === 'well') continue;
      return await back(around, steps, becauseOf(plan, report));
    }
    const isStopping = plan.steps.length === 0 && from.ramping !== null;
    if (isStopping) await patiently(around, plan.provedWithinMs, () => deployment.ramp('', 0));
    if (from.current !== plan.build)
      await patiently(around, plan.provedWithinMs, () => deployment.makeCurrent(plan.build));
    return { outcome: 'current', because: null, steps };
  } catch (err) {
    // What was refused has changed nothing; what was not answered may have.
    const isAsBefore = !isAsked || (!isRamping && err instanceof OpsError);
    if (isAsBefore) throw err;
    return await back(around, steps, around.stopped.aborted ? 'it was interrupted' : sentenceOf(err));
  }
}

async function watchStep(
  around: Around,
  plan: RolloutPlan,
  current: string | null,
  percent: number,
  since: Date,
): Promise<StepReport> {
  const { client, deployment, out } = around;
  const from = performance.now();
  let saidAt = from;
  for (;;) {
    await sleep(LOOK_EVERY_MS, undefined, { signal: around.stopped });
    const builds = [plan.build, ...(current === null ? [] : [current])];
    const [candidate = NONE, before = NONE] = await patiently(around, plan.provedWithinMs, () =>
      takeCensus(client, deployment.name, builds, since),
    );
    const passedMs = performance.now() - from;
    const verdict = judge(candidate, before, plan);
    const report = { percent, seconds: Math.round(passedMs / 1_000), verdict, candidate, before };
    if (verdict === 'failing') return report;
    if (verdict === 'well' && passedMs >= plan.holdMs) return report;
    if (passedMs > plan.holdMs + plan.provedWithinMs) return report;
    if (performance.now() - saidAt < SAY_EVERY_MS) continue;
    saidAt = performance.now();
    out.notice(`… ${sentenceOfStep(plan.build, current, report)}`);
  }
}

const NONE: Census = { begun: 0, ended: 0, failing: 0, why: {} };

function becauseOf({ build, failingPercentMax, sagasLeast }: RolloutPlan, { verdict, candidate }: StepReport): string {
  if (verdict === 'failing') return `its failures rose: ${whyOf(candidate)}`;
  if (candidate.failing === 0)
    return `only ${candidate.ended} of ${sagasLeast} sagas of ${build} came to their end in time`;
  return `more than ${failingPercentMax} % of its sagas still fail, as those of before do: ${whyOf(candidate)}`;
}

/** 0 % first: sagas that have not begun, and those whose first task fails, go to the build of before at once. */
async function back(around: Around, steps: StepReport[], because: string): Promise<RolloutReport> {
  const patient = { ...around, stopped: new AbortController().signal }; // who interrupts it wants it to be taken back
  await patiently(patient, BACK_WITHIN_MS, () => around.deployment.ramp('', 0));
  return { outcome: 'taken back', because, steps };
}

/** Once more while Temporal is away. */
async function patiently<T>({ out, stopped }: Around, limitMs: number, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    try {
      return await ask();
    } catch (err) {
      if (!isAway(err) || performance.now() > deadline) throw err;
      out.notice(`Temporal does not answer: ${sentenceOf(err)}. Trying again.`);
      await sleep(LOOK_EVERY_MS, undefined, { signal: stopped });
    }
  }
}

/** `10 %: 23 sagas began on next, 22 have ended, 0 fail; 211 on today, 209 have ended, 0 fail` */
function sentenceOfStep(build: string, current: string | null, { percent, candidate, before }: StepReport) {
  const of = (census: Census) =>
    `${census.ended} have ended, ${census.failing} fail${census.failing === 0 ? '' : ` (${percentOf(census).toFixed(0)} %: ${whyOf(census)})`}`;
  const others = current === null ? '' : `; ${before.begun} on ${current}, ${of(before)}`;
  return `${percent} %: ${candidate.begun} sagas began on ${build}, ${of(candidate)}${others}`;
}

const whyOf = ({ why }: Census): string =>
  Object.entries(why)
    .map(([name, count]) => `${name} (${count})`)
    .join(', ');
