/** Dead letters: events that a destination will not take. Each holds its order at that destination, and no other order. */
import type { EventType } from './events.js';

/**
 * `rejected` = the destination has refused it for good; `unavailable-for-this-event` = it fails time and again while others get
 * through; `too-large`, `invalid` = it was not sent at all.
 */
export const DEAD_LETTER_CAUSES = ['rejected', 'unavailable-for-this-event', 'too-large', 'invalid'] as const;
export type DeadLetterCause = (typeof DEAD_LETTER_CAUSES)[number];

/** PARKED is held until an operator decides; REPLAYING is being sent; DELIVERED and DISCARDED are decided. */
export const DEAD_LETTER_STATES = ['PARKED', 'REPLAYING', 'DELIVERED', 'DISCARDED'] as const;
export type DeadLetterState = (typeof DEAD_LETTER_STATES)[number];

export type DeadLetter = {
  id: string;
  destination: string;
  orderId: string;
  sequence: number;
  type: EventType;
  cause: DeadLetterCause;
  /** What the destination, or the check before it, said last. */
  error: string;
  /** Of the order's line at which the destination's words point; null = at none. */
  sku: string | null;
  attempts: number;
  state: DeadLetterState;
  /** Later events of the order that wait behind this one. */
  behind: number;
  parkedAt: string;
  updatedAt: string;
  decidedBy: string | null;
  reason: string | null;
};

/** What is to be done about it. `discard` = this one event is never sent; those behind it are. */
export type DeadLetterDecision = { action: 'replay' | 'discard'; operator: string; reason?: string };

/** Bounds what is kept of a destination's own words. */
export const DEAD_LETTER_ERROR_LENGTH_MAX = 500;
