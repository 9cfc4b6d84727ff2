/**
 * Unwinding: the undos of whatever was begun, newest first, each until it succeeds. Nothing can cancel it, and no failure
 * of an undo is swallowed: after a while the saga is marked for an operator, and goes on trying.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import type { OrderSagaInput, OrderSagaResult, StepProgress, UndoName } from '../contracts/saga.js';
import type { LeftStep, SagaActivities } from '../contracts/steps.js';
import { clearAttention, markAttention } from './attention.js';
import { describeFailure, type Failure } from './failures.js';
import { inFlight, openFlight, triesOf } from './flight.js';
import { parksAtOnce } from './generation.js';
import { settleLeftSteps } from './left-steps.js';
import { beginStep, endStep, leaveStep, type Saga } from './saga.js';
import { BEGIN_ANEW_AFTER, firstTry, inputOf, noteError, ORDINARY_UNDO, type Unwind, whyAgain } from './steps.js';
import { markAfter, turnAround } from './turning.js';
import { forgetWord, wordFor } from './waking.js';

export function undoStack(saga: Saga) {
  const undos: UndoName[] = [];
  return {
    /** Registers the undo of the step that comes next. */
    before: (undo: UndoName): void => {
      undos.push(undo);
    },
    /** @returns how the order ended: confirmed after all, if that was committed first */
    unwind: (why: Unwind): Promise<OrderSagaResult> => CancellationScope.nonCancellable(() => unwind(saga, undos, why)),
  };
}

async function unwind(saga: Saga, undos: UndoName[], why: Unwind): Promise<OrderSagaResult> {
  let { reason } = why;
  if (!why.recorded) {
    const decided = await turnAround(saga, reason);
    if (decided.outcome === 'confirmed') return confirmedAfterAll(saga);
    reason = decided.reason;
  }
  return takeBack(saga, nothingCameAfter(why) ? [...undos].reverse() : EVERYTHING, reason);
}

/** Another try of the step had committed, and nobody has heard of it: there is nothing to undo, and nothing left to do. */
function confirmedAfterAll(saga: Saga): OrderSagaResult {
  for (const step of saga.steps) {
    if (step.status !== 'completed' && step.status !== 'skipped') endStep(step, 'completed');
  }
  if (saga.state === 'NEEDS_ATTENTION' && patched('confirmed-after-all'))
    clearAttention(saga, 'RUNNING', 'Confirmed after all.');
  return { status: 'CONFIRMED' };
}

/** Newest first. */
const EVERYTHING: readonly UndoName[] = ['refundPayment', 'releaseInventory'];

/**
 * This run may not be its order's first: one that was terminated or reset is begun anew, and the first may have gone
 * further. Only shelves that were found empty prove that nothing came after them; otherwise every undo runs, and finds
 * what there is to undo.
 */
const nothingCameAfter = ({ reason, recorded }: Unwind): boolean =>
  recorded && (reason === 'OUT_OF_STOCK' || reason === 'UNKNOWN_SKU');

/** Runs the undos as listed, then cancels the order. The order's row must say `reason` already. */
export async function takeBack(
  saga: Saga,
  undos: readonly UndoName[],
  reason: CancellationReason,
): Promise<OrderSagaResult> {
  return CancellationScope.nonCancellable(async () => {
    clearAttention(saga, 'COMPENSATING', `Unwinding: ${reason}.`);
    for (const undo of undos) await runUndo(saga, undo);
    saga.left = settleLeftSteps(saga);
    await runUndo(saga, 'cancelOrder');
    return { status: 'CANCELLED', reason };
  });
}

async function runUndo(saga: Saga, name: UndoName): Promise<void> {
  const step = beginStep(saga, name, 'undo');
  try {
    const { undone, skipped } = await undo(saga, name, step);
    endStep(step, skipped ? 'skipped' : undone === 'done' ? 'undone' : 'nothing-to-undo');
  } finally {
    leaveStep(saga, step);
  }
  if (saga.state === 'NEEDS_ATTENTION') clearAttention(saga, 'COMPENSATING', `**${name}** succeeded; going on.`);
}

type Undone = { undone: 'done' | 'nothing'; skipped: boolean };

async function undo(saga: Saga, name: UndoName, step: StepProgress): Promise<Undone> {
  const word = wordFor(saga, step);
  try {
    return { ...(await firstTry[name]({ orderId: saga.orderId, ...word, ...leftFor(saga, name) })), skipped: false };
  } catch (err) {
    const failure = describeFailure(err);
    step.lastError = failure.message;
    forgetWord(saga, word.word);
    if (parksAtOnce(saga, err)) await markAndWait(saga, name, step, failure);
    return undoOrdinarily(saga, name, step);
  }
}

const leftFor = ({ left }: Saga, name: UndoName): { left?: LeftStep[] } =>
  name === 'cancelOrder' && left.length > 0 ? { left } : {};

async function undoOrdinarily(saga: Saga, name: UndoName, step: StepProgress): Promise<Undone> {
  const attention = markAfter(saga, step);
  try {
    for (;;) {
      await beginAnewIfLong(saga);
      const retriesSeen = saga.retries;
      const input = { ...inputOf(saga, step), ...leftFor(saga, name) };
      const flight = openFlight(name);
      step.status = 'retrying';
      try {
        const ordinary = proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: whyAgain(saga, step) });
        const { undone, attempt } = await inFlight(saga, flight, () => ordinary[name](input));
        step.attempts += attempt;
        return { undone, skipped: input.skippedBy !== undefined };
      } catch (err) {
        step.attempts += triesOf(flight, err);
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

async function markAndWait(saga: Saga, name: UndoName, step: StepProgress, failure: Failure): Promise<void> {
  const retriesSeen = saga.retries;
  step.status = 'parked';
  markAttention(saga, step, failure);
  await condition(() => saga.retries > retriesSeen, BEGIN_ANEW_AFTER, { summary: `until ${name} is tried again` });
}

/**
 * An undo that fails for weeks, woken again and again, fills its history up to the server's limit, and the server would end the
 * saga. So it begins anew in time, as one that was ended from outside does: the door is shut, so that every step is turned
 * away and every undo finds what there is left to undo.
 */
async function beginAnewIfLong(saga: Saga): Promise<void> {
  // An operator's word for this undo is in this run's memory only: it is kept first.
  const isTime = () => workflowInfo().continueAsNewSuggested && saga.skipped === undefined;
  if (!isTime() || !patched('begin-anew')) return; // sagas of before it go on as they began
  // A decision that has come meanwhile is waited for by its handler: it is carried out first.
  await condition(() => (allHandlersFinished() && saga.notes === 0) || saga.skipped !== undefined);
  const { word, ...input } = { ...saga.input, word: saga.word };
  const next = word === undefined ? input : { ...input, word };
  if (isTime()) await continueAsNew<(input: OrderSagaInput) => Promise<OrderSagaResult>>(next);
}
