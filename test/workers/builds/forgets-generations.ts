/** A build that goes on with sagas of before as if they were of another generation: those of none as of today's, of 1 as of none. */
import type { OrderSagaInput } from '../../../contracts/saga.js';
import { OrderSaga as OfToday } from '../../../workflows/order-saga.js';

export const OrderSaga = ({ generation, ...input }: OrderSagaInput) =>
  OfToday(generation === undefined ? { ...input, generation: 2 } : generation === 1 ? input : { ...input, generation });
