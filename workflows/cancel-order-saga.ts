/**
 * CancelOrderSaga: takes a confirmed order back. The door is shut already: whoever started this saga has committed the
 * order's `unwinding_reason`. There is no step, so there is nothing to refuse, to park or to race with; only undos, with the
 * same rules as everywhere: those of all steps, newest first, then cancelOrder.
 */
import { PLAN, undosOf } from '../contracts/plan.js';
import type { CancelOrderSagaInput, OrderSagaResult } from '../contracts/saga.js';
import { takeBack } from './compensation.js';
import { endSaga } from './ending.js';
import { answerHandles } from './handles.js';
import { openSaga } from './saga.js';

export async function CancelOrderSaga(input: CancelOrderSagaInput): Promise<OrderSagaResult> {
  const saga = openSaga(input, PLAN);
  saga.steps.length = 0; // they are the first saga's; this one shows its undos
  answerHandles(saga);
  return endSaga(saga, await takeBack(saga, undosOf(saga.planned), input.reason));
}
