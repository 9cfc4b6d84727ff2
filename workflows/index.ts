/** The registry that Temporal reads: each export is a workflow type. */
export { OrderSaga } from './order-saga.js';
