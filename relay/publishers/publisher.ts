import type { CloudEvent } from '../../contracts/events.js';

/** What became of one event of a batch. */
export type PublishOutcome =
  /** The destination has it durably. */
  | { outcome: 'taken' }
  /** Nothing was tried: an earlier event of the same order was not taken, the destination looked down by then, or the batch took too long. */
  | { outcome: 'not-sent' }
  /**
   * No answer, or one that says nothing about this event (5xx, timeouts, 401, 404): a transient failure, or a wrong set-up.
   * `retryAfterMs` = how long the destination asks to be left alone; `isBusy` = it says that it has too much to do.
   */
  | { outcome: 'unavailable'; error: Error; retryAfterMs?: number; isBusy?: boolean }
  /** The destination rejects this very event: it is malformed or too large for it, and will be the next time. */
  | { outcome: 'rejected'; error: Error };

/** Is told what a publisher has made because the broker had none, e.g. `topic "orders"`. */
export type OnMade = (what: string) => void;

/** A destination of events. */
export type Publisher = {
  /** Unique; names the destination's cursors, so renaming one sends everything again. */
  readonly destination: string;
  /**
   * Sends a batch: events of several orders, each order's in sequence, orders side by side as the destination allows.
   * Never throws for what happens to an event. @returns one outcome per event, in the order given
   */
  publish(events: readonly CloudEvent[]): Promise<PublishOutcome[]>;
  close(): Promise<void>;
};
