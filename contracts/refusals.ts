/**
 * A refusal is a final "no" that ends the order: out of stock, declined, or turned away by the order state guard because the
 * order is unwinding. It is not a failure: nothing is retried, no operator is paged. Across Temporal it travels as a non-retryable
 * ApplicationFailure of the type REFUSAL whose first detail is a `Refusal`.
 */
import type { CancellationReason } from './orders.js';

export const REFUSAL = 'Refusal';

/** Stands in the message of a step whose charge the gateway has neither taken nor refused yet: time decides, not an operator. */
export const STILL_PROCESSED = 'is being processed';

export type Refusal = { reason: CancellationReason };

/**
 * What only an operator can decide or mend: waiting does not help, so nothing is retried and the saga is marked at once.
 * Across Temporal: a non-retryable ApplicationFailure of this type whose first detail is a `Need`.
 */
export const NEEDS_OPERATOR = 'NeedsOperator';

/** `kind`: for lists and grouping (the search attribute SagaFailure), in PascalCase. */
export type Need = { kind: string; attempt: number };
