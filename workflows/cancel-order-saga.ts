/**
 * CancelOrderSaga: takes a confirmed order back. The order is unwinding already: the order's `unwinding_reason` was committed
 * before this saga was started. There is no step, so there is nothing to refuse, to park or to race with; only undos, with the
 * same rules as everywhere: those of all steps, newest first, then cancelOrder.
 */
import { PLAN, type SagaPlan, undosOf } from '../contracts/plan.js';
import type { CancelOrderSagaInput, OrderSagaResult } from '../contracts/saga.js';
import { takeBack } from './compensation.js';
import { endSaga } from './ending.js';
import { registerMessageHandlers } from './message-handlers.js';
import { openSaga } from './saga.js';

export const CancelOrderSaga = cancellationOf(PLAN);

/** The workflow that takes back what a plan has done, the steps after the pivot included. */
export function cancellationOf(plan: SagaPlan) {
  return async (input: CancelOrderSagaInput): Promise<OrderSagaResult> => {
    const saga = openSaga(input, plan, 'no-steps'); // they are the first saga's; this one shows its undos
    registerMessageHandlers(saga);
    return endSaga(saga, await takeBack(saga, undosOf(saga.planned), input.reason));
  };
}
