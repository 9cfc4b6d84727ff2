import type { Clock } from '../clock.js';
import type { Product } from '../product.js';
import type { Outcome } from './core.js';

/** What an attempt of an activity knows of itself. */
export type AttemptInfo = {
  attempt: number;
  startToCloseTimeoutMs: number;
  scheduleToCloseTimeoutMs: number;
  scheduledTimestampMs: number;
  currentAttemptScheduledTimestampMs: number;
};

/** An attempt that a worker has begun. It goes on when nobody waits for it any more: that is what a timeout means. */
export type Attempt = { abandon(how: 'killed' | 'asleep'): void };

/** What an execution needs of the world around it. */
export type Host = {
  readonly clock: Clock;
  readonly product: Product;
  /** Has a worker carry out an activity. @param done is called once at most */
  attempt(name: string, input: unknown, info: AttemptInfo, done: (outcome: Outcome) => void): Attempt;
  /** How long it takes until a worker takes up a task. */
  pickUpMs(): number;
  /** For the assertions of the "sometimes" kind. */
  reached(what: string): void;
  /** What must never happen has happened. */
  violated(invariant: string, how: string): void;
};
