/** The workflows of the plan that wraps gifts. */
import { STEPS } from '../../../contracts/plan.js';
import { cancellationOf } from '../../../workflows/cancel-order-saga.js';
import { sagaOf } from '../../../workflows/order-saga.js';
import { GIFT_PLAN } from './plan.js';

const [first, ...others] = STEPS;
export const OrderSaga = sagaOf(GIFT_PLAN, [first, 'wrapGift', ...others, 'callCourier']);
export const CancelOrderSaga = cancellationOf(GIFT_PLAN);
