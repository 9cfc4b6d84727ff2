/** The workflows of the plan that ships. */
import { cancellationOf } from '../../../workflows/cancel-order-saga.js';
import { sagaOf } from '../../../workflows/order-saga.js';
import { SHIPPING_PLAN } from './plan.js';

export const OrderSaga = sagaOf(SHIPPING_PLAN, [
  'reserveInventory',
  'scheduleShipment',
  'chargePayment',
  'confirmOrder',
  'callCarrier',
]);
export const CancelOrderSaga = cancellationOf(SHIPPING_PLAN);
