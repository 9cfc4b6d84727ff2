/** Facts: what memory holds of the ledger. */
import { BLANKED } from './blanking.js';
import { RecordList } from './record-list.js';
import type { Charge, Customer, Dispute, Entry, EventType, Intent, Outcome, Refund } from './records.js';

/** What was answered to a key, with the records as they were then. */
export interface Remembered {
  outcome: Outcome;
  entry: Entry;
}

/** The indexes, as a function of the entries so far. */
export class Facts {
  readonly intents = new RecordList<Intent>();
  readonly charges = new RecordList<Charge>();
  readonly refunds = new RecordList<Refund>();
  readonly disputes = new RecordList<Dispute>();
  readonly customers = new RecordList<Customer>();
  readonly intentsByOrder = new Map<string, string[]>();
  readonly chargesByIntent = new Map<string, string[]>();
  readonly refundsByIntent = new Map<string, string[]>();
  /** Oldest first, so that forgetting stops at the first young one. */
  readonly outcomes = new Map<string, Remembered>();
  readonly openEvents = new Map<string, { entry: Entry; type: EventType }>();
  lastAt = 0;
  /** When the oldest entry was recorded of which the disk has more than retention leaves. */
  oldestWhole = Number.POSITIVE_INFINITY;

  apply(entry: Entry): void {
    const { at, intent, charge, refund, dispute, customer } = entry;
    this.lastAt = Math.max(this.lastAt, at);
    if (!entry.blanked) this.oldestWhole = Math.min(this.oldestWhole, at);
    if (intent) this.#applyIntent(intent, at);
    if (charge) this.#applyCharge(charge, at);
    if (refund) this.#applyRefund(refund, at);
    if (dispute) this.disputes.put(dispute, at);
    if (customer) this.customers.put(customer, at);
    if (entry.outcome) this.#applyOutcome(entry.outcome, entry);
    for (const { id, type } of entry.events ?? []) this.openEvents.set(id, { entry, type });
    if (entry.closedEvent) this.openEvents.delete(entry.closedEvent);
  }

  /** What is personal of what has not changed since goes. @returns of how many records */
  blank(before: number): number {
    for (const [key, { entry }] of this.outcomes) if (entry.at < before) this.outcomes.delete(key);
    for (const [id, { entry }] of this.openEvents) if (entry.at < before) this.openEvents.delete(id);
    return (
      this.intents.replaceOlder(before, BLANKED.intent) +
      this.charges.replaceOlder(before, BLANKED.charge) +
      this.refunds.replaceOlder(before, BLANKED.refund) +
      this.disputes.replaceOlder(before, BLANKED.dispute) +
      this.customers.replaceOlder(before, BLANKED.customer)
    );
  }

  #applyOutcome(outcome: Outcome, entry: Entry): void {
    this.outcomes.delete(outcome.key); // a key used again after its life moves to the young end
    this.outcomes.set(outcome.key, { outcome, entry });
  }

  #applyIntent(intent: Intent, at: number): void {
    const before = this.intents.get(intent.id)?.metadata['orderId'];
    const orderId = intent.metadata['orderId'];
    if (before !== undefined && before !== orderId) this.#forgetOrder(before, intent.id);
    if (orderId !== undefined && before !== orderId) push(this.intentsByOrder, orderId, intent.id);
    this.intents.put(intent, at);
  }

  #forgetOrder(orderId: string, intent: string): void {
    const others = this.intentsByOrder.get(orderId)?.filter((id) => id !== intent) ?? [];
    if (others.length > 0) this.intentsByOrder.set(orderId, others);
    else this.intentsByOrder.delete(orderId);
  }

  #applyCharge(charge: Charge, at: number): void {
    if (this.charges.indexOf(charge.id) < 0) push(this.chargesByIntent, charge.intent, charge.id);
    this.charges.put(charge, at);
  }

  #applyRefund(refund: Refund, at: number): void {
    if (this.refunds.indexOf(refund.id) < 0) push(this.refundsByIntent, refund.intent, refund.id);
    this.refunds.put(refund, at);
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}
