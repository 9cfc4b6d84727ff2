/**
 * What each event says, as JSON Schemas: the contract with consumers, from which the types in `events.ts`, the files in
 * `schemas/` and docs/events.md are made. Objects are open: a consumer ignores what it does not know, so that a property
 * can be added. Anything else that would surprise a consumer, or make a stored event invalid, is a new version: see
 * docs/decisions/0007-event-contracts.md.
 */
import { CANCELLATION_REASONS } from './orders.js';

/** Of an order, about which each is: its `subject`. */
export const ORDER_EVENT_TYPES = [
  'order.created',
  'inventory.reserved',
  'inventory.reservation.failed',
  'inventory.released',
  'payment.charged',
  'payment.declined',
  'payment.refunded',
  'order.confirmed',
  'order.cancelled',
] as const;
/** Of a customer, whose reference is their `subject`. */
export const CUSTOMER_EVENT_TYPES = ['customer.erased'] as const;
export const EVENT_TYPES = [...ORDER_EVENT_TYPES, ...CUSTOMER_EVENT_TYPES] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export const ENVELOPE_SCHEMA_ID = 'urn:order-saga:schema:envelope:v1';

const DRAFT = 'http://json-schema.org/draft-07/schema#';
const EXAMPLE_CUSTOMER = '9b2f6f0e-3c1d-4d8a-9a57-0d6c1f1e7a3b';
const EXAMPLE_ORDER = '01a1fc4b-2622-70f0-8b6b-725674f9c1d0';

const orderId = { type: 'string', format: 'uuid', description: 'The order; the same as `subject`' } as const;
const sku = { type: 'string', minLength: 1, description: 'Stock keeping unit' } as const;
const quantity = { type: 'integer', minimum: 1, description: 'Pieces' } as const;
const money = (description: string) =>
  ({
    type: 'object',
    description,
    properties: {
      amount: { type: 'integer', minimum: 0, description: 'In the currency’s minor unit' },
      currency: { type: 'string', pattern: '^[A-Z]{3}$', description: 'ISO 4217' },
    },
    required: ['amount', 'currency'],
  }) as const;
const lines = (description: string) =>
  ({
    type: 'array',
    minItems: 1,
    description,
    items: { type: 'object', properties: { sku, quantity }, required: ['sku', 'quantity'] },
  }) as const;
const gatewayReference = {
  type: ['string', 'null'],
  description: 'The gateway’s id of the charge; null if the gateway was not asked (a total of 0, or settled by hand)',
} as const;
const skippedBy = {
  type: 'string',
  minLength: 1,
  description: 'An operator (opaque subject id) vouches that this was done by hand; absent otherwise',
} as const;

