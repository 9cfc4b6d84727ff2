/**
 * Ledger: the facts of the sandbox. Memory holds the indexes, the journal the truth. An entry counts in memory at once, so
 * that the next decision sees it, but no answer or event names it before it is on disk: answers wait for `record` or
 * `durable`. Nothing here decides what may happen; that is for provider/.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Journal, openJournal } from './journal.js';
import { acquireLock } from './lock.js';
import { Facts, type Remembered } from './facts.js';
import {
  type Charge,
  type Customer,
  type Dispute,
  type Entry,
  type EventType,
  type Intent,
  newId,
  type Outcome,
  type Refund,
} from './records.js';
import { Blanking } from './left-over.js';

/** As long as the provider keeps them. After that the same key charges again, there as here. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000;

/** A change to record, before it is given its time and its event ids. */
export interface Change {
  intent?: Intent;
  charge?: Charge;
  refund?: Refund;
  dispute?: Dispute;
  customer?: Customer;
  outcome?: Outcome;
  previous?: Record<string, unknown>;
  events?: EventType[];
}

export interface LedgerOptions {
  directory: string;
  now: () => number;
  /** Whether webhook events are recorded: the provider, too, sends only what happened while an endpoint existed. */
  recordEvents: boolean;
  onFatal: (err: unknown) => void;
}

/** @throws LockedError when another sandbox owns the directory */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const unlock = acquireLock(join(options.directory, 'lock'));
  try {
    const facts = new Facts();
    const journal = await openJournal(join(options.directory, 'ledger.jsonl'), {
      onLine: (line) => facts.apply(JSON.parse(line) as Entry),
      onFatal: options.onFatal,
    });
    return new Ledger(facts, journal, unlock, options);
  } catch (err) {
    unlock();
    throw err;
  }
}

export class Ledger {
  readonly #listeners: ((entry: Entry) => void)[] = [];

  constructor(
    readonly facts: Facts,
    private readonly journal: Journal,
    private readonly unlock: () => void,
    private readonly options: LedgerOptions,
  ) {}

  /** Milliseconds since 1970. Never runs backwards, not even when the machine's clock does: lists are in this order. */
  now(): number {
    return Math.max(this.facts.lastAt, this.options.now());
  }

  /** @returns the entry, once it is on disk */
  async record({ events = [], ...change }: Change): Promise<Entry> {
    const entry: Entry = { at: this.now(), ...change };
    if (this.options.recordEvents && events.length > 0)
      entry.events = events.map((type) => ({ id: newId('evt'), type }));
    this.facts.apply(entry);
    await this.journal.append(JSON.stringify(entry));
    for (const listener of this.#listeners) listener(entry);
    return entry;
  }

  /** The event needs no more sending. That is kept without hurry: lost in a crash, it is sent once more. */
  closeEvent(id: string): void {
    const entry: Entry = { at: this.now(), closedEvent: id };
    this.facts.apply(entry);
    this.journal.jot(JSON.stringify(entry));
  }

  /** The listener is called with each entry once it is on disk. */
  onRecorded(listener: (entry: Entry) => void): void {
    this.#listeners.push(listener);
  }

  /** Everything recorded so far is on disk; call it before answering from memory. */
  durable(): Promise<void> {
    return this.journal.durable();
  }

  remembered(key: string): Remembered | undefined {
    const oldest = this.now() - KEY_LIFE_MS;
    for (const [old, { entry }] of this.facts.outcomes) {
      if (entry.at > oldest) break;
      this.facts.outcomes.delete(old);
    }
    return this.facts.outcomes.get(key);
  }

  chargesOf(intent: string): Charge[] {
    return (this.facts.chargesByIntent.get(intent) ?? []).flatMap((id) => this.facts.charges.get(id) ?? []);
  }

  intentsOf(orderId: string): Intent[] {
    return (this.facts.intentsByOrder.get(orderId) ?? []).flatMap((id) => this.facts.intents.get(id) ?? []);
  }

  refundsOf(intent: string): Refund[] {
    return (this.facts.refundsByIntent.get(intent) ?? []).flatMap((id) => this.facts.refunds.get(id) ?? []);
  }

  disputesOf(charge: string): Dispute[] {
    return this.facts.disputes.items.filter((dispute) => dispute.charge === charge);
  }

  /**
   * What is personal of records that have not changed since goes from memory and from the disk, and with it what was
   * answered to keys and what announced them. Nothing is written if there is nothing so old.
   * @returns of how many records
   */
  async forget(before: number): Promise<number> {
    const count = this.facts.blank(before);
    if (this.facts.oldestWhole >= before) return count;
    const startedAt = this.now();
    const blanking = new Blanking(before);
    await this.journal.rewrite(blanking);
    this.facts.oldestWhole = blanking.oldestWhole ?? startedAt;
    return count;
  }

  async close(): Promise<void> {
    await this.journal.close();
    this.unlock();
  }
}
