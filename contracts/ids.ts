/** Every name and identifier that two programs must spell alike. One function makes each id, one constant spells each name. */

export const TASK_QUEUE = 'order-saga';
export const ORDER_SAGA = 'OrderSaga';
export const CANCEL_ORDER_SAGA = 'CancelOrderSaga';

/** The header in which Temporal's own interceptors carry a trace, and so do ours: at a saga's start, and with each activity. */
export const TRACE_HEADER = '_tracer-data';
export type TraceHeader = { traceparent?: string };

/** The header in which a first try is told the correlation id of its order, for the log. */
export const CORRELATION_HEADER = 'correlation-id';
/** An ordinary activity is told it with its input instead: headers stand in the history, and no codec encrypts them. */
export type Correlated = { correlationId: string };

/** @returns the workflow id of an order's saga; Temporal admits one at a time, which is what makes starting it repeatable. */
export const orderSagaId = (orderId: string): string => `order-${orderId}`;

/** @returns the workflow id of the saga that takes a confirmed order back */
export const cancelOrderSagaId = (orderId: string): string => `${orderSagaId(orderId)}-cancel`;

/** @returns the order that a saga's workflow id names */
export const orderIdOf = (workflowId: string): string => workflowId.replace(/^order-/, '').replace(/-cancel$/, '');

/**
 * The key under which the payment gateway deduplicates. Made from what it protects, never from an attempt, a run or a
 * random: a worker that retries, restarts or wakes up late must present the same key.
 */
export const chargeKey = (orderId: string): string => `${orderId}/charge`;
/**
 * One per charge: should an order ever have two, both must go back.
 * @param no counts the keys that are spent, since a refund that has failed needs another one; kept with the payment
 */
export const refundKey = (orderId: string, chargeReference: string, no: number): string =>
  `${orderId}/refund/${chargeReference}${no === 0 ? '' : `/${no}`}`;

/** @returns the CloudEvents `id`: an event is its order's n-th, so no random is needed and duplicates are recognisable. */
export const eventId = (orderId: string, sequence: number): string => `${orderId}-${sequence}`;

/** @param event an id that `eventId` has made */
export function partsOfEventId(event: string): { orderId: string; sequence: number } {
  const end = event.lastIndexOf('-');
  return { orderId: event.slice(0, end), sequence: Number(event.slice(end + 1)) };
}

/** @returns the `$id` of the schema that an event's data follows */
export const dataSchemaId = (eventType: string): string => `urn:order-saga:schema:${eventType}:v1`;

/** The Postgres channel that says "there may be new events", of the order in the payload; a hint only, the outbox is the truth. */
export const OUTBOX_CHANNEL = 'order_saga_outbox';

/** Follows the order's id on it when the order has become CONFIRMED or CANCELLED. */
export const ORDER_FINAL = ' final';

/** What is said on it when relays have come or gone: the others look at their leases. */
export const LEASES_MOVED = 'leases';

/** The Postgres channel that asks for a reconciliation, of the order in the payload or of everything recent. */
export const RECONCILIATION_CHANNEL = 'order_saga_reconciliation';
