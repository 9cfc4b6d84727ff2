/**
 * What has no way but forward: an undo, or a step after the pivot. It is tried until it succeeds, without a budget and without a
 * deadline; while it fails it is marked for an operator, and goes on.
 */
import {
  allHandlersFinished,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { StepName, UndoName } from '../contracts/plan.js';
import type { OrderSagaInput, OrderSagaResult } from '../contracts/saga.js';
import type { SagaActivities, StepInput } from '../contracts/steps.js';
import { markAttention } from './attention.js';
import { markAfter } from './begin-unwinding.js';
import { describeFailure, type Failure, lastErrorAfter, refusalOf } from './failures.js';
import { parksAtOnce } from './generation.js';
import { logFact } from './log.js';
import type { Saga } from './saga.js';
import type { StepLine } from './state/progress.js';
import { firstTry, inputOf, ORDINARY_UNDO, WAIT_BEFORE_RETRY, whyAgain } from './steps.js';

type Name = StepName | UndoName;
type Done<R> = { result: R; skipped: boolean };

/**
 * @param more what its activity is given besides
 * @throws Refused if a step finds that the order is being taken back; an undo is never refused
 */
export async function tryUntilDone<R>(
  saga: Saga,
  name: Name,
  step: StepLine,
  more: Partial<StepInput> = {},
): Promise<Done<R>> {
  const { orderId, retries, progress } = saga;
  const operatorRequest = retries.operatorRequestFor(step);
  try {
    const result = await firstTry(saga)[name]({ orderId, ...operatorRequest, ...more });
    return { result: result as R, skipped: false };
  } catch (err) {
    throwIfRefused(step, err);
    const failure = describeFailure(err);
    progress.noteError(step, failure.message);
    retries.forgetOperatorRequest(operatorRequest.word);
    if (parksAtOnce(saga.input, err)) await markAndWait(saga, name, step, failure);
    return tryOrdinarily(saga, name, step, more);
  }
}

/** The order's row has the last word: the order is being taken back, and with it what this step would do. */
export class Refused extends Error {
  override name = 'Refused';
}

function throwIfRefused({ kind }: StepLine, err: unknown): void {
  const refusal = kind === 'step' ? refusalOf(err) : undefined;
  if (refusal) throw new Refused(refusal.reason);
}

async function tryOrdinarily<R>(saga: Saga, name: Name, step: StepLine, more: Partial<StepInput>): Promise<Done<R>> {
  const { progress, pending, retries } = saga;
  const attention = markAfter(saga, step);
  try {
    for (;;) {
      await continueAsNewIfLong(saga);
      const isAsked = retries.watch();
      const input = { ...inputOf(saga, step), ...more };
      progress.setStatus(step, 'retrying');
      try {
        const ordinary = proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: whyAgain(saga, step) });
        const result = await pending.run(name, () => ordinary[name](input));
        progress.countTries(step, result.attempt);
        return { result: result as R, skipped: input.skippedBy !== undefined };
      } catch (err) {
        progress.countTries(step, pending.triesOf(err));
        throwIfRefused(step, err);
        progress.noteError(step, lastErrorAfter(step, err));
        if (!isCancellation(err)) retries.forgetOperatorRequest(input.word);
        if (isCancellation(err) || isAsked()) continue; // it is to be tried at once
        await markAndWait(saga, name, step, describeFailure(err));
      }
    }
  } finally {
    attention.cancel();
  }
}

async function markAndWait(saga: Saga, name: Name, step: StepLine, failure: Failure): Promise<void> {
  const isAsked = saga.retries.watch();
  saga.progress.setStatus(step, 'parked');
  logFact({ fact: 'parked', step: name, failure: failure.type, attempt: step.attempts });
  markAttention(saga, step, failure);
  await condition(isAsked, WAIT_BEFORE_RETRY, { summary: `until ${name} is tried again` });
}

/**
 * What fails for weeks, woken again and again, fills its history up to the server's limit, and the server would end the saga. So
 * it is continued as new in time, just as one that was ended from outside is restarted: the order is decided, so that every step
 * up to the pivot is turned away or done already, and every undo finds what there is left to undo.
 */
async function continueAsNewIfLong({ input, retries, decisions }: Saga): Promise<void> {
  // That an operator vouches for this step is in this run's memory only: it is recorded first.
  const isTime = () => workflowInfo().continueAsNewSuggested && decisions.skip === undefined;
  if (!isTime() || !patched('begin-anew')) return; // sagas of before it go on as they began
  // A decision that has come meanwhile is waited for by its handler: it is applied first.
  await condition(() => (allHandlersFinished() && decisions.areNoted) || decisions.skip !== undefined);
  const { word: _, ...rest } = input;
  const { operatorRequest: word } = retries;
  const next = word === undefined ? rest : { ...rest, word };
  if (isTime()) await continueAsNew<(input: OrderSagaInput) => Promise<OrderSagaResult>>(next);
}
