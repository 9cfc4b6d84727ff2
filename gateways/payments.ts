/**
 * The payment gateway: the system that moves money. Its ledger is the truth about money; we only keep what we have seen.
 * This file is the port: what we ask of it, in our words. stripe.ts is the adapter.
 *
 * Kinds of answers, never mixed up: money moved; a final "no"; `GatewayUnknown`: it may or may not have happened;
 * `GatewayMismatch`: what is there is not what was asked for, which only a human can decide.
 *
 * The gateway's account is not ours alone. What is ours is decided in marks.ts.
 */
import type { OrderMarks } from './marks.js';

/** The end of an attempt, on a clock that never jumps (deadline.ts). */
export type Deadline = { leftMs(): number };

/**
 * An order as far as its charge goes: what was fixed when it was accepted. Amount in the minor unit, above 0. Without a
 * `correlationId` the charge carries none.
 */
export type Due = OrderMarks & { correlationId?: string | null };

/** When what an attempt at a charge has asked for may have arrived at the gateway: by the database's clock. */
export type AttemptSpan = { from: Date; until: Date };

/** Where the look-up of a charge goes on: everything younger than `since` is done, and `since`'s own span up to `after`. */
export type LookUpPlace = { since: Date; after: string | null };

/** Everything that proving or finding a charge takes. */
export type LookUp = {
  due: Due;
  /** Newest first, not overlapping. What arrived outside of them came later than any network should bring it. */
  spans: AttemptSpan[];
  /** The database's clock when the spans were read, so that they can be converted to the gateway's time. */
  dbNow: Date;
  /** Where an earlier attempt has come to. */
  from?: LookUpPlace | undefined;
  /** Of the charges that would fit the order and carry no marks, those that an operator has said are its, or are not. */
  vouchedFor?: string[];
  disowned?: string[];
  /** Keeps how far this one has come: a look-up may take longer than an attempt. */
  onProgress?: (place: LookUpPlace) => Promise<void>;
  deadline?: Deadline;
};

export type ChargeRequest = {
  due: Due;
  paymentMethod: string;
  /** Must be the same for every attempt of one order's charge, and is good for 24 h at the gateway. */
  idempotencyKey: string;
  /** When the order was created: a key may be trusted only while the gateway cannot have forgotten it. */
  since: Date;
  /** Asked for only when an attempt's answer leaves open what it came to. */
  lookUp: () => Promise<Omit<LookUp, 'due' | 'deadline'>>;
  deadline?: Deadline;
};
export type ChargeOutcome = { outcome: 'charged'; reference: string } | { outcome: 'declined'; code: string };

/** A charge of the order that took money, and what of it was given back since. */
export type HeldCharge = { reference: string; refunded: number };

export type RefundRequest = {
  due: Pick<Due, 'orderId' | 'installationId'>;
  chargeReference: string;
  /** null: no refund may be made any more; it is only read what the charge holds. */
  idempotencyKey: string | null;
  deadline?: Deadline;
};

/** What became of giving a charge back, read from the charge itself after the act. */
export type RefundOutcome =
  /**
   * The charge holds nothing any more. `gaveBack`: what refunds of ours returned, in our minor unit; `reference` the newest, null if
   * others had returned it all; `pending`: the gateway has accepted one and not carried it out yet.
   */
  | { outcome: 'done'; gaveBack: number; reference: string | null; pending: boolean }
  /**
   * The charge still holds money, and the same key will never change that: this refund has failed. `isListed`: the gateway
   * made it and shows it as failed; else it refused to.
   */
  | { outcome: 'failed'; isListed: boolean; disputed: boolean; why: string }
  /** Nothing has come of this key, and nothing will; another one cannot give back more than the charge holds. */
  | { outcome: 'key-spent'; why: string };

/** Moving money, and learning what came of it. */
export type PaymentGateway = {
  /** @throws GatewayUnknown if it is not known whether money moved, GatewayMismatch if other money moved than was to */
  charge(request: ChargeRequest): Promise<ChargeOutcome>;
  /**
   * The charges of the order that took money, by its marks; calls off every one that still could.
   * @throws GatewayUnknown while one is still being processed, and when the attempt's time is over before all is read
   */
  settleOpenCharges(lookUp: LookUp): Promise<HeldCharge[]>;
  /** Gives back whatever a charge still holds; repeatable. @throws GatewayUnknown if it is not known what it holds */
  refund(request: RefundRequest): Promise<RefundOutcome>;
};

