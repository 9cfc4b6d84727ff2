/**
 * OrderSaga: one order's way from accepted to confirmed, or back. Temporal's history of it is the saga log.
 *
 *     + reserveInventory   − releaseInventory
 *     + chargePayment      − refundPayment
 *     + confirmOrder       (the pivot: after it the saga can only go forward)
 *
 * Each undo is registered before its step runs: a step that timed out may have happened.
 */
import { type OrderSagaInput, type OrderSagaResult, STEPS } from '../contracts/saga.js';
import { undoStack } from './compensation.js';
import { endSaga } from './ending.js';
import { answerHandles } from './handles.js';
import { openSaga } from './saga.js';
import { stepsOf, Unwind } from './steps.js';

export async function OrderSaga(input: OrderSagaInput): Promise<OrderSagaResult> {
  const saga = openSaga(input, STEPS);
  answerHandles(saga);
  const undo = undoStack(saga);
  const { reserveInventory, chargePayment, confirmOrder } = stepsOf(saga);
  let result: OrderSagaResult;
  try {
    undo.before('releaseInventory');
    await reserveInventory();

    undo.before('refundPayment');
    await chargePayment();

    await confirmOrder();
    result = { status: 'CONFIRMED' };
  } catch (err) {
    if (!(err instanceof Unwind)) throw err;
    result = await undo.unwind(err);
  }
  return endSaga(saga, result);
}
