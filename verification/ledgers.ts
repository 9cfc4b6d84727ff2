/**
 * The ledgers that are held against each other: what Postgres, the gateway, Temporal and a consumer each say of the same orders, side by
 * side. They need not be of all orders; but whatever names an order has that order among them, if there is one.
 */
import type { OrderStatus } from '../contracts/orders.js';

export type LedgerOrder = {
  id: string;
  status: OrderStatus;
  reason: string | null;
  currency: string;
  total: number;
  lines: { sku: string; quantity: number; unitPrice: number }[];
  planVersion?: number;
  /** Its events are older than what the outbox keeps: what they would say of it is not known any more. */
  areEventsGone?: boolean;
};
export type LedgerEvent = { orderId: string; sequence: number; type: string; data: Record<string, unknown> };
/**
 * A charge of the gateway's own list, with its refunds. Amounts in the minor unit. `isOurs`: it carries an
 * installation's marks, or names an order as charges of before the marks did; all else is a stranger's. `refunded` counts what
 * went back or is about to, refund by refund; `holds` is what the provider itself says of the charge: the two must agree.
 */
export type LedgerCharge = {
  reference: string;
  orderId: string | null;
  isOurs: boolean;
  currency: string;
  status: string;
  received: number;
  refunded: number;
  holds: number;
  refunds: LedgerRefund[];
};
/** `orderId`: a refund of ours names its order, one made in the provider's dashboard names none. */
export type LedgerRefund = { status: string; amount: number; orderId: string | null };
/** The newest run of a workflow. `result`: of one that has come to its own end. */
export type LedgerSaga = { workflowId: string; status: string; result: { status: string } | null };
export type LedgerStock = { sku: string; onHand: number; available: number; reserved: number; sold: number };
export type LedgerReservation = { orderId: string; sku: string; quantity: number; state: string };
export type LedgerPayment = {
  orderId: string;
  status: string;
  amount: number;
  currency: string;
  reference: string | null;
};

/** What cannot be seen from where the ledgers are read is absent. */
export type Ledgers = {
  orders: LedgerOrder[];
  events: LedgerEvent[];
  stock: LedgerStock[];
  charges?: LedgerCharge[];
  reservations?: LedgerReservation[];
  /** Which orders have rows of which tables of the plan, in a state in which they hold something. */
  holdings?: { orderId: string; table: string }[];
  payments?: LedgerPayment[];
  /** What each consumer got, repetitions included, in the order in which it got it. */
  delivered?: Record<string, LedgerEvent[]>;
  sagas?: LedgerSaga[];
  /** Orders and charges of which reconciliation has an open finding: known, and an operator's work already. */
  inHand?: ReadonlySet<string>;
};
