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
  /** Events of it are older than what the outbox keeps, and not there any more: what they would say of it is not known. */
  areEventsGone?: boolean;
  /** How many events the order's own row says that it has told. */
  eventCount?: number;
};
/** How far an order is, final or not. */
export type LedgerStanding = Omit<LedgerOrder, 'planVersion'> & {
  isFinal: boolean;
  /** Some process has seen its saga begin. */
  isStarted: boolean;
  /** Confirmed, and on its way back. */
  isTakenBack: boolean;
  openForMs: number;
  /** Since it has changed. */
  quietForMs: number;
};
export type LedgerEvent = {
  orderId: string;
  sequence: number;
  type: string;
  data: Record<string, unknown>;
  /** Where it stands in the feed, and so when it is delivered: two numbers. */
  feedPlace?: [string, string];
};
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
/** The newest run of a workflow. `result`: of one that has come to its own end. `state`: as lists of sagas show it. */
export type LedgerSaga = {
  workflowId: string;
  status: string;
  result: { status: string } | null;
  state?: string | null;
};
/** An Idempotency-Key under which an order was answered: whether there is that order, and whether the answer is about it. */
export type LedgerKey = { orderId: string; isThere: boolean; isAboutIt: boolean };
/** How far a destination has been served in a share of the orders. `owedTooLong`: the order of the oldest event that it has waited for too long. */
export type LedgerCursor = {
  destination: string;
  partition: number;
  isServed: boolean;
  isWithinFeed: boolean;
  owedTooLong: string | null;
};
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
  /** Orders as they stand, with the sagas of those among them that need one, or had one that Temporal still knows. */
  standings?: LedgerStanding[];
  /** How long a saga may be open, in milliseconds, before it has to say so: at its steps, and in all. */
  openAtMostMs?: { unmarked: number; inAll: number };
  /** Workflows that are called sagas of orders, and those among them whose order there is not. */
  claimed?: { workflowIds: string[]; unknown: string[] };
  keys?: LedgerKey[];
  cursors?: LedgerCursor[];
  /** Orders and charges of which reconciliation has an open finding: known, and an operator's work already. */
  inHand?: ReadonlySet<string>;
};
