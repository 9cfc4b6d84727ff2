/**
 * Upcoming: what records turn into by themselves, at the time that stands in each of them, so that a restart forgets none.
 * That time has come when it has passed on this machine, or when the ledger's clock says so at the next request: a test
 * that moves the clock by weeks need not wait for them.
 */
import type { Logger } from 'pino';
import type { Ledger } from '../ledger/ledger.js';
import type { Charge, Refund } from '../ledger/records.js';
import { findCard } from '../provider/cards.js';
import { openDispute } from '../provider/dispute-states.js';
import { moved } from '../provider/refund-states.js';

/** Longer ones overflow Node's timers and would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

interface Waiting {
  at: number;
  timer: NodeJS.Timeout;
  run: () => Promise<unknown>;
}

export class Upcoming {
  /** By the id of the record. */
  readonly #waiting = new Map<string, Waiting>();
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(
    private readonly ledger: Ledger,
    private readonly logger: Logger,
  ) {
    for (const refund of ledger.facts.refunds.items) this.#watchRefund(refund);
    for (const charge of ledger.facts.charges.items) this.#watchCharge(charge);
    ledger.onRecorded(({ refund, charge }) => {
      // As they are now: another entry may have been recorded while this one was being written.
      if (refund) this.#watchRefund(ledger.facts.refunds.get(refund.id) ?? refund);
      if (charge) this.#watchCharge(ledger.facts.charges.get(charge.id) ?? charge);
    });
  }

  /** Lets everything happen whose time has come by the ledger's clock. */
  async catchUp(): Promise<void> {
    const now = this.ledger.now();
    if (now < this.#nextAt) return;
    const due = [...this.#waiting].filter(([, { at }]) => at <= now).sort(([, a], [, b]) => a.at - b.at);
    for (const [id] of due) await this.#happen(id);
    this.#nextAt = Math.min(...[...this.#waiting.values()].map(({ at }) => at));
  }

  stop(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #watchRefund({ id, upcoming }: Refund): void {
    this.#watch(id, upcoming?.at, async () => {
      const refund = this.ledger.facts.refunds.get(id);
      if (refund?.upcoming) await this.ledger.record(moved(this.ledger, refund, refund.upcoming.to));
    });
  }

  #watchCharge({ id, upcoming }: Charge): void {
    this.#watch(id, upcoming?.at, async () => {
      const charge = this.ledger.facts.charges.get(id);
      const terms = findCard(charge?.paymentMethod ?? '')?.dispute;
      // What was refunded in full meanwhile is not disputed any more.
      const isLeft = charge !== undefined && charge.amountRefunded < charge.amount;
      if (charge?.upcoming && terms && isLeft) await openDispute(this.ledger, charge, terms);
    });
  }

  #watch(id: string, at: number | undefined, run: Waiting['run']): void {
    const known = this.#waiting.get(id);
    if (known?.at === at) return;
    clearTimeout(known?.timer);
    this.#waiting.delete(id);
    if (at === undefined) return;
    this.#waiting.set(id, { at, run, timer: this.#wake(id, Math.max(0, at - this.ledger.now())) });
    this.#nextAt = Math.min(this.#nextAt, at);
  }

  #wake(id: string, afterMs: number): NodeJS.Timeout {
    return setTimeout(
      () => {
        const waiting = this.#waiting.get(id);
        if (waiting && afterMs > TIMER_MAX_MS) waiting.timer = this.#wake(id, afterMs - TIMER_MAX_MS);
        else void this.#happen(id);
      },
      Math.min(afterMs, TIMER_MAX_MS),
    );
  }

  async #happen(id: string): Promise<void> {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    await waiting.run().catch((err: unknown) => this.logger.error({ err, id }, 'what was to happen has not'));
  }
}
