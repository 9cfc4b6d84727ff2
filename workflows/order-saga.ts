/**
 * OrderSaga: one order's way from accepted to confirmed, or back. Temporal's history of it is the saga log.
 *
 *     + reserveInventory   − releaseInventory
 *     + chargePayment      − refundPayment
 *     + confirmOrder       (the pivot: after it the saga can only go forward)
 *
 * A step that timed out may have happened: when an order is unwound, every step's undo looks for what there is to undo.
 */
import { PLAN, type SagaPlan, type StepNamesOf } from '../contracts/plan.js';
import type { OrderSagaInput, OrderSagaResult } from '../contracts/saga.js';
import { unwind } from './compensation.js';
import { endSaga } from './ending.js';
import { carryForward } from './forward.js';
import { registerMessageHandlers } from './message-handlers.js';
import { openSaga, type Saga } from './saga.js';
import { stepRunner, Unwind } from './steps.js';

export const OrderSaga = sagaOf(PLAN, ['reserveInventory', 'chargePayment', 'confirmOrder']);

/**
 * The workflow that carries out a plan. An order that was accepted under an older version of it goes without the younger steps.
 * @param names the plan's steps in their order, or it does not compile
 */
export function sagaOf<const P extends SagaPlan>(plan: P, names: StepNamesOf<P>) {
  return async (input: OrderSagaInput): Promise<OrderSagaResult> => {
    const saga = openSaga(input, plan);
    registerMessageHandlers(saga);
    const result = await confirmOrUnwind(saga, names);
    if (result.status === 'CONFIRMED') await carryForward(saga, names);
    return endSaga(saga, result);
  };
}

async function confirmOrUnwind(saga: Saga, names: readonly string[]): Promise<OrderSagaResult> {
  const run = stepRunner(saga);
  try {
    for (const name of names) await run(name);
    return { status: 'CONFIRMED' };
  } catch (err) {
    if (!(err instanceof Unwind)) throw err;
    return unwind(saga, err);
  }
}
