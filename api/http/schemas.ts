/** Schemas that more than one route uses; each route's own schemas stand beside it. */
import { type Static, Type } from 'typebox';
import {
  CANCELLATION_REASONS,
  LINE_QUANTITY_MAX,
  ORDER_LINES_MAX,
  ORDER_STATUSES,
  ORDER_TOTAL_MAX,
} from '../../contracts/orders.js';
import { REASON_LENGTH_MAX } from '../../contracts/saga.js';
import { TEXT } from '../../contracts/texts.js';

export const oneOf = <const T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: values, description });

/** Opaque ids of others: no '@', so that an e-mail address does not become an id that ends up in lists and logs. */
export const CustomerId = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:|-]{0,127}$',
  description: 'Opaque id of the customer; never a name or an e-mail address',
});
export const SKU = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const SkuName = Type.String({ pattern: SKU.source, description: 'Stock keeping unit' });
export const ExternalOrderId = Type.String({
  pattern: '^[\\x21-\\x7e]{1,128}$',
  description:
    'The caller’s own number of the order, unique among the customer’s orders that are not CANCELLED; never an e-mail address: it ends up in lists and events',
});
/** A person's sentence. */
export const FreeText = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern: TEXT.source,
  description: 'Shown to whoever may read the order',
});
/** Keyword of a text that is kept for ever: what looks like a person's data in it is refused (personal-texts); clients read it in the document. */
export const NO_PERSONAL_DATA = 'x-no-personal-data';
/** The operator who decides something, and the reason. */
export const OperatorId = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:@|-]{0,127}$',
  description: 'Opaque subject id; with authentication, the token’s',
});
export const Reason = Type.String({
  minLength: 1,
  maxLength: REASON_LENGTH_MAX,
  pattern: TEXT.source,
  [NO_PERSONAL_DATA]: true,
  description:
    'Kept for ever; no personal data: an e-mail address, an IBAN, the number of a payment card or a phone number is refused',
});
export const Currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' });
export const MoneySchema = Type.Object(
  {
    amount: Type.Integer({ minimum: 0, maximum: ORDER_TOTAL_MAX, description: 'In the currency’s minor unit' }),
    currency: Currency,
  },
  { additionalProperties: false },
);

export const NewOrder = Type.Object(
  {
    customerId: CustomerId,
    items: Type.Array(
      Type.Object(
        { sku: SkuName, quantity: Type.Integer({ minimum: 1, maximum: LINE_QUANTITY_MAX }) },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: ORDER_LINES_MAX, description: 'Each SKU at most once; prices come from the catalogue' },
    ),
    paymentMethod: Type.String({
      pattern: '^pm_[A-Za-z0-9_]{1,250}$',
      description: 'The gateway’s id of a payment method; never card data',
    }),
    externalOrderId: Type.Optional(ExternalOrderId),
    expectedTotal: Type.Optional(MoneySchema),
  },
  {
    $id: 'NewOrder',
    additionalProperties: false,
    examples: [
      {
        customerId: 'cus_42',
        items: [{ sku: 'SKU-KEYBOARD', quantity: 2 }],
        paymentMethod: 'pm_card_visa',
        externalOrderId: 'web-1001',
      },
    ],
  },
);
export type NewOrder = Static<typeof NewOrder>;

export const OrderStatus = oneOf(ORDER_STATUSES, 'PENDING until the saga has ended');
export const OrderSchema = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    status: OrderStatus,
    customerId: Type.String({ description: 'As it was ordered with; the reference of a customer who is erased' }),
    items: Type.Array(
      Type.Object({
        sku: Type.String(),
        quantity: Type.Integer(),
        unitPrice: Type.Integer({ description: 'As accepted, in the currency’s minor unit' }),
      }),
    ),
    total: Type.Object({ amount: Type.Integer({ description: 'In the minor unit' }), currency: Type.String() }),
    externalOrderId: Type.Optional(Type.String()),
    cancellation: Type.Optional(
      Type.Object(
        { reason: oneOf(CANCELLATION_REASONS, 'Why it was cancelled'), message: Type.String() },
        { description: 'There if the status is CANCELLED' },
      ),
    ),
    createdAt: Type.String({ format: 'date-time' }),
    updatedAt: Type.String({ format: 'date-time' }),
    correlationId: Type.String(),
  },
  { $id: 'Order', description: 'An order as it stands' },
);

export const EventSchema = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String(),
    source: Type.String(),
    type: Type.String(),
    subject: Type.String({ description: 'The order’s id' }),
    time: Type.String({ format: 'date-time' }),
    datacontenttype: Type.String(),
    dataschema: Type.String(),
    data: Type.Unknown(),
    sequence: Type.Integer({ description: 'Counts 1, 2, 3 … per order' }),
    correlationid: Type.String(),
    traceparent: Type.Optional(Type.String()),
  },
  { $id: 'Event', description: 'CloudEvents 1.0' },
);

export const IdParams = Type.Object({ id: Type.String({ description: 'Order id' }) });
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
