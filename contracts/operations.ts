/**
 * Operations: one decision of an operator on many sagas or dead letters, which the server carries out. What it is about was frozen
 * into items at its preview; from then on nothing is added to it and nothing taken away, so its items' states add up to its total.
 */
import type { DeadLetterCause } from './dead-letters.js';
import type { Money } from './orders.js';

/** Of sagas, as `resolve` takes them; and of dead letters. */
export const SAGA_ACTIONS = ['retry', 'skip', 'compensate'] as const;
export const LETTER_ACTIONS = ['replay', 'discard'] as const;
export const OPERATION_ACTIONS = [...SAGA_ACTIONS, ...LETTER_ACTIONS] as const;
export type OperationAction = (typeof OPERATION_ACTIONS)[number];

/** `previewed` = frozen, and not begun; `aborted` = what had begun by then comes to its end, and nothing else begins. */
export const OPERATION_STATES = ['previewed', 'running', 'paused', 'aborted', 'finished'] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/**
 * `open` = not concluded; `reached` = the order's row, or the letter's, says so; `waits` = accepted, and the gateway is still at it;
 * `skipped` = not tried, and the message says why; `already-done` = it had come to its end before; `refused` = with a sentence, and
 * nothing has changed; `failed` = accepted, and it did not help; `unanswered` = no answer came: it may still take effect. What waits or
 * is unanswered is `reached` as soon as its row says so.
 */
export const ITEM_STATES = [
  'open',
  'reached',
  'waits',
  'skipped',
  'already-done',
  'refused',
  'failed',
  'unanswered',
] as const;
export type ItemState = (typeof ITEM_STATES)[number];
export type ItemCounts = Record<ItemState, number>;

/** More at a time is an outage, whose cause is to be mended first. */
export const OPERATION_ITEMS_MAX = 10_000;
/** What fits into a request's body. */
export const OPERATION_IDS_MAX = 1_000;
/** Of a canary: so many waves at most, each of so many items. */
export const CANARY_WAVES_MAX = 100;
export const CANARY_WAVE_MAX = 1_000;
export const CANARY_DEFAULT: readonly number[] = [1, 2, 5];
/** Gentle for a neighbour that is just recovering. */
export const OPERATION_RATE = { default: 5, max: 100 } as const;
/** Unfinished at a time; and previews, of which the oldest give way: an operator's own long before those of others. */
export const OPERATIONS_OPEN_MAX = 20;
export const PREVIEWS_OF_ONE_MAX = 20;
export const PREVIEWS_MAX = 200;
/** What stood in a preview is old news after that. */
export const PREVIEW_TTL_MINUTES = 60;
export const OPERATION_MESSAGE_LENGTH_MAX = 500;

/** What an operation was asked to be about; kept to be shown. `atMost`: the first so many of those that matched. */
export type OperationSelection =
  | { orderIds: number }
  | { state: 'NEEDS_ATTENTION' | 'COMPENSATING'; step?: string; failure?: string; atMost?: number }
  | { deadLetterIds: number }
  | { destination?: string; cause?: DeadLetterCause; type?: string; atMost?: number }
  | { operation: string; states: ItemState[] };

/** By itself, or by whom; and why. */
export type OperationPause = { since: string; by: string | null; because: string };

export type Operation = {
  id: string;
  action: OperationAction;
  state: OperationState;
  selection: OperationSelection;
  previewedAt: string;
  previewedBy: string;
  /** When a preview can be started no more; null once it is. */
  expiresAt: string | null;
  startedAt: string | null;
  startedBy: string | null;
  reason: string | null;
  canary: number[];
  ratePerSecond: number;
  /** Items; the counts' sum at every moment. */
  total: number;
  counts: ItemCounts;
  /** What is at stake of what is to be acted on, per currency. */
  amounts: Money[];
  pause: OperationPause | null;
  /** Who ended it before its time. */
  abortedBy: string | null;
  abortReason: string | null;
  endedAt: string | null;
  /** Why items are not acted on, as the preview found; the commonest first. */
  skipped: { because: string; count: number }[];
};

export type OperationItem = {
  no: number;
  orderId: string;
  workflowId: string | null;
  deadLetterId: string | null;
  state: ItemState;
  /** Its saga's state, or its letter's, when it was concluded. */
  outcome: string | null;
  message: string | null;
  /** As the preview found it. */
  seen: { state: string | null; step: string | null; failure: string | null };
  total: Money | null;
  begunAt: string | null;
  endedAt: string | null;
};
