/** An order, as clients and events see it. */

export const ORDER_STATUSES = ['PENDING', 'CONFIRMED', 'CANCELLED'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** Why an order was cancelled. The first three are refusals by a step, the others decisions by someone. */
export const CANCELLATION_REASONS = [
  'OUT_OF_STOCK',
  'UNKNOWN_SKU',
  'PAYMENT_DECLINED',
  'CANCELLED_BY_CUSTOMER',
  'DEADLINE_EXCEEDED',
  'OPERATOR',
] as const;
export type CancellationReason = (typeof CANCELLATION_REASONS)[number];

/** Integer amount in the currency's minor unit (cents for USD, yen for JPY, whole krónur for ISK: contracts/currencies). */
export type Money = { amount: number; currency: string };

export type OrderLine = { sku: string; quantity: number; unitPrice: number };

export type Order = {
  id: string;
  status: OrderStatus;
  /** The client's id; the reference of a customer who is erased. */
  customerId: string;
  items: OrderLine[];
  total: Money;
  externalOrderId?: string;
  cancellation?: { reason: CancellationReason; message: string };
  createdAt: string;
  updatedAt: string;
  correlationId: string;
};
/** `customer`: as its row holds it: the customer's reference, or the client's id of an order older than references. Not for clients. */
export type StoredOrder = Order & { customer: string };

/** What a reader sees when the canceller wrote no message of their own. */
export const CANCELLATION_MESSAGES: Record<CancellationReason, string> = {
  OUT_OF_STOCK: 'At least one item was not available in the ordered quantity.',
  UNKNOWN_SKU: 'At least one item is no longer in the catalogue.',
  PAYMENT_DECLINED: 'The payment was declined.',
  CANCELLED_BY_CUSTOMER: 'The order was cancelled at the customer’s request.',
  DEADLINE_EXCEEDED: 'The order could not be completed in time.',
  OPERATOR: 'The order was cancelled by an operator.',
};

/** Limits of one order; the API refuses beyond them, the database's CHECKs agree. */
export const ORDER_LINES_MAX = 100;
export const LINE_QUANTITY_MAX = 1_000;
/** 100 lines of 1,000 pieces must stay a safe integer, and the gateway's own limit is lower still. */
export const ORDER_TOTAL_MAX = 99_999_999_999;