/** Event type → the schema of its `data`. `description` says when it is written; `examples` are valid. */
export const EVENT_SCHEMAS = {
  'order.created': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:order.created:v1',
    title: 'order.created',
    description: 'The order has been accepted and is durable; always the first event of an order.',
    type: 'object',
    properties: {
      orderId,
      customerId: {
        type: 'string',
        minLength: 1,
        description:
          'Opaque id of the customer, as the ordering program gave it; once the customer is erased, or with `EVENTS_CUSTOMER=reference`, the reference',
      },
      customerReference: {
        type: 'string',
        format: 'uuid',
        description: 'The customer’s random reference; absent from events older than references',
      },
      externalOrderId: {
        type: 'string',
        minLength: 1,
        description: 'The client’s own number of the order, if it gave one',
      },
      items: {
        type: 'array',
        minItems: 1,
        description: 'What was ordered, at the price of that moment',
        items: {
          type: 'object',
          properties: {
            sku,
            quantity,
            unitPrice: { type: 'integer', minimum: 0, description: 'Per piece, in the currency’s minor unit' },
          },
          required: ['sku', 'quantity', 'unitPrice'],
        },
      },
      total: money('Sum of the lines'),
    },
    required: ['orderId', 'customerId', 'items', 'total'],
    examples: [
      {
        orderId: EXAMPLE_ORDER,
        customerId: 'cus_42',
        customerReference: '5b0f3a52-6f0c-4c39-9a51-0f7a1c2de844',
        externalOrderId: 'web-1001',
        items: [{ sku: 'SKU-KEYBOARD', quantity: 2, unitPrice: 4900 }],
        total: { amount: 9800, currency: 'USD' },
      },
    ],
  },
  'inventory.reserved': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:inventory.reserved:v1',
    title: 'inventory.reserved',
    description: 'Every line of the order has been set aside.',
    type: 'object',
    properties: { orderId, items: lines('What is set aside, in SKU order'), skippedBy },
    required: ['orderId', 'items'],
    examples: [{ orderId: EXAMPLE_ORDER, items: [{ sku: 'SKU-KEYBOARD', quantity: 2 }] }],
  },
  'inventory.reservation.failed': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:inventory.reservation.failed:v1',
    title: 'inventory.reservation.failed',
    description: 'At least one line could not be set aside; nothing was, and the order is being cancelled.',
    type: 'object',
    properties: {
      orderId,
      reason: {
        type: 'string',
        enum: ['OUT_OF_STOCK', 'UNKNOWN_SKU'],
        description: 'UNKNOWN_SKU if any line has left the catalogue meanwhile',
      },
      skus: { type: 'array', minItems: 1, items: sku, description: 'The lines that failed, in SKU order' },
    },
    required: ['orderId', 'reason', 'skus'],
    examples: [{ orderId: EXAMPLE_ORDER, reason: 'OUT_OF_STOCK', skus: ['SKU-SOLD-OUT'] }],
  },
  'inventory.released': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:inventory.released:v1',
    title: 'inventory.released',
    description: 'What the order held has been given back; not written if it held nothing.',
    type: 'object',
    properties: { orderId, items: lines('What is given back, in SKU order'), skippedBy },
    required: ['orderId', 'items'],
    examples: [{ orderId: EXAMPLE_ORDER, items: [{ sku: 'SKU-KEYBOARD', quantity: 2 }] }],
  },
  'payment.charged': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:payment.charged:v1',
    title: 'payment.charged',
    description: 'The gateway has taken the money.',
    type: 'object',
    properties: { orderId, amount: money('What was taken'), gatewayReference, skippedBy },
    required: ['orderId', 'amount', 'gatewayReference'],
    examples: [{ orderId: EXAMPLE_ORDER, amount: { amount: 9800, currency: 'USD' }, gatewayReference: 'pi_3Nq' }],
  },
  'payment.declined': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:payment.declined:v1',
    title: 'payment.declined',
    description: 'The gateway’s final no; no money was taken, and the order is being cancelled.',
    type: 'object',
    properties: {
      orderId,
      amount: money('What was asked for'),
      declineCode: { type: 'string', minLength: 1, description: 'The gateway’s word for it' },
    },
    required: ['orderId', 'amount', 'declineCode'],
    examples: [
      { orderId: EXAMPLE_ORDER, amount: { amount: 9800, currency: 'USD' }, declineCode: 'insufficient_funds' },
    ],
  },
  'payment.refunded': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:payment.refunded:v1',
    title: 'payment.refunded',
    description:
      'The gateway holds nothing of the charge any more, and this is what it has given back for us; not written if it was nothing. With `skippedBy` an operator vouches for it instead. A refund that fails later writes no event: the order stays cancelled, and operators see to the money.',
    type: 'object',
    properties: {
      orderId,
      amount: money('What refunds of ours have given back; less than was taken if others had given back a part before'),
      gatewayReference,
      refundReference: {
        type: ['string', 'null'],
        description: 'The gateway’s id of the refund; null if the gateway was not asked',
      },
      refundStatus: {
        type: 'string',
        enum: ['pending', 'succeeded'],
        description: 'How the refund stood then: `pending` is accepted by the gateway, and followed until it is final',
      },
      skippedBy,
    },
    required: ['orderId', 'amount', 'gatewayReference', 'refundReference'],
    examples: [
      {
        orderId: EXAMPLE_ORDER,
        amount: { amount: 9800, currency: 'USD' },
        gatewayReference: 'pi_3Nq',
        refundReference: 're_3Nq',
        refundStatus: 'succeeded',
      },
    ],
  },
  'order.confirmed': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:order.confirmed:v1',
    title: 'order.confirmed',
    description: 'The order is confirmed, its stock sold. Final, unless it is cancelled afterwards.',
    type: 'object',
    properties: { orderId, total: money('What the order is worth'), skippedBy },
    required: ['orderId', 'total'],
    examples: [{ orderId: EXAMPLE_ORDER, total: { amount: 9800, currency: 'USD' } }],
  },
  'order.cancelled': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:order.cancelled:v1',
    title: 'order.cancelled',
    description: 'The order is cancelled, and everything done for it undone. The last event of an order.',
    type: 'object',
    properties: {
      orderId,
      reason: { type: 'string', enum: CANCELLATION_REASONS, description: 'Why it was cancelled' },
      skippedBy,
    },
    required: ['orderId', 'reason'],
    examples: [{ orderId: EXAMPLE_ORDER, reason: 'OUT_OF_STOCK' }],
  },
  'customer.erased': {
    $schema: DRAFT,
    $id: 'urn:order-saga:schema:customer.erased:v1',
    title: 'customer.erased',
    description:
      'A customer has been erased: nobody here knows any more who stood behind the reference. Erase what you keep of the customer, and of the customer’s orders what is about a person. It comes after the last event of each of those orders that was written before it; an order that is taken back later still tells of that.',
    type: 'object',
    properties: {
      customerReference: {
        type: 'string',
        format: 'uuid',
        description: 'The customer’s reference; the same as `subject`',
      },
      erasedAt: { type: 'string', format: 'date-time', description: 'When, by the database’s clock, in UTC' },
    },
    required: ['customerReference', 'erasedAt'],
    examples: [{ customerReference: EXAMPLE_CUSTOMER, erasedAt: '2026-11-21T09:00:00.123Z' }],
  },
} as const satisfies Record<EventType, Record<string, unknown>>;

