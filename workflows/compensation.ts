/**
 * Unwinding: the undos of all steps that may have been begun, newest first, each until it succeeds. Nothing can cancel it, and no failure
 * of an undo is swallowed: after a while the saga is marked for an operator, and goes on trying.
 */
import { CancellationScope, patched } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import { LAST_UNDO, type UndoName, undosOf } from '../contracts/plan.js';
import type { OrderSagaResult } from '../contracts/saga.js';
import type { LeftStep, UndoResult } from '../contracts/steps.js';
import { clearAttention } from './attention.js';
import { beginUnwinding } from './begin-unwinding.js';
import { concludeLeftSteps } from './left-steps.js';
import { leaveStep, type Saga, upToPivot } from './saga.js';
import type { Unwind } from './steps.js';
import { tryUntilDone } from './until-done.js';

/** @returns how the order ended: confirmed after all, if that was committed first */
export const unwind = (saga: Saga, why: Unwind): Promise<OrderSagaResult> =>
  CancellationScope.nonCancellable(async () => {
    let { reason } = why;
    if (!why.recorded) {
      const decided = await beginUnwinding(saga, reason);
      if (decided.outcome === 'confirmed') return confirmedAfterAll(saga);
      reason = decided.reason;
    }
    return takeBack(saga, undosFor(saga, why), reason);
  });

/** Another try of the step had committed, and its answer was lost: there is nothing to undo, and nothing left to do. */
function confirmedAfterAll(saga: Saga): OrderSagaResult {
  const { progress } = saga;
  const done = upToPivot(saga).map(({ name }) => name);
  for (const step of progress.steps) {
    if (done.includes(step.name) && step.status !== 'completed' && step.status !== 'skipped')
      progress.end(step, 'completed');
  }
  if (progress.state === 'NEEDS_ATTENTION' && patched('confirmed-after-all'))
    clearAttention(saga, 'RUNNING', 'Confirmed after all.');
  return { status: 'CONFIRMED' };
}

/**
 * This run may not be its order's first: one that was terminated or reset is restarted, and the first may have gone further.
 * Only a step's own refusal proves that nothing came after that step, since a step that was done refuses no more; otherwise
 * every undo runs, and finds what there is to undo.
 */
function undosFor(saga: Saga, { reason, recorded }: Unwind): UndoName[] {
  const steps = upToPivot(saga);
  const refused = recorded ? steps.findIndex(({ refusals }) => refusals?.includes(reason)) : -1;
  return undosOf(refused === -1 ? steps : steps.slice(0, refused + 1));
}

/** Runs the undos as listed, then cancels the order. The order's row must say `reason` already. */
export async function takeBack(
  saga: Saga,
  undos: readonly UndoName[],
  reason: CancellationReason,
): Promise<OrderSagaResult> {
  return CancellationScope.nonCancellable(async () => {
    clearAttention(saga, 'COMPENSATING', `Unwinding: ${reason}.`);
    for (const undo of undos) await runUndo(saga, undo);
    const left = concludeLeftSteps(saga);
    await runUndo(saga, LAST_UNDO, left.length > 0 ? { left } : {});
    return { status: 'CANCELLED', reason };
  });
}

async function runUndo(saga: Saga, name: UndoName, more: { left?: LeftStep[] } = {}): Promise<void> {
  const { progress } = saga;
  const step = progress.begin(name, 'undo');
  try {
    const { result, skipped } = await tryUntilDone<UndoResult>(saga, name, step, more);
    progress.end(step, skipped ? 'skipped' : result.undone === 'done' ? 'undone' : 'nothing-to-undo');
  } finally {
    leaveStep(saga, step);
  }
  if (progress.state === 'NEEDS_ATTENTION') clearAttention(saga, 'COMPENSATING', `**${name}** succeeded; going on.`);
}
