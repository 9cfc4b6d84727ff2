/** A release of the saga's code that has exchanged two steps: no saga that has begun can go on under it. */
import { PLAN } from '../../../contracts/plan.js';
import { sagaOf } from '../../../workflows/order-saga.js';

export const OrderSaga = sagaOf(PLAN, ['chargePayment', 'reserveInventory', 'confirmOrder'] as never);
