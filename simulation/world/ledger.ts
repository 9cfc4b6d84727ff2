/**
 * What Postgres holds of one order: its row, the stock of its SKU, its reservation, payment, attempts, events and log. Each method is one
 * statement of domain/, which is one transaction, and does what that says; the SQL itself is not simulated.
 */
import type { Clock } from '../clock.js';
import type { CancellationReason, OrderStatus } from '../../contracts/orders.js';
import type { LookedUp } from './gateway.js';

export type PaymentStatus = 'CHARGED' | 'DECLINED' | 'VOIDED' | 'REFUNDING' | 'REFUNDED' | 'SETTLED_OUTSIDE';
export type Run = { attempts: number; skippedBy?: string };
export type StepOutcome = { outcome: 'done'; confirmed?: true } | { outcome: 'refused'; reason: CancellationReason };
export type Event = { type: string; byHand: boolean };
type Attempt = { began: number; ended: number | undefined };

export const ORDER_ID = '0199aaaa-0000-7000-8000-000000000001';
/** domain/charge-attempts */
const ATTEMPT_LIMIT_MS = 15_000;
const LANDS_WITHIN_MS = 300_000;

/** domain/holdings */
export class HoldingLost extends Error {
  override name = 'HoldingLost';
  constructor(orderId: string, steps: readonly string[]) {
    super(`What ${steps.join(', ')} did for order ${orderId} is not in the database`);
  }
}

export type Wanted = { amount: number; quantity: number; onHand: number; isKnown: boolean };

export class Ledger {
  readonly #clock: Clock;
  readonly wanted: Wanted;
  readonly createdAt: number;
  status: OrderStatus = 'PENDING';
  reason: CancellationReason | null = null;
  available: number;
  reserved = 0;
  sold = 0;
  reservation: 'RESERVED' | 'SOLD' | 'RELEASED' | undefined;
  payment: { status: PaymentStatus; reference: string | null; refund: string | null } | undefined;
  readonly attempts: Attempt[] = [];
  readonly events: Event[] = [{ type: 'order.created', byHand: false }];
  /** Decisions of operators, and that they were not taken, by their ids. */
  readonly decisions = new Set<string>();
  /**
   * By what it was last recorded that the money is right: what the attempt that says so had looked up. A forgotten attempt that says so of a
   * cancelled order asks for nothing more, nor does one that finds more and never comes to record it.
   */
  moneyRightBy: LookedUp = { at: Number.NEGATIVE_INFINITY, strays: [] };
  /** What the attempt whose statement is carried out has looked up at the gateway; one that has not knows what is now. */
  lookedUp: LookedUp | undefined;
  /** When the attempts were last read, and until when by what they say one of them may have been running. */
  attemptsRead = { at: Number.NEGATIVE_INFINITY, mayRunUntil: Number.NEGATIVE_INFINITY };
  #reservedAt: number | undefined;

  constructor(clock: Clock, wanted: Wanted) {
    this.#clock = clock;
    this.wanted = wanted;
    this.available = wanted.onHand;
    this.createdAt = clock.now;
  }

  get isOpen(): boolean {
    return this.status === 'PENDING' && this.reason === null;
  }

  reserve(run: Run): StepOutcome {
    const { quantity, isKnown } = this.wanted;
    if (this.isOpen && this.reservation === undefined) {
      if (run.skippedBy !== undefined) {
        this.reservation = 'RELEASED';
        this.#tell('inventory.reserved', run);
      } else if (!isKnown || this.available < quantity) {
        this.reason = isKnown ? 'OUT_OF_STOCK' : 'UNKNOWN_SKU';
        this.#tell('inventory.reservation.failed');
        return { outcome: 'refused', reason: this.reason };
      } else {
        this.reservation = 'RESERVED';
        this.available -= quantity;
        this.reserved += quantity;
        this.#tell('inventory.reserved');
      }
      this.#reservedAt = this.#clock.now;
      return { outcome: 'done' };
    }
    return this.#ofOtherRun();
  }

