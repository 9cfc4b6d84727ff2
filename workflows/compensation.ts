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
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import type { OrderSagaInput, OrderSagaResult, StepProgress, UndoName } from '../contracts/saga.js';
import type { SagaActivities } from '../contracts/steps.js';
import {
  beginStep,
  clearAttention,
  endStep,
  forgetWord,
  leaveStep,
  markAttention,
  type Saga,
  type Stuck,
} from './saga.js';
import {
  attemptsOf,
  decideUnwinding,
  describeFailure,
  type Failure,
  firstTry,
  inFlight,
  inputOf,
  needsOperator,
  ORDINARY_UNDO,
  type Unwind,
  whyAgain,
  wordFor,
} from './steps.js';

/** How often an undo that ended for good (a bug, an operator's mistake) is begun anew without being asked. */
const BEGIN_ANEW_AFTER = '60s';

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
    const decided = await decideUnwinding(saga, reason, {}, ({ message }) => {
      if (!patched('mark-undecided')) return undefined; // sagas of before it go on as they began
      return markAfter(saga, { name: 'beginUnwinding', attempts: 1, lastError: message });
    });
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
    return { ...(await firstTry[name]({ orderId: saga.orderId, ...word })), skipped: false };
  } catch (err) {
    const failure = describeFailure(err);
    step.lastError = failure.message;
    forgetWord(saga, word.word);
    if (needsOperator(err)) await markAndWait(saga, name, step, failure);
    return undoOrdinarily(saga, name, step);
  }
}

async function undoOrdinarily(saga: Saga, name: UndoName, step: StepProgress): Promise<Undone> {
  const attention = markAfter(saga, step);
  try {
    for (;;) {
      await beginAnewIfLong(saga);
      const retriesSeen = saga.retries;
      const input = inputOf(saga, step);
      step.status = 'retrying';
      try {
        const ordinary = proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: whyAgain(step) });
        const { undone, attempt } = await inFlight(saga, () => ordinary[name](input));
        step.attempts += attempt;
        return { undone, skipped: input.skippedBy !== undefined };
      } catch (err) {
        step.attempts += attemptsOf(err);
        if (!isCancellation(err)) forgetWord(saga, input.word);
        if (isCancellation(err) || saga.retries > retriesSeen) continue; // somebody wants it tried at once
        step.lastError = describeFailure(err).message;
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
  await condition(allHandlersFinished);
  const { word, ...input } = { ...saga.input, word: saga.word };
  const next = word === undefined ? input : { ...input, word };
  if (isTime()) await continueAsNew<(input: OrderSagaInput) => Promise<OrderSagaResult>>(next);
}

/** Marks the saga if something is still failing after the policy's time. Cancel the scope when it has succeeded. */
function markAfter(saga: Saga, step: Stuck): CancellationScope {
  const scope = new CancellationScope();
  scope
    .run(async () => {
      await sleep(saga.policy.compensationAttentionAfterMs, { summary: `until ${step.name} needs attention` });
      markAttention(saga, step, { type: 'UndoFailing', message: step.lastError ?? 'it keeps failing' });
    })
    .catch((err: unknown) => {
      if (!isCancellation(err)) throw err;
    });
  return scope;
}
