/** Steps after the pivot: the order is confirmed, so there is no way but forward, whatever is asked of this saga. */
import { CancellationScope, proxyActivities } from '@temporalio/workflow';
import type { StepName } from '../contracts/plan.js';
import type { SagaActivities, StepResult } from '../contracts/steps.js';
import { clearAttention } from './attention.js';
import { afterPivot, leaveStep, type Saga } from './saga.js';
import { firstTry, ORDINARY_UNDO } from './steps.js';
import { Refused, tryUntilDone } from './until-done.js';

/** Carries out those of the named steps that come after the pivot. Does nothing if this saga has none. */
export async function carryForward(saga: Saga, names: readonly string[]): Promise<void> {
  const steps = afterPivot(saga).filter(({ name }) => names.includes(name));
  if (steps.length === 0) return;
  saga.direction.passPivot();
  await CancellationScope.nonCancellable(async () => {
    for (const { name } of steps) await runForward(saga, name as StepName);
    await finish(saga);
  });
}

async function runForward(saga: Saga, name: StepName): Promise<void> {
  const { progress } = saga;
  const step = progress.begin(name, 'step');
  try {
    const { skipped } = await tryUntilDone<StepResult>(saga, name, step);
    progress.end(step, skipped ? 'skipped' : 'completed');
  } catch (err) {
    if (!(err instanceof Refused)) throw err;
    progress.noteError(step, err.message);
    progress.end(step, 'refused');
  } finally {
    leaveStep(saga, step);
  }
  if (progress.state === 'NEEDS_ATTENTION') clearAttention(saga, 'RUNNING', `**${name}** succeeded; going on.`);
}

/** From now on the order's row says that nothing is left to be done for it. */
async function finish(saga: Saga): Promise<void> {
  const { orderId } = saga;
  try {
    await firstTry(saga).finishOrder({ orderId });
  } catch {
    // Not swallowed: the same call goes on as an ordinary activity, until it is answered.
    await proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: 'finishOrder' }).finishOrder({ orderId });
  }
}