  #ofOtherRun(): StepOutcome {
    if (this.status === 'CONFIRMED' || this.reason === null) return { outcome: 'done' };
    return { outcome: 'refused', reason: this.reason };
  }

  release(run: Run): 'done' | 'nothing' {
    if (this.reason === null || this.status === 'CANCELLED') {
      if (this.status === 'CANCELLED') return 'nothing';
      throw new Error('Bug! Stock was to be released although the order is not unwinding');
    }
    const { quantity } = this.wanted;
    const held = this.reservation;
    this.reservation = 'RELEASED';
    if (held === 'RESERVED' || held === 'SOLD') {
      this.available += quantity;
      if (held === 'RESERVED') this.reserved -= quantity;
      else this.sold -= quantity;
      this.#tell('inventory.released', run);
      return 'done';
    }
    return this.events.some(({ type }) => type === 'inventory.released') ? 'done' : 'nothing';
  }

  recordCharge(
    reference: string | null,
    run: Run,
    { confirm = false }: { confirm?: boolean | undefined },
  ): StepOutcome {
    if (this.isOpen && !this.payment) {
      this.#requireEarlier(this.lostBeforeCharge);
      const status = run.skippedBy === undefined ? 'CHARGED' : 'SETTLED_OUTSIDE';
      this.payment = { status, reference, refund: null };
      this.#tell('payment.charged', run);
      if (!confirm) return { outcome: 'done' };
      this.#confirm();
      return { outcome: 'done', confirmed: true };
    }
    if (this.status === 'CONFIRMED') return { outcome: 'done', confirmed: true };
    return this.#ofOtherRun();
  }

  recordDecline(): StepOutcome {
    if (this.isOpen && !this.payment) {
      this.payment = { status: 'DECLINED', reference: null, refund: null };
      this.reason = 'PAYMENT_DECLINED';
      this.#tell('payment.declined');
      return { outcome: 'refused', reason: this.reason };
    }
    if (this.status === 'CONFIRMED') return { outcome: 'done', confirmed: true };
    return this.#ofOtherRun();
  }

  confirmOrder(run: Run): StepOutcome {
    if (this.isOpen) {
      const isPaid = this.payment?.status === 'CHARGED' || this.payment?.status === 'SETTLED_OUTSIDE';
      this.#requireEarlier([...this.lostBeforeCharge, ...(isPaid ? [] : ['chargePayment'])]);
      this.#confirm(run);
      return { outcome: 'done' };
    }
    if (this.reason !== null && this.status !== 'CONFIRMED') return { outcome: 'refused', reason: this.reason };
    return { outcome: 'done' };
  }

  /** A reservation that an open order has as RELEASED was made by an operator's hand. */
  get lostBeforeCharge(): string[] {
    return this.reservation === undefined ? ['reserveInventory'] : [];
  }

  #requireEarlier(lost: string[]): void {
    if (lost.length > 0) throw new HoldingLost(ORDER_ID, lost);
  }

  #confirm(run?: Run): void {
    this.status = 'CONFIRMED';
    if (this.reservation === 'RESERVED') {
      this.reservation = 'SOLD';
      this.reserved -= this.wanted.quantity;
      this.sold += this.wanted.quantity;
    }
    this.#tell('order.confirmed', run);
  }

  beginUnwinding(reason: CancellationReason) {
    if (this.isOpen) this.reason = reason;
    if (this.status === 'CONFIRMED') return { outcome: 'confirmed' as const };
    const outcome = this.status === 'CANCELLED' ? ('cancelled' as const) : ('unwinding' as const);
    return { outcome, reason: this.reason };
  }

  /** By the API. @returns whether its cancellation is due now, in a saga of its own */
  requestCancellation(reason: CancellationReason): boolean {
    if (this.status === 'CANCELLED' || this.reason !== null) return false;
    this.reason = reason;
    return this.status === 'CONFIRMED';
  }

  shutPayment(): PaymentStatus {
    if (this.reason === null) throw new Error('Bug! The payment was to be undone although the order is not unwinding');
    this.payment ??= { status: 'VOIDED', reference: null, refund: null };
    if (this.payment.status === 'CHARGED') this.payment.status = 'REFUNDING';
    return this.payment.status;
  }

  recordRefund(
    { charge, refund, gaveBack }: { charge: string | null; refund: string | null; gaveBack: number },
    run: Run,
  ): void {
    const { payment } = this;
    this.moneyRightBy = this.#knowsBy();
    if (!payment || payment.refund !== null || !['REFUNDING', 'VOIDED', 'SETTLED_OUTSIDE'].includes(payment.status))
      return;
    payment.status = run.skippedBy === undefined ? 'REFUNDED' : 'SETTLED_OUTSIDE';
    payment.refund = refund ?? (run.skippedBy === undefined ? null : 'settled-outside');
    payment.reference ??= charge;
    if (this.status !== 'CANCELLED' && (gaveBack > 0 || this.wanted.amount === 0)) this.#tell('payment.refunded', run);
  }

  recordNothingToRefund(): void {
    if (this.status !== 'CANCELLED') this.moneyRightBy = this.#knowsBy();
  }

  cancelOrder(run: Run): 'done' {
    if (this.status === 'CANCELLED') return 'done';
    const held = [
      ...(this.reservation === 'RESERVED' || this.reservation === 'SOLD' ? ['reservations'] : []),
      ...(this.payment?.status === 'CHARGED' || this.payment?.status === 'REFUNDING' ? ['payments'] : []),
    ];
    if (held.length > 0 || this.reason === null)
      throw new Error(
        `Bug! The order came to its cancellation ${held.length > 0 ? `still holding ${held}` : 'without a reason'}`,
      );
    this.status = 'CANCELLED';
    this.#tell('order.cancelled', run);
    return 'done';
  }

  readPaymentDue() {
    return {
      orderId: ORDER_ID,
      orderStatus: this.status,
      amount: this.wanted.amount,
      currency: 'USD',
      paymentMethod: 'pm_card_visa',
      createdAt: new Date(this.createdAt),
      installationId: 'inst-1',
      status: this.payment?.status ?? null,
      gatewayReference: this.payment?.reference ?? null,
      refundReference: this.payment?.refund ?? null,
      wasAttempted: this.attempts.length > 0,
      now: new Date(this.#clock.now),
      unwindingReason: this.reason,
      lostBefore: this.lostBeforeCharge,
      heldBy: [],
    };
  }

  /** The times at which the order may have been charged, newest first, and until when an attempt may still run. */
  readAttempts() {
    const { now } = this.#clock;
    const landedBy = (ended = now) => new Date(Math.min(now, ended + LANDS_WITHIN_MS));
    const noted = this.attempts.map(({ began, ended }) => ({ from: new Date(began), until: landedBy(ended) }));
    const earliest = new Date(this.#reservedAt ?? this.createdAt);
    const open = this.attempts.flatMap(({ began, ended }) => (ended === undefined ? [began + ATTEMPT_LIMIT_MS] : []));
    const latest = Math.max(...open, 0);
    this.attemptsRead = { at: now, mayRunUntil: latest };
    return {
      dbNow: new Date(now),
      spans: [{ from: earliest, until: landedBy(this.attempts[0]?.began) }, ...noted].reverse(),
      mayRunUntil: latest > now ? new Date(latest) : null,
      from: undefined,
    };
  }

  #knowsBy = (): LookedUp => this.lookedUp ?? { at: this.#clock.now, strays: [] };

  #tell(type: string, run?: Run): void {
    this.events.push({ type, byHand: run?.skippedBy !== undefined });
  }
}
