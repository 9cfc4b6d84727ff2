/** The question to the order's row whether it is unwound: whoever has won the door, before the first undo. */
import { CancellationScope, condition, isCancellation, patched, proxyActivities, sleep } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import type { SagaActivities, UnwindResult } from '../contracts/steps.js';
import { markAttention } from './attention.js';
import { describeFailure, type Failure } from './failures.js';
import { inFlight, openFlight, triesOf } from './flight.js';
import { isOfToday } from './generation.js';
import type { Saga, Stuck } from './saga.js';
import { WAIT_BEFORE_RETRY, firstTry, noteError, ORDINARY_UNDO } from './steps.js';

type Who = { actor?: string; detail?: string };

/** Asks the order's row who has won, and makes it "unwinding" if nobody has. Tried without limit. */
export async function decideUnwinding(saga: Saga, reason: CancellationReason, who: Who = {}): Promise<UnwindResult> {
  const input = { orderId: saga.orderId, reason, ...who };
  try {
    return await firstTry.beginUnwinding(input);
  } catch {
    // Not swallowed: the same call goes on as an ordinary activity, until it is answered.
    return await ordinary().beginUnwinding(input);
  }
}

/** The same as the saga's own next act: it is shown when it does not succeed, and `retry` has it tried at once. */
export async function turnAround(saga: Saga, reason: CancellationReason): Promise<UnwindResult> {
  const input = { orderId: saga.orderId, reason };
  const stuck: Stuck = { name: 'beginUnwinding', attempts: 1, lastError: null };
  try {
    return await firstTry.beginUnwinding(input);
  } catch (err) {
    noteError(stuck, err);
  }
  if (!patched('mark-undecided')) return ordinary().beginUnwinding(input); // sagas of before it go on as they began
  const attention = markAfter(saga, stuck);
  try {
    if (!isOfToday(saga) || !patched('retry-undecided')) return await ordinary().beginUnwinding(input);
    return await askOn(saga, stuck, input);
  } finally {
    attention.cancel();
  }
}

async function askOn(
  saga: Saga,
  stuck: Stuck,
  input: Parameters<SagaActivities['beginUnwinding']>[0],
): Promise<UnwindResult> {
  saga.turning = stuck;
  try {
    for (;;) {
      const retriesSeen = saga.retries;
      const flight = openFlight('beginUnwinding');
      try {
        return await inFlight(saga, flight, () => ordinary().beginUnwinding(input));
      } catch (err) {
        stuck.attempts += triesOf(flight, err);
        noteError(stuck, err);
        if (isCancellation(err) || saga.retries > retriesSeen) continue;
        markAttention(saga, stuck, describeFailure(err));
        await condition(() => saga.retries > retriesSeen, WAIT_BEFORE_RETRY);
      }
    }
  } finally {
    saga.turning = undefined;
  }
}

const ordinary = () => proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: 'beginUnwinding' });

/** Marks the saga if something is still failing after the policy's time. Cancel the scope when it has succeeded. */
export function markAfter(saga: Saga, step: Stuck): CancellationScope {
  const scope = new CancellationScope();
  scope
    .run(async () => {
      await sleep(saga.policy.compensationAttentionAfterMs, { summary: `until ${step.name} needs attention` });
      const failure: Failure = {
        type: saga.isPastPivot ? 'StepFailing' : 'UndoFailing',
        message: step.lastError ?? 'it keeps failing',
      };
      markAttention(saga, step, failure);
    })
    .catch((err: unknown) => {
      if (!isCancellation(err)) throw err;
    });
  return scope;
}