/** The envelope of every event. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md */
export const ENVELOPE_SCHEMA = {
  $schema: DRAFT,
  $id: ENVELOPE_SCHEMA_ID,
  title: 'envelope',
  description: 'CloudEvents 1.0, structured mode.',
  type: 'object',
  properties: {
    specversion: { const: '1.0', description: 'Of CloudEvents' },
    id: {
      type: 'string',
      pattern: '^[0-9a-f-]{36}-[1-9][0-9]*$',
      description:
        '`<subject>-<sequence>`; the same for every delivery of the event, so duplicates are recognised by it',
    },
    source: { const: '/order-saga', description: 'Who says so' },
    type: {
      type: 'string',
      pattern: '^[a-z]+(\\.[a-z]+)+$',
      description: 'What happened. Types are added: take one that you do not know, and do nothing',
    },
    subject: {
      type: 'string',
      format: 'uuid',
      description: 'What the event is about: the order’s id; of `customer.…` the customer’s reference',
    },
    time: { type: 'string', format: 'date-time', description: 'When it was written, by the database’s clock, in UTC' },
    datacontenttype: { const: 'application/json', description: 'Of `data`' },
    dataschema: {
      type: 'string',
      pattern: '^urn:order-saga:schema:[a-z.]+:v[1-9][0-9]*$',
      description: '`$id` of the schema that `data` follows',
    },
    data: { type: 'object', description: 'By type, below' },
    sequence: { type: 'integer', minimum: 1, description: 'Counts 1, 2, 3 … per subject, without gaps' },
    correlationid: {
      type: 'string',
      minLength: 1,
      description:
        'X-Correlation-ID of the request that placed the order; of an erased customer’s orders their ids, of `customer.…` what was done',
    },
    traceparent: { type: 'string', description: 'W3C trace context of that request, if it had one' },
  },
  required: [
    'specversion',
    'id',
    'source',
    'type',
    'subject',
    'time',
    'datacontenttype',
    'dataschema',
    'data',
    'sequence',
    'correlationid',
  ],
} as const;
