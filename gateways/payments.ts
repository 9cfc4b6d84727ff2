/**
 * The payment gateway: the system that moves money. Its ledger is the truth about money; we only keep what we have seen.
 * This file is the port: what we ask of it, in our words. stripe.ts is the adapter.
 *
 * Three kinds of answers, never mixed up: money moved, a final "no", or `GatewayUnknown`: it may or may not have happened.
 */

export type ChargeRequest = {
  orderId: string;
  /** Integer in the currency's minor unit, above 0. */
  amount: number;
  /** ISO 4217, upper case. */
  currency: string;
  paymentMethod: string;
  /** Must be the same for every attempt of one order's charge, and is good for 24 h at the gateway. */
  idempotencyKey: string;
  /** When the order was created: nothing of it can be older in the gateway's list. */
  since: Date;
};
export type ChargeOutcome = { outcome: 'charged'; reference: string } | { outcome: 'declined'; code: string };

/** Money of one order that the gateway holds: the charge's reference and what of it is not refunded yet. */
export type HeldCharge = { reference: string };

/** Moving money, and learning what became of it. */
export type PaymentGateway = {
  /** @throws GatewayUnknown if it cannot be told whether money moved */
  charge(request: ChargeRequest): Promise<ChargeOutcome>;
  /**
   * Every charge of the order that took money, by our own reference, and calls off every one that still could.
   * @throws GatewayUnknown while one is still being processed
   */
  settleOpenCharges(orderId: string, since: Date): Promise<HeldCharge[]>;
  /** Gives back all of a charge; repeatable. @returns the refund's reference */
  refund(orderId: string, chargeReference: string, idempotencyKey: string): Promise<string>;
};

/** A charge, or the attempt at one, as the gateway's own ledger has it. */
export type LedgerCharge = {
  reference: string;
  /** Our own reference, which every charge of ours carries; null = somebody else made it. */
  orderId: string | null;
  /** `open` = it may still take money if somebody completes it; `over` = it never took any and never will. */
  state: 'succeeded' | 'processing' | 'open' | 'over';
  /** What was taken, and what of it was given back: integers in the minor unit. */
  received: number;
  refunded: number;
  /** ISO 4217, upper case. */
  currency: string;
  /** By the gateway's clock, in whole seconds. */
  createdAt: Date;
};

/** One page of a list. `after` fetches the next one; undefined = there is none. */
export type Page<T> = { items: T[]; after?: string };
export type PageRequest = { since: Date; after?: string };
export type LedgerRefund = { chargeReference: string; createdAt: Date };

/** Reading the gateway's own ledger, for whoever compares it with ours. Every call throws GatewayUnknown without an answer. */
export type PaymentLedger = {
  /** Newest first; 100 a page. Strongly consistent, as far as the gateway promises. */
  listCharges(request: PageRequest): Promise<Page<LedgerCharge>>;
  /** Newest first; 100 a page. */
  listRefunds(request: PageRequest): Promise<Page<LedgerRefund>>;
  /** Late by up to a minute: what is found is there, what is not found proves nothing. */
  findCharges(orderId: string): Promise<LedgerCharge[]>;
  /** @returns null if the gateway has no such charge */
  readCharge(reference: string): Promise<LedgerCharge | null>;
  /** Calls off an `open` charge, so that it cannot be completed behind our back. */
  callOff(reference: string): Promise<void>;
};

/** The outcome is not known: the same request with the same key must be made again, or the gateway's list consulted. */
export class GatewayUnknown extends Error {
  override name = 'GatewayUnknown';
  /** How long the gateway asked us to wait, if it did. */
  readonly retryAfterMs: number | undefined;
  /** What the connection came to if there was no answer at all; undefined = the gateway answered something. */
  readonly noAnswer: 'refused' | 'broken' | undefined;
  constructor(
    message: string,
    options?: { cause?: unknown; retryAfterMs?: number; noAnswer?: 'refused' | 'broken' | undefined },
  ) {
    super(message, { cause: options?.cause });
    this.retryAfterMs = options?.retryAfterMs;
    this.noAnswer = options?.noAnswer;
  }
}
