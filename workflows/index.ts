/** The registry that Temporal reads: each export is a workflow type. */
export { CancelOrderSaga } from './cancel-order-saga.js';
export { OrderSaga } from './order-saga.js';
