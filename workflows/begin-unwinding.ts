/** The question to the order's row whether the order is unwound, before the first undo: the guarded condition decides. */
import { CancellationScope, condition, isCancellation, patched, proxyActivities, sleep } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import type { SagaActivities, UnwindResult } from '../contracts/steps.js';
import { markAttention, markWhileTrying } from './attention.js';
import { describeFailure, lastErrorAfter } from './failures.js';
import { isOfToday } from './generation.js';
import type { Saga } from './saga.js';
import type { Stuck } from './state/progress.js';
import { firstTry, ORDINARY_UNDO, WAIT_BEFORE_RETRY } from './steps.js';

type Requester = { actor?: string; detail?: string };
type Question = { -readonly [K in keyof Stuck]: Stuck[K] };

/** Has the saga unwind at its next decision. An undo is left alone: it is part of the unwinding. */
export async function requestUnwinding(
  { direction, progress, pending }: Saga,
  reason: CancellationReason,
): Promise<void> {
  if (direction.isPastPivot) return; // the order's row has decided
  direction.requestUnwinding(reason);
  if (progress.current?.kind === 'step') await pending.interrupt();
}

/** Asks the order's row what it says, and makes it "unwinding" if it is undecided. Tried without limit. */
export async function decideUnwinding(
  saga: Saga,
  reason: CancellationReason,
  requester: Requester = {},
): Promise<UnwindResult> {
  const input = { orderId: saga.orderId, reason, ...requester };
  try {
    return await firstTry(saga).beginUnwinding(input);
  } catch {
    // Not swallowed: the same call goes on as an ordinary activity, until it is answered.
    return await ordinary().beginUnwinding(input);
  }
}

/** The same as the saga's own next act: it is shown when it does not succeed, and `retry` has it tried at once. */
export async function beginUnwinding(saga: Saga, reason: CancellationReason): Promise<UnwindResult> {
  const input = { orderId: saga.orderId, reason };
  const question: Question = { name: 'beginUnwinding', attempts: 1, lastError: null };
  try {
    return await firstTry(saga).beginUnwinding(input);
  } catch (err) {
    question.lastError = lastErrorAfter(question, err);
  }
  if (!patched('mark-undecided')) return ordinary().beginUnwinding(input); // sagas of before it go on as they began
  const attention = markAfter(saga, question);
  try {
    if (!isOfToday(saga.input) || !patched('retry-undecided')) return await ordinary().beginUnwinding(input);
    return await askOn(saga, question, input);
  } finally {
    attention.cancel();
  }
}

async function askOn(
  saga: Saga,
  question: Question,
  input: Parameters<SagaActivities['beginUnwinding']>[0],
): Promise<UnwindResult> {
  const { direction, pending, retries } = saga;
  direction.ask(question);
  try {
    for (;;) {
      const isAsked = retries.watch();
      try {
        return await pending.run('beginUnwinding', () => ordinary().beginUnwinding(input));
      } catch (err) {
        question.attempts += pending.triesOf(err);
        question.lastError = lastErrorAfter(question, err);
        if (isCancellation(err) || isAsked()) continue;
        markAttention(saga, question, describeFailure(err));
        await condition(isAsked, WAIT_BEFORE_RETRY);
      }
    }
  } finally {
    direction.endQuestion();
  }
}

const ordinary = () => proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: 'beginUnwinding' });

/** Marks the saga if something is still failing after the policy's time. Cancel the scope when it has succeeded. */
export function markAfter(saga: Saga, step: Stuck): CancellationScope {
  const since = Date.now();
  const scope = new CancellationScope();
  scope
    .run(async () => {
      await sleep(saga.policy.compensationAttentionAfterMs, { summary: `until ${step.name} needs attention` });
      const type = saga.direction.isPastPivot ? 'StepFailing' : 'UndoFailing';
      markWhileTrying(saga, step, { type, message: step.lastError ?? 'it keeps failing' }, since);
    })
    .catch((err: unknown) => {
      if (!isCancellation(err)) throw err;
    });
  return scope;
}
