/**
 * The payment gateway, by the contract of its port (gateways/payments): it takes and gives back money, each once per key; its answers may
 * be lost, and its requests may arrive late. What the adapter for a provider makes of that provider's answers is not simulated.
 */
import type { Clock } from '../clock.js';
import type { Tape } from '../tape.js';
import { windowsOf, withLastMinutes } from '../../gateways/look-up-windows.js';
import type { Faults } from './faults.js';

type Refund = { key: string; amount: number; status: 'succeeded' | 'pending' | 'failed' };
export type Charge = {
  reference: string;
  key: string;
  amount: number;
  state: 'succeeded' | 'processing' | 'declined';
  /** By our clock: both clocks are one here. */
  askedAt: number;
  landedAt: number;
  refunds: Refund[];
  byHand: number;
  isDisputed: boolean;
  /** The step that took it was told that the order is being unwound, came to its end, and had not given it back. */
  wasLeft: boolean;
};
/** What there was at some time; what lands while the answer is on its way is as late as what lands after it. */
export type LookedUp = {
  at: number;
  /** Came longer after their requests were given up than any network should bring them, and the account's search did not show them. */
  strays: readonly Charge[];
};
type Unknown = new (message: string, options?: object) => Error;
export type GatewayErrors = { GatewayUnknown: Unknown; GatewayMismatch: new (message: string) => Error };
type Within = { deadline?: { leftMs(): number } };
type LookUp = Within & { spans: { from: Date; until: Date }[]; dbNow: Date };
type Request = Within & { due: { amount: number }; idempotencyKey: string };
type RefundRequest = Within & { chargeReference: string; idempotencyKey: string | null };

/** Calls a neighbour: `work` is what it does at its place and time, and what it returns or throws is the answer. */
export type Call = (name: string, ms: number, work: () => unknown) => Promise<unknown>;

/** The search shows what landed so long ago, if it is not late. */
const SEARCH_LATE_MS = 60_000;
/** Longer than this no network keeps a request that was given up (domain/charge-attempts). */
const STRAY_AFTER_MS = 300_000;
/** Our own limit of one request, and with how little time left none is made (gateways/deadline). */
const REQUEST_LIMIT_MS = 8_000;
const WORTH_ASKING_MS = 100;

export class Gateway {
  readonly charges: Charge[] = [];
  /** By whoever has just been answered. */
  lookedUp: LookedUp | undefined;
  readonly #clock: Clock;
  readonly #tape: Tape;
  readonly #faults: Faults;
  readonly #card: 'good' | 'declined';
  readonly #isForgetful: boolean;
  readonly #hasSearch: boolean;
  errors: GatewayErrors | undefined;
  reached: (what: string) => void = () => undefined;

  constructor(parts: { clock: Clock; tape: Tape; faults: Faults; isForgetful: boolean }) {
    this.#clock = parts.clock;
    this.#tape = parts.tape;
    this.#faults = parts.faults;
    this.#isForgetful = parts.isForgetful;
    this.#card = parts.faults.isLate ? 'good' : parts.tape.oneOf(['good', 'good', 'good', 'declined']);
    this.#hasSearch = parts.tape.oneOf([true, true, true, false]);
  }

  /** What it holds of a charge. */
  held({ state, amount, refunds, byHand }: Charge): number {
    if (state !== 'succeeded') return 0;
    return amount - byHand - refunds.reduce((sum, { status, amount }) => sum + (status === 'failed' ? 0 : amount), 0);
  }

  /** A step that has taken money, and was told that it must not, has come to its end. */
  leave(): void {
    for (const charge of this.charges) charge.wasLeft ||= this.held(charge) > 0;
  }

  /** An operator gives back whatever is held, at the provider's own desk. */
  giveBackByHand(): void {
    for (const charge of this.charges) charge.byHand += this.held(charge);
  }

  /** Refunds that were accepted come to their ends, good or bad. @returns whether one has failed */
  endRefunds(): boolean {
    let hasFailed = false;
    for (const refund of this.charges.flatMap(({ refunds }) => refunds)) {
      if (refund.status !== 'pending') continue;
      refund.status = this.#tape.chance(300) ? 'failed' : 'succeeded';
      hasFailed ||= refund.status === 'failed';
    }
    return hasFailed;
  }