/** A charge, or the attempt at one, as the gateway's own ledger has it. Integers in the provider's units (marks.ts converts). */
export type LedgerCharge = {
  reference: string;
  /** What it carries; null = nothing: it is not of our making. */
  orderId: string | null;
  installationId: string | null;
  purpose: string | null;
  /** `open` = it may still take money if it is completed; `over` = it never took any and never will. */
  state: 'succeeded' | 'processing' | 'open' | 'over';
  /** What was asked for, what was taken, and what of it was given back (refunds that are under way included). */
  amount: number;
  received: number;
  refunded: number;
  /** ISO 4217, upper case. */
  currency: string;
  /** Why it took no money, in the gateway's word, if it was declined or called off. */
  declined?: string;
  /** The customer's bank has taken issue with it: the money is no longer ours to give back. */
  disputed: boolean;
  /** By the gateway's clock, in whole seconds. */
  createdAt: Date;
};

/** One page of a list. `after` fetches the next one; undefined = there is none. */
export type Page<T> = { items: T[]; after?: string };
/** Times by the gateway's clock. */
export type PageRequest = { since: Date; until?: Date; after?: string; deadline?: Deadline };

/** `requires_action` = the customer has to do something; `failed` and `canceled` = the charge holds the money again. */
export type RefundStatus = 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';
export type LedgerRefund = {
  reference: string;
  chargeReference: string;
  /** What it carries: a refund of ours names its order. */
  orderId: string | null;
  amount: number;
  status: RefundStatus;
  createdAt: Date;
};
export type LedgerDispute = {
  reference: string;
  chargeReference: string;
  status: string;
  createdAt: Date;
  /** Until when the bank takes an answer; null = it wants none (any more), or the gateway does not say. */
  answerBy: Date | null;
};

/** Reading the gateway's own ledger, to compare it with ours. Every call throws GatewayUnknown without an answer. */
export type PaymentLedger = {
  /** Newest first; 100 a page. Strongly consistent, as far as the gateway promises. */
  listCharges(request: PageRequest): Promise<Page<LedgerCharge>>;
  /** Newest first; 100 a page. */
  listRefunds(request: PageRequest): Promise<Page<LedgerRefund>>;
  listDisputes(request: PageRequest): Promise<Page<LedgerDispute>>;
  /** Late by up to a minute: what is found is there, what is not found proves nothing. */
  findCharges(orderId: string): Promise<LedgerCharge[]>;
  /** @returns null if the gateway has no such charge */
  readCharge(reference: string): Promise<LedgerCharge | null>;
  /** The refunds of one charge, newest first, 100 at most. */
  readRefunds(chargeReference: string): Promise<LedgerRefund[]>;
  /** The disputes of one charge, newest first, 100 at most. Only they say how one has ended. */
  readDisputes(chargeReference: string): Promise<LedgerDispute[]>;
  /** Calls off an `open` charge, so that its customer cannot complete it later. */
  callOff(reference: string): Promise<void>;
  /** What time it is there, in ms since 1970; undefined while it has never answered this process. */
  nowMs(): number | undefined;
};

/**
 * The account's own memory of an installation: a marker at the gateway that holds one word. A database that was restored or
 * copied does not know the word that was written last.
 */
export type AccountMarker = {
  /** @returns the new marker's reference. Two processes may each make one: the oldest counts */
  createMarker(says: MarkerText): Promise<string>;
  /** Strongly consistent, as far as the gateway promises. @returns the oldest marker that names this installation */
  findMarker(installationId: string): Promise<string | null>;
  /** @returns the word; null if there is no such marker on this account */
  readMarker(reference: string): Promise<string | null>;
  writeMarker(reference: string, says: MarkerText): Promise<void>;
};
/** What a marker says: whose it is, and the word. */
export type MarkerText = { installationId: string; word: string };

/** The API key has no right to keep a marker: without one, a restored or copied database cannot be recognised. */
export class MarkerUnavailable extends Error {
  override name = 'MarkerUnavailable';
}

export type Gateway = PaymentGateway & PaymentLedger;

/** The outcome is not known: the same request with the same key must be made again, or the gateway's list consulted. */
export class GatewayUnknown extends Error {
  override name = 'GatewayUnknown';
  /** How long the gateway asked us to wait, if it did; never longer than our own longest pause. */
  readonly retryAfterMs: number | undefined;
  /** What the connection came to if there was no answer at all; undefined = the gateway answered something. */
  readonly noAnswer: 'refused' | 'broken' | undefined;
  /** The place in a list at which it was to go on is gone: the list must be begun again. */
  readonly isPlaceGone: boolean;
  constructor(
    message: string,
    options: {
      cause?: unknown;
      retryAfterMs?: number | undefined;
      noAnswer?: 'refused' | 'broken' | undefined;
      isPlaceGone?: boolean;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
    this.noAnswer = options.noAnswer;
    this.isPlaceGone = options.isPlaceGone ?? false;
  }
}

/** The gateway has other money in this order's name than was to be there: only an operator decides what that means. */
export class GatewayMismatch extends Error {
  override name = 'GatewayMismatch';
}
