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
import type { OrderSagaInput, OrderSagaResult, StepProgress } from '../contracts/saga.js';
import type { SagaActivities, StepInput } from '../contracts/steps.js';
import { markAttention } from './attention.js';
import { describeFailure, type Failure, refusalOf } from './failures.js';
import { inFlight, openFlight, triesOf } from './flight.js';
import { parksAtOnce } from './generation.js';
import type { Saga } from './saga.js';
import { WAIT_BEFORE_RETRY, firstTry, inputOf, noteError, ORDINARY_UNDO, whyAgain } from './steps.js';
import { markAfter } from './turning.js';
import { forgetWord, wordFor } from './waking.js';

type Name = StepName | UndoName;
type Done<R> = { result: R; skipped: boolean };

/**
 * @param more what its activity is given besides
 * @throws Refused if a step is told that the order is being taken back; an undo is never refused
 */
export async function tryUntilDone<R>(
  saga: Saga,
  name: Name,
  step: StepProgress,
  more: Partial<StepInput> = {},
): Promise<Done<R>> {
  const word = wordFor(saga, step);
  try {
    const result = await firstTry[name]({ orderId: saga.orderId, ...word, ...more });
    return { result: result as R, skipped: false };
  } catch (err) {
    throwIfRefused(step, err);
    const failure = describeFailure(err);
    step.lastError = failure.message;
    forgetWord(saga, word.word);
    if (parksAtOnce(saga, err)) await markAndWait(saga, name, step, failure);
    return tryOrdinarily(saga, name, step, more);
  }
}

/** The order's row has the last word: somebody takes the order back, and with it what this step would do. */
export class Refused extends Error {
  override name = 'Refused';
}

function throwIfRefused({ kind }: StepProgress, err: unknown): void {
  const refusal = kind === 'step' ? refusalOf(err) : undefined;
  if (refusal) throw new Refused(refusal.reason);
}

async function tryOrdinarily<R>(
  saga: Saga,
  name: Name,
  step: StepProgress,
  more: Partial<StepInput>,
): Promise<Done<R>> {
  const attention = markAfter(saga, step);
  try {
    for (;;) {
      await continueAsNewIfLong(saga);
      const retriesSeen = saga.retries;
      const input = { ...inputOf(saga, step), ...more };
      const flight = openFlight(name);
      step.status = 'retrying';
      try {
        const ordinary = proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: whyAgain(saga, step) });
        const result = await inFlight(saga, flight, () => ordinary[name](input));
        step.attempts += result.attempt;
        return { result: result as R, skipped: input.skippedBy !== undefined };
      } catch (err) {
        step.attempts += triesOf(flight, err);
        throwIfRefused(step, err);
        noteError(step, err);
        if (!isCancellation(err)) forgetWord(saga, input.word);
        if (isCancellation(err) || saga.retries > retriesSeen) continue; // somebody wants it tried at once
        await markAndWait(saga, name, step, describeFailure(err));
      }
    }
  } finally {
    attention.cancel();
  }
}

async function markAndWait(saga: Saga, name: Name, step: StepProgress, failure: Failure): Promise<void> {
  const retriesSeen = saga.retries;
  step.status = 'parked';
  markAttention(saga, step, failure);
  await condition(() => saga.retries > retriesSeen, WAIT_BEFORE_RETRY, { summary: `until ${name} is tried again` });
}

/**
 * What fails for weeks, woken again and again, fills its history up to the server's limit, and the server would end the saga. So
 * it begins anew in time, as one that was ended from outside does: the order is decided, so that every step up to the pivot is
 * turned away or done already, and every undo finds what there is left to undo.
 */
async function continueAsNewIfLong(saga: Saga): Promise<void> {
  // An operator's word for this step is in this run's memory only: it is kept first.
  const isTime = () => workflowInfo().continueAsNewSuggested && saga.skipped === undefined;
  if (!isTime() || !patched('begin-anew')) return; // sagas of before it go on as they began
  // A decision that has come meanwhile is waited for by its handler: it is carried out first.
  await condition(() => (allHandlersFinished() && saga.notes === 0) || saga.skipped !== undefined);
  const { word, ...input } = { ...saga.input, word: saga.word };
  const next = word === undefined ? input : { ...input, word };
  if (isTime()) await continueAsNew<(input: OrderSagaInput) => Promise<OrderSagaResult>>(next);
}
