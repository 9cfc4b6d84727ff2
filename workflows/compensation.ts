/**
 * Unwinding: the undos of whatever was begun, newest first, each until it succeeds. Nothing can cancel it, and no failure
 * of an undo is swallowed: after a while the saga is marked for an operator, and goes on trying.
 */
import { CancellationScope, patched } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import { LAST_UNDO, type UndoName, undosOf } from '../contracts/plan.js';
import type { OrderSagaResult } from '../contracts/saga.js';
import type { LeftStep, UndoResult } from '../contracts/steps.js';
import { clearAttention } from './attention.js';
import { settleLeftSteps } from './left-steps.js';
import { beginStep, endStep, leaveStep, type Saga, upToPivot } from './saga.js';
import type { Unwind } from './steps.js';
import { turnAround } from './turning.js';
import { tryUntilDone } from './until-done.js';

/** @returns how the order ended: confirmed after all, if that was committed first */
export const unwind = (saga: Saga, why: Unwind): Promise<OrderSagaResult> =>
  CancellationScope.nonCancellable(async () => {
    let { reason } = why;
    if (!why.recorded) {
      const decided = await turnAround(saga, reason);
      if (decided.outcome === 'confirmed') return confirmedAfterAll(saga);
      reason = decided.reason;
    }
    return takeBack(saga, undosFor(saga, why), reason);
  });

/** Another try of the step had committed, and nobody has heard of it: there is nothing to undo, and nothing left to do. */
function confirmedAfterAll(saga: Saga): OrderSagaResult {
  const done = upToPivot(saga).map(({ name }) => name);
  for (const step of saga.steps) {
    if (done.includes(step.name) && step.status !== 'completed' && step.status !== 'skipped')
      endStep(step, 'completed');
  }
  if (saga.state === 'NEEDS_ATTENTION' && patched('confirmed-after-all'))
    clearAttention(saga, 'RUNNING', 'Confirmed after all.');
  return { status: 'CONFIRMED' };
}

/**
 * This run may not be its order's first: one that was terminated or reset is begun anew, and the first may have gone further.
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
    saga.left = settleLeftSteps(saga);
    await runUndo(saga, LAST_UNDO);
    return { status: 'CANCELLED', reason };
  });
}

async function runUndo(saga: Saga, name: UndoName): Promise<void> {
  const step = beginStep(saga, name, 'undo');
  try {
    const { result, skipped } = await tryUntilDone<UndoResult>(saga, name, step, leftFor(saga, name));
    endStep(step, skipped ? 'skipped' : result.undone === 'done' ? 'undone' : 'nothing-to-undo');
  } finally {
    leaveStep(saga, step);
  }
  if (saga.state === 'NEEDS_ATTENTION') clearAttention(saga, 'COMPENSATING', `**${name}** succeeded; going on.`);
}

const leftFor = ({ left }: Saga, name: UndoName): { left?: LeftStep[] } =>
  name === LAST_UNDO && left.length > 0 ? { left } : {};
