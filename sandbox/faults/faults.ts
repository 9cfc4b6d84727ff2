/**
 * Faults: how the sandbox misbehaves on request. A fault is set over HTTP (routes.ts) or comes with a card
 * (provider/cards.ts), applies to the requests it matches until it is used up or cleared, and is forgotten at a restart.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../ledger/records.js';
import { type Mode, type ROUTES, type Route, strikes } from './modes.js';

const FAULTS_MAX = 1_000;
const REFUSED_KEYS_MAX = 100_000;

export interface Fault {
  mode: Mode;
  /** Null: until an intervention or the end of the fault. */
  delayMs: number | null;
  /** The value of the header, as it is to be sent. */
  retryAfter?: string | undefined;
  echo?: Echo | undefined;
  /** What the Date header is to say instead of the time. */
  date?: WrongDate | undefined;
  orderId?: string | null;
}

/** What an answer is to say instead of the truth. */
export interface Echo {
  amount?: number | undefined;
  currency?: string | undefined;
}

/** As it is to be sent, or how far off it is. */
export interface WrongDate {
  date?: string | undefined;
  aheadMs?: number | undefined;
}

export interface FaultRequest extends Echo, WrongDate {
  mode: Mode;
  route?: (typeof ROUTES)[number];
  count?: number | null;
  delayMs?: number;
  orderId?: string;
  retryAfter?: string;
  event?: string;
}

interface SetFault extends Fault {
  id: string;
  route: (typeof ROUTES)[number];
  count: number | null;
  orderId: string | null;
  /** The type of webhook event that it is about; null = any. */
  event: string | null;
}

/** What a fault is matched against. */
export interface Target {
  routes: readonly Route[];
  orderId?: string | undefined;
  event?: string;
  /** The fault of the card that the request is about to charge. */
  cardFault?: Mode | undefined;
  key?: string | undefined;
}

export interface FaultTiming {
  hangMs: number;
  slowMs: number;
}

export class Faults {
  #set: SetFault[] = [];
  /** Keys that have met their outage; a restart forgets them, and then they meet it once more. */
  readonly #refusedKeys = new Set<string>();
  readonly #stop = new AbortController();

  constructor(private readonly timing: FaultTiming) {
    setMaxListeners(0, this.#stop.signal); // any number of requests may be waiting
  }

  /** The fault that this request meets, if any; counts it as used. A set fault wins over the card's own. */
  take(target: Target): Fault | undefined {
    const found = this.#set.find((fault) => matches(fault, target));
    if (!found) return this.#cardFault(target);
    this.#use(found);
    return found;
  }

  /** A wrong date is on an answer whatever else its request meets. @returns the header, if a fault is to set it */
  takeDate(nowMs: number): string | undefined {
    const found = this.#set.find(({ mode }) => mode === 'wrong_date');
    if (!found?.date) return undefined;
    this.#use(found);
    const { date, aheadMs = 0 } = found.date;
    return date ?? new Date(nowMs + aheadMs).toUTCString();
  }

  #use(fault: SetFault): void {
    if (fault.count !== null) fault.count -= 1;
    if (fault.count === 0) this.#set = this.#set.filter((other) => other !== fault);
  }

  #cardFault({ cardFault: mode, key }: Target): Fault | undefined {
    if (mode === undefined) return undefined;
    if (mode === 'down' && key !== undefined && !this.#refuseOnce(key)) return undefined;
    return { mode, delayMs: this.#delayOf(mode) };
  }

  /** @returns whether this is the key's first time */
  #refuseOnce(key: string): boolean {
    if (this.#refusedKeys.has(key)) return false;
    const [oldest] = this.#refusedKeys;
    if (oldest !== undefined && this.#refusedKeys.size >= REFUSED_KEYS_MAX) this.#refusedKeys.delete(oldest);
    this.#refusedKeys.add(key);
    return true;
  }

  add(request: FaultRequest): SetFault {
    const { mode, route = 'all', count = null, orderId = null, delayMs = this.#delayOf(mode), event = null } = request;
    const { retryAfter, amount, currency, date, aheadMs } = request;
    const fault: SetFault = { id: newId('flt'), mode, route, count, orderId, delayMs, event };
    if (retryAfter !== undefined) fault.retryAfter = retryAfter;
    if (mode === 'wrong_echo') fault.echo = { amount, currency };
    if (mode === 'wrong_date') fault.date = { date, aheadMs };
    this.#set = [...this.#set, fault].slice(-FAULTS_MAX);
    return fault;
  }

  list(): readonly SetFault[] {
    return this.#set;
  }

  clear(): void {
    this.#set = [];
  }

  /** @returns false when the sandbox is stopping, so that a waiting request gives up */
  async wait(delayMs: number | null): Promise<boolean> {
    return await sleep(delayMs ?? 0, true, { signal: this.#stop.signal }).catch(() => false);
  }

  /** Ends all waiting, so that a hanging request never delays a shutdown. */
  stop(): void {
    this.#stop.abort();
  }

  #delayOf(mode: Mode): number | null {
    if (mode === 'refund_pending' || mode === 'refund_fails_later') return null;
    return mode === 'slow' || mode === 'webhook_late' ? this.timing.slowMs : this.timing.hangMs;
  }
}

function matches(fault: SetFault, target: Target): boolean {
  // A list is about no order; a wrong echo picks its order's objects out of it.
  const isPicked = fault.mode === 'wrong_echo' && target.routes.includes('list');
  return (
    fault.mode !== 'wrong_date' &&
    strikes(fault.mode, fault.route, target.routes) &&
    (fault.orderId === null || fault.orderId === target.orderId || isPicked) &&
    (fault.event === null || fault.event === target.event)
  );
}
