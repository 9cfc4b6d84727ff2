/**
 * CancelOrderSaga: takes a confirmed order back. The door is shut already: whoever started this saga has committed the
 * order's `unwinding_reason`. There is no step, so there is nothing to refuse, to park or to race with; only undos, with the
 * same rules as everywhere.
 *
 *     − refundPayment   − releaseInventory   − cancelOrder
 */
import type { CancelOrderSagaInput, OrderSagaResult } from '../contracts/saga.js';
import { takeBack } from './compensation.js';
import { endSaga } from './ending.js';
import { answerHandles } from './handles.js';
import { openSaga } from './saga.js';

export async function CancelOrderSaga(input: CancelOrderSagaInput): Promise<OrderSagaResult> {
  const saga = openSaga(input, []);
  answerHandles(saga);
  return endSaga(saga, await takeBack(saga, ['refundPayment', 'releaseInventory'], input.reason));
}
