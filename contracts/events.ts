/** The events of orders and customers: what each step writes into the outbox, and the CloudEvents 1.0 envelope in which it leaves. */
import type { XStatic } from 'typebox/schema';
import type { EVENT_SCHEMAS, EventType } from './event-schemas.js';
import { dataSchemaId, eventId } from './ids.js';

export type { EventType };

/** Event type → its `data`. Amounts are integers in the minor unit; every identifier is opaque. */
export type EventData = { [T in EventType]: XStatic<(typeof EVENT_SCHEMAS)[T]> };

/** An outbox row, as stored. */
export type StoredEvent = {
  /** What it is about: an order, or a customer by its reference (`customer.…`). */
  orderId: string;
  sequence: number;
  type: EventType;
  data: unknown;
  correlationId: string;
  traceparent: string | null;
  occurredAt: Date;
};

/** CloudEvents 1.0, structured mode: what `ENVELOPE_SCHEMA` describes. */
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
  /** The subject's own count: 1, 2, 3 … A number, which CloudEvents calls Integer. */
  sequence: number;
  correlationid: string;
  traceparent?: string;
};

export const EVENT_SOURCE = '/order-saga';

/** What `customerId` of an event is: the client's id, or the reference, which leaves nothing of the client's in consumers' hands. */
export const CUSTOMERS_TOLD = ['id', 'reference'] as const;
export type CustomersTold = (typeof CUSTOMERS_TOLD)[number];

/** @returns the envelope; made of the row, and of who stands behind its reference now: until an erasure always the same. */
export function toCloudEvent(event: StoredEvent, customers: CustomersTold = 'id'): CloudEvent {
  return {
    specversion: '1.0',
    id: eventId(event.orderId, event.sequence),
    source: EVENT_SOURCE,
    type: event.type,
    subject: event.orderId,
    time: event.occurredAt.toISOString(),
    datacontenttype: 'application/json',
    dataschema: dataSchemaId(event.type),
    data: customers === 'id' ? event.data : byReference(event.data as EventData['order.created']),
    sequence: event.sequence,
    correlationid: event.correlationId,
    ...(event.traceparent === null ? {} : { traceparent: event.traceparent }),
  };
}

/** Of an event older than references, or without a customer, it is as it is. */
const byReference = <D extends { customerReference?: string }>(data: D): D =>
  data.customerReference === undefined ? data : { ...data, customerId: data.customerReference };
