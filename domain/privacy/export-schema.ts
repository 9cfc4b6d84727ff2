/** What an export of a customer's data looks like; contracts/schemas/exports has it as a JSON Schema (`npm run privacy-doc`). */
import { type Static, type TSchema, Type } from 'typebox';
import { CANCELLATION_REASONS, ORDER_STATUSES } from '../../contracts/orders.js';

export const EXPORT_FORMAT = 'order-saga/customer-export/v1';

const oneOf = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: values });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const text = Type.String();
const moment = Type.String({ format: 'date-time' });
const amount = Type.Integer({ description: 'In the currency’s minor unit' });

const Payment = Type.Object(
  {
    status: text,
    amount,
    currency: text,
    gatewayReference: nullable(text),
    refundReference: nullable(text),
    declineCode: nullable(text),
    refundedAmount: nullable(amount),
    createdAt: moment,
    updatedAt: moment,
  },
  { description: 'As it is on record; the payment provider’s own records are asked for there, by these references' },
);

export const ExportedOrderSchema = Type.Object({
  id: text,
  status: oneOf(ORDER_STATUSES),
  items: Type.Array(Type.Object({ sku: text, quantity: Type.Integer(), unitPrice: amount })),
  total: Type.Object({ amount, currency: text }),
  paymentMethod: Type.String({ description: 'The payment provider’s id of it' }),
  externalOrderId: Type.Optional(text),
  correlationId: text,
  traceparent: nullable(text),
  createdAt: moment,
  updatedAt: moment,
  cancellation: Type.Optional(Type.Object({ reason: oneOf(CANCELLATION_REASONS), message: text })),
  reservations: Type.Array(Type.Object({ sku: text, quantity: Type.Integer(), state: text })),
  payment: nullable(Payment),
  chargeAttempts: Type.Array(Type.Object({ beganAt: moment, endedAt: nullable(moment) }), {
    description: 'That came to nothing known',
  }),
  furtherCharges: Type.Array(Type.Object({ gatewayReference: text, refundFailures: Type.Integer() }), {
    description: 'Given back with difficulty',
  }),
  findings: Type.Array(
    Type.Object({ kind: text, gatewayReference: text, amount, currency: text, action: text, at: moment }),
    { description: 'Where the payment provider’s ledger and ours differed' },
  ),
  events: Type.Array(Type.Object({ sequence: Type.Integer(), type: text, time: moment, data: Type.Unknown() }), {
    description: 'As they were sent to `recipients`; they leave before the order does',
  }),
  steps: Type.Array(
    Type.Object({
      step: text,
      outcome: text,
      at: moment,
      by: nullable(oneOf(['customer', 'operator'] as const)),
      detail: nullable(text),
    }),
    { description: 'What was done with the order; `by` null = by the service itself' },
  ),
  undelivered: Type.Array(Type.Object({ recipient: text, type: text, state: text, since: moment })),
  requestKeys: Type.Array(Type.Object({ route: text, key: text, expiresAt: moment }), {
    description: 'Idempotency-Keys that are remembered',
  }),
});
export type ExportedOrder = Static<typeof ExportedOrderSchema>;

/** The members before `orders`. */
export const ExportHeadSchema = Type.Object({
  format: Type.Literal(EXPORT_FORMAT),
  customerId: text,
  exportedAt: moment,
  recipients: Type.Array(Type.Object({ recipient: text, receives: text }), {
    description: 'To whom data of the customer has been disclosed (GDPR article 15(1)(c))',
  }),
  retention: Type.Array(Type.Object({ what: text, kept: text }), { description: 'How long what is kept (15(1)(d))' }),
  rights: Type.Array(text, { description: '15(1)(e) and (f)' }),
});
export type ExportHead = Static<typeof ExportHeadSchema>;

export const CustomerExportSchema = Type.Object(
  {
    ...ExportHeadSchema.properties,
    orders: Type.Array(ExportedOrderSchema, { description: 'Newest first' }),
    count: Type.Integer({ description: 'Of the orders above' }),
    complete: Type.Literal(true, {
      description: 'The last member: a document without it was cut, and is asked for again',
    }),
  },
  { $id: 'CustomerExport', description: 'All that is kept of a customer' },
);
