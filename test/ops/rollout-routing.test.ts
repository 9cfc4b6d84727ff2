/** A rollout whose changes of the routing reach Temporal, and whose answers are lost. */
import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { roll, type RolloutPlan } from '../../ops/rollout/rollout.js';
import { deploymentOf } from '../../ops/rollout/routing.js';

/** Temporal's part: a change counts only with the token of the one before. */
function server() {
  const state = { current: 'today', ramping: '', percent: 0, token: 1, answersLost: 0 };
  const failed = (code: number) =>
    Object.assign(new Error(`code ${code}`), { code, details: `code ${code}`, metadata: {} });
  const changed = async (conflictToken: Uint8Array | undefined, change: Partial<typeof state>) => {
    if (conflictToken?.[0] !== state.token) throw failed(9);
    Object.assign(state, change, { token: state.token + 1 });
    if (state.answersLost-- > 0) throw failed(14);
    return { conflictToken: Uint8Array.of(state.token) };
  };
  type Change = { conflictToken?: Uint8Array; buildId?: string; percentage?: number };
  const workflowService = {
    describeWorkerDeployment: async () => ({
      conflictToken: Uint8Array.of(state.token),
      workerDeploymentInfo: {
        routingConfig: {
          currentDeploymentVersion: { buildId: state.current },
          rampingDeploymentVersion: state.ramping === '' ? null : { buildId: state.ramping },
          rampingVersionPercentage: state.percent,
        },
      },
    }),
    setWorkerDeploymentRampingVersion: ({ conflictToken, buildId = '', percentage = 0 }: Change) =>
      changed(conflictToken, { ramping: buildId, percent: percentage }),
    setWorkerDeploymentCurrentVersion: ({ conflictToken, buildId = '' }: Change) =>
      changed(conflictToken, { current: buildId, ramping: '', percent: 0 }),
  };
  return { state, client: { options: { namespace: 'default' }, workflowService } as unknown as Client };
}

const PLAN: RolloutPlan = {
  ...{ build: 'next', steps: [10, 100], holdMs: 0, provedWithinMs: 60_000 },
  ...{ sagasLeast: 1, failingPercentMax: 2 },
};
const out = { notice: () => undefined, print: () => undefined } as never;

async function rolledOut(plan: RolloutPlan, { isStopped = false, answersLost = 1 } = {}) {
  const { state, client } = server();
  const deployment = deploymentOf(client, 'order-saga', 'test');
  const from = await deployment.read();
  state.answersLost = answersLost;
  const stopped = isStopped ? AbortSignal.abort() : new AbortController().signal;
  const { outcome } = await roll({ client, deployment, out, stopped }, plan, from);
  return { outcome, current: state.current, ramping: state.ramping };
}

test('a build whose first share was given, and not answered, is not left with it by Ctrl-C', async () => {
  const takenBack = { outcome: 'taken back', current: 'today', ramping: '' };
  expect(await rolledOut(PLAN, { isStopped: true })).toEqual(takenBack);
});

test('a build that was made current without an answer is current, and said to be', async () => {
  expect(await rolledOut({ ...PLAN, steps: [] })).toEqual({ outcome: 'current', current: 'next', ramping: '' });
});

test('what somebody else has changed meanwhile is not changed by a second try', async () => {
  const { state, client } = server();
  const deployment = deploymentOf(client, 'order-saga', 'test');
  await deployment.read();
  state.answersLost = 1;
  await expect(deployment.ramp('next', 10)).rejects.toMatchObject({ code: 14 });
  Object.assign(state, { ramping: 'other', percent: 50, token: 7 });
  for (const change of [() => deployment.ramp('next', 10), () => deployment.ramp('', 0)])
    await expect(change()).rejects.toThrow('refuses to change the routing');
  expect(state).toMatchObject({ ramping: 'other', percent: 50 });
});
