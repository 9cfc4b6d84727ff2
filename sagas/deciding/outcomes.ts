/** Outcomes of a decision on one of many, and when what comes of the first says that the rest is not to be tried. */
import type { ItemState } from '../../contracts/operations.js';

export const OUTCOMES = ['done', 'waits', 'refused', 'failed', 'unanswered', 'gone', 'not-tried'] as const;
/**
 * `waits` = accepted, and the gateway is still at it; `refused` = with a sentence, and nothing has changed; `failed` =
 * accepted, but it did not help; `unanswered` = no answer came, and the message says whether it was sent at all; `gone` = the saga had come to its own end.
 */
export type ItemOutcome = (typeof OUTCOMES)[number];

/** One of many, and what came of it. `state` = how its saga, or its dead letter, stands by then. */
export type Item = { orderId: string };
export type ItemResult = Item & { outcome: ItemOutcome; state: string | null; message: string };

/** As many failures without a success between them: the cause is not mended, and the rest would fare no better. */
const FAILURES_IN_A_ROW_MAX = 5;

/** Of a canary, tried first: whatever of it does not do well says that the rest is not to be tried. @returns why, or undefined */
export function stoppedByCanary(outcome: ItemOutcome): string | undefined {
  if (outcome === 'done' || outcome === 'waits' || outcome === 'gone') return undefined;
  return `the canary ${outcome === 'refused' ? 'was' : 'has'} ${outcome}`;
}

/** Counts failures without a success between them. @returns why to stop, as soon as there are too many */
export function createFailureCount(): (outcome: ItemOutcome) => string | undefined {
  let inARow = 0;
  return (outcome) => {
    if (outcome === 'done' || outcome === 'waits') inARow = 0;
    else if (outcome === 'failed' || outcome === 'unanswered') inARow++;
    return inARow >= FAILURES_IN_A_ROW_MAX ? `${inARow} in a row have failed` : undefined;
  };
}

/** What the server keeps of an item, in the words of whoever has decided. */
export const OUTCOME_OF_STATE = {
  open: 'not-tried',
  reached: 'done',
  waits: 'waits',
  skipped: 'not-tried',
  'already-done': 'gone',
  refused: 'refused',
  failed: 'failed',
  unanswered: 'unanswered',
} as const satisfies Record<ItemState, ItemOutcome>;