  /** The port, as activities are given it. */
  port(call: Call) {
    const inTime = <R extends Within>(ask: (request: R) => Promise<unknown>) => {
      return (request: R) => {
        if ((request.deadline?.leftMs() ?? REQUEST_LIMIT_MS) < WORTH_ASKING_MS)
          throw this.#unknown('The time of this attempt is over');
        return ask(request);
      };
    };
    return {
      charge: inTime((request: Request) => this.#charge(call, request)),
      settleOpenCharges: inTime((it: LookUp) => call('look up', this.#faults.tookMs(), () => this.#lookUp(it))),
      refund: inTime((it: RefundRequest) => call('refund', this.#faults.tookMs(), () => this.#refund(it))),
    };
  }

  #unknown(message: string, retryAfterMs?: number): Error {
    return new (this.errors as GatewayErrors).GatewayUnknown(message, { retryAfterMs });
  }

  #charge(call: Call, { due, idempotencyKey: key, deadline }: Request): Promise<unknown> {
    const askedAt = this.#clock.now;
    const fault = this.#faults.ofCharge(
      ['arrives late', 'takes its time', '503', '503'] as const,
      ['503', '429', 'answer lost', 'hangs', 'arrives late', 'processing', 'mismatch'] as const,
    );
    const tookMs = fault === 'takes its time' ? this.#tape.oneOf([900, 3_000, 7_000]) : this.#faults.tookMs();
    const limitMs = Math.min(REQUEST_LIMIT_MS, deadline?.leftMs() ?? REQUEST_LIMIT_MS);
    const noAnswer = () => {
      throw this.#unknown('The gateway did not answer');
    };
    if (fault === 'hangs') return call('charge hangs', limitMs, noAnswer);
    if (fault === 'arrives late' || tookMs > limitMs) {
      // Ours is cut off; the request is on its way all the same.
      const lateMs =
        tookMs > limitMs ? tookMs : limitMs + this.#tape.oneOf([10, 2_000, 4_000, 6_000, 30_000, 200_000, 1_500_000]);
      this.#clock.in(lateMs, () => {
        if (this.#faults.isAway('gateway')) return;
        this.#land(key, { amount: due.amount, askedAt });
      });
      this.reached('a charge arrives after its request was given up');
      return call('charge is given up', limitMs, noAnswer);
    }
    return call(`charge${fault ? ` (${fault})` : ''}`, tookMs, () => {
      if (this.#faults.isAway('gateway')) throw this.#unknown('The gateway could not be reached');
      if (fault === '503') throw this.#unknown('The gateway answered 503');
      if (fault === '429') throw this.#unknown('The gateway answered 429', this.#tape.oneOf([1_000, 15_000, 60_000]));
      if (fault === 'mismatch') throw new (this.errors as GatewayErrors).GatewayMismatch('Another amount was charged');
      const charge = this.#land(key, { amount: due.amount, askedAt, isSlow: fault === 'processing' });
      if (fault === 'answer lost') noAnswer();
      if (charge.state === 'processing') throw this.#unknown('The charge is being processed');
      if (charge.state === 'declined') return { outcome: 'declined', code: 'card_declined' };
      return { outcome: 'charged', reference: charge.reference };
    });
  }

  #land(key: string, { isSlow = false, ...asked }: { amount: number; askedAt: number; isSlow?: boolean }): Charge {
    const known = this.#isForgetful ? undefined : this.charges.find((charge) => charge.key === key);
    if (known) {
      this.reached('a charge is asked for again under its key');
      return known;
    }
    const final = this.#card === 'good' ? 'succeeded' : 'declined';
    const charge: Charge = {
      ...{ reference: `ch_${this.charges.length + 1}`, key, ...asked, landedAt: this.#clock.now },
      ...{ state: isSlow ? 'processing' : final, refunds: [], byHand: 0 },
      ...{ isDisputed: false, wasLeft: false },
    };
    this.charges.push(charge);
    if (isSlow)
      this.#clock.in(this.#tape.oneOf([500, 5_000, 100_000]), () => {
        charge.state = final;
        this.reached('a charge is processed for a while');
      });
    return charge;
  }

