/**
 * A refusal is a final "no" that ends the order: out of stock, declined, or the door already shut because the order is
 * unwinding. It is not a failure: nothing is retried, nobody is paged. Across Temporal it travels as a non-retryable
 * ApplicationFailure of the type REFUSAL whose first detail is a `Refusal`.
 */
import type { CancellationReason } from './orders.js';

export const REFUSAL = 'Refusal';

export type Refusal = { reason: CancellationReason };
