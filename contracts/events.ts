/** The events of an order: what each step writes into the outbox, and the CloudEvents 1.0 envelope in which it leaves. */
import { eventId } from './ids.js';
import type { CancellationReason, Money, OrderLine } from './orders.js';

type Lines = { sku: string; quantity: number }[];

/** Event type → its `data`. Amounts are integers in the minor unit; every identifier is opaque. */
export type EventData = {
  'order.created': { orderId: string; customerId: string; externalOrderId?: string; items: OrderLine[]; total: Money };
  'inventory.reserved': { orderId: string; items: Lines };
  'inventory.reservation.failed': { orderId: string; reason: 'OUT_OF_STOCK' | 'UNKNOWN_SKU'; skus: string[] };
  'inventory.released': { orderId: string; items: Lines };
  'payment.charged': { orderId: string; amount: Money; gatewayReference: string | null };
  'payment.declined': { orderId: string; amount: Money; declineCode: string };
  'payment.refunded': {
    orderId: string;
    amount: Money;
    gatewayReference: string | null;
    refundReference: string | null;
  };
  'order.confirmed': { orderId: string; total: Money };
  'order.cancelled': { orderId: string; reason: CancellationReason };
};
export type EventType = keyof EventData;

/** An outbox row, as stored. */
export type StoredEvent = {
  orderId: string;
  sequence: number;
  type: EventType;
  data: unknown;
  correlationId: string;
  traceparent: string | null;
  occurredAt: Date;
};

/** CloudEvents 1.0, structured mode. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md */
export type CloudEvent = {
  specversion: '1.0';
  id: string;
  source: string;
  type: EventType;
  subject: string;
  time: string;
  datacontenttype: 'application/json';
  dataschema: string;
  data: unknown;
  /** The order's own count: 1, 2, 3 … A number, which CloudEvents calls Integer. */
  sequence: number;
  correlationid: string;
  traceparent?: string;
};

export const EVENT_SOURCE = '/order-saga';

/** @returns the envelope; a pure function of the row, so that every destination and every retry says the same. */
export function toCloudEvent(event: StoredEvent): CloudEvent {
  return {
    specversion: '1.0',
    id: eventId(event.orderId, event.sequence),
    source: EVENT_SOURCE,
    type: event.type,
    subject: event.orderId,
    time: event.occurredAt.toISOString(),
    datacontenttype: 'application/json',
    dataschema: `urn:order-saga:schema:${event.type}:v1`,
    data: event.data,
    sequence: event.sequence,
    correlationid: event.correlationId,
    ...(event.traceparent === null ? {} : { traceparent: event.traceparent }),
  };
}