  #lookUp({ spans, dbNow }: LookUp) {
    const { now } = this.#clock;
    if (this.#faults.isAway('gateway')) throw this.#unknown('The gateway could not be reached');
    const fault = this.#faults.ofGateway(['no answer', 'the search is late'] as const);
    if (fault === 'no answer') throw this.#unknown('The look-up was not answered');
    const isSearched = this.#hasSearch && fault === undefined;
    const windows = withLastMinutes(spans, dbNow, undefined).flatMap((span) => windowsOf(span, dbNow, [now]));
    const isListed = ({ landedAt: at }: Charge) =>
      windows.some(({ since, until }) => at >= since.getTime() && at <= until.getTime());
    const isShown = ({ landedAt }: Charge) => isSearched && landedAt <= now - SEARCH_LATE_MS;
    const found = this.charges.filter((charge) => isListed(charge) || isShown(charge));
    const isLate = ({ landedAt, askedAt }: Charge) => landedAt - askedAt > REQUEST_LIMIT_MS + STRAY_AFTER_MS;
    const strays = isSearched ? [] : this.charges.filter((charge) => isLate(charge) && !found.includes(charge));
    if (this.charges.some((charge) => isShown(charge) && !isListed(charge) && this.held(charge) > 0))
      this.reached('only a search shows a charge');
    if (found.some(({ state }) => state === 'processing')) throw this.#unknown('The charge is being processed');
    this.lookedUp = { at: now, strays };
    const held = found.filter((charge) => this.held(charge) > 0);
    if (held.length > 0) this.reached('a look-up finds a charge that nobody knew of');
    return held.map((charge) => ({ reference: charge.reference, refunded: charge.amount - this.held(charge) }));
  }

  #refund({ chargeReference, idempotencyKey: key }: RefundRequest) {
    if (this.#faults.isAway('gateway')) throw this.#unknown('The gateway could not be reached');
    const charge = this.charges.find(({ reference }) => reference === chargeReference) as Charge;
    const fault = this.#faults.ofRefund([
      '503',
      'answer lost',
      'pending',
      'refused',
      'fails',
      'key spent',
      'disputed',
    ] as const);
    if (fault === '503') throw this.#unknown('The gateway answered 503');
    if (fault === 'disputed') charge.isDisputed = true;
    if (fault === 'key spent') return { outcome: 'key-spent', why: 'the key is worn out' };
    const disputed = charge.isDisputed && this.held(charge) > 0;
    if (disputed && !this.#faults.areOver) {
      this.reached('a charge is disputed when it is to be given back');
      return { outcome: 'failed', isListed: false, disputed, why: 'it is disputed' };
    }
    if (key !== null && this.held(charge) > 0) {
      const made = charge.refunds.find((refund) => refund.key === key);
      if (made || fault === 'refused' || fault === 'fails') {
        if (!made && fault === 'fails') charge.refunds.push({ key, amount: this.held(charge), status: 'failed' });
        this.reached('a refund is refused');
        return { outcome: 'failed', isListed: fault !== 'refused', disputed: false, why: 'the refund failed' };
      }
      const status = fault === 'pending' ? 'pending' : 'succeeded';
      charge.refunds.push({ key, amount: this.held(charge), status });
    }
    if (fault === 'answer lost') throw this.#unknown('The gateway did not answer');
    if (this.held(charge) > 0) return { outcome: 'failed', isListed: false, disputed: false, why: 'it holds money' };
    const made = charge.refunds.filter(({ status }) => status !== 'failed');
    const gaveBack = made.reduce((sum, { amount }) => sum + amount, 0);
    const pending = made.some(({ status }) => status === 'pending');
    return { outcome: 'done', gaveBack, reference: made.length > 0 ? `re_${made.length}` : null, pending };
  }
}
