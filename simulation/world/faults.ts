/** What goes wrong in a simulation, and when: chosen by its tape before it begins, and from call to call. */
import type { Clock } from '../clock.js';
import type { Tape } from '../tape.js';

/** In so many of a thousand calls. */
const LEVELS = [0, 0, 60, 300] as const;
const LATE = 700;
const OUTAGES_MS = [0, 0, 0, 5_000, 70_000, 240_000, 1_500_000, 4_500_000] as const;
const SLOW_MS = [40, 900, 3_000, 6_000, 12_000, 30_000] as const;

/** One activity alone is in trouble, for as long as it takes to see what the saga does about it. */
const IN_TROUBLE = [
  ...[undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined],
  ...([
    'reserveInventory',
    'chargePayment',
    'confirmOrder',
    'releaseInventory',
    'refundPayment',
    'cancelOrder',
  ] as const),
] as const;
const TROUBLE_MS = 1_000_000;

/** Whose statement it is; what has been done by hand is only to be recorded. */
type Caller = { name: string; isConfirming: boolean; isByHand: boolean };
type Outage = { from: number; to: number };

export class Faults {
  readonly #tape: Tape;
  readonly #clock: Clock;
  readonly #database: number;
  readonly #gateway: number;
  readonly #slow: number;
  readonly #refunds: number;
  readonly #outages: Record<'database' | 'gateway', Outage>;
  /** Charges arrive late, and people and workers do not wait for that. */
  readonly isLate: boolean;
  readonly inTrouble: (typeof IN_TROUBLE)[number];
  readonly #troubleEnds: number;
  /** From then on all is well. */
  areOver = false;

  constructor(tape: Tape, clock: Clock) {
    this.#tape = tape;
    this.#clock = clock;
    this.isLate = tape.oneOf([false, false, false, true]);
    this.inTrouble = this.isLate ? undefined : tape.oneOf(IN_TROUBLE);
    this.#troubleEnds = clock.now + TROUBLE_MS;
    this.#database = this.inTrouble ? 0 : tape.oneOf(LEVELS);
    this.#gateway = tape.oneOf(LEVELS);
    this.#refunds = tape.oneOf([0, 0, 0, 600]);
    this.#slow = tape.oneOf([0, 0, 40, 200]);
    const outage = (): Outage => {
      const ms = tape.oneOf(OUTAGES_MS);
      const from = clock.now + (ms === 0 ? 0 : tape.oneOf([0, 4, 30, 3_000, 100_000]));
      return { from, to: from + ms };
    };
    this.#outages = { database: outage(), gateway: outage() };
  }

  isAway(neighbour: 'database' | 'gateway'): boolean {
    const { from, to } = this.#outages[neighbour];
    return !this.areOver && this.#clock.now >= from && this.#clock.now < to;
  }

  /** How long a call takes until it is carried out. */
  tookMs(): number {
    return this.#now(this.#slow) ? this.#tape.oneOf(SLOW_MS) : 2;
  }

  /** @returns one of the ways in which a statement fails, or undefined */
  ofStatement({ name, isConfirming, isByHand }: Caller): 'not done' | 'answer lost' | 'locked' | undefined {
    // An order without trouble is confirmed with its charge: only one that had trouble there comes to its confirmation.
    const isIt = name === this.inTrouble || (this.inTrouble === 'confirmOrder' && isConfirming);
    if (isIt && !isByHand && !this.areOver && this.#clock.now < this.#troubleEnds) return 'not done';
    if (!this.#now(this.#database)) return undefined;
    return this.#tape.oneOf(['not done', 'answer lost', 'locked'] as const);
  }

  ofRefund<T>(ways: readonly T[]): T | undefined {
    return this.#now(Math.max(this.#gateway, this.#refunds)) ? this.#tape.oneOf(ways) : undefined;
  }

  ofCharge<L, T>(late: readonly L[], ways: readonly T[]): L | T | undefined {
    return this.isLate && this.#now(LATE) ? this.#tape.oneOf(late) : this.ofGateway(ways);
  }

  ofGateway<T>(ways: readonly T[]): T | undefined {
    return this.#now(this.#gateway) ? this.#tape.oneOf(ways) : undefined;
  }

  #now(level: number): boolean {
    return !this.areOver && this.#tape.chance(level);
  }
}
