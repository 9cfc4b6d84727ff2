/** The next release of the saga's code, changed in a way that no running saga could follow: it thinks before its first step. */
import { sleep } from '@temporalio/workflow';
import type { OrderSagaInput, OrderSagaResult } from '../../../contracts/saga.js';
import { OrderSaga as TodaysOrderSaga } from '../../../workflows/order-saga.js';

export async function OrderSaga(input: OrderSagaInput): Promise<OrderSagaResult> {
  await sleep('1ms');
  return TodaysOrderSaga(input);
}
