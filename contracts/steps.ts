/** What the activities take and answer: the boundary between the saga's plan and the facts. */
import type { CancellationReason } from './orders.js';
import type { StepName, UndoName } from './plan.js';
import type { StepStatus } from './saga.js';

/**
 * `skippedBy`: an operator vouches that the step has been done by hand; it is recorded as done, and nothing else happens.
 * `triedBefore`: tries of this step before this activity began, for the log.
 * `confirm`: to chargePayment: confirm the order in the transaction that records its charge.
 * `word`: this execution was begun because an operator asked for it, not a machine; another request is another word. What only an
 * operator may have repeated (a second refund, say) is repeated once for each.
 * `wokenBy`: this execution was begun because a machine has found the step's neighbour back; for the log.
 * `forward`: to what may confirm the order: there are steps after that, which a saga has to come back to.
 * `left`: to cancelOrder: the steps that have not logged their own end.
 */
export type StepInput = {
  orderId: string;
  skippedBy?: string;
  triedBefore?: number;
  confirm?: true;
  forward?: true;
  word?: string;
  wokenBy?: 'prober';
  left?: LeftStep[];
};

/** A step that was turned away from: what became of it shows only when the order is unwound. */
export type LeftStep = { step: StepName; outcome: StepStatus; attempts: number; lastError: string | null };

type Action = 'retry' | 'skip' | 'compensate';

/** An operator's decision on a saga, for the log that outlives the history. */
export type Decision = {
  /** Unique to the decision: recorded twice, it is kept once. */
  id: string;
  orderId: string;
  action: Action;
  operator: string;
  reason: string;
  step: string;
  before: string;
};

/** That a decision was not taken after all, and in `reason` why: something else had come first. */
export type NotTaken = Omit<Decision, 'action'> & { action: `${Action}-not-taken` };

/**
 * Attempt of this activity execution, counted from 1, so that a saga can tell how often a step was tried. `confirmed`: the
 * order is confirmed already; there is nothing left for confirmOrder.
 */
export type StepResult = { attempt: number; confirmed?: true };

/** `nothing` = there was nothing to undo; the tombstone is left all the same. */
export type UndoResult = { attempt: number; undone: 'done' | 'nothing' };

/** Who won the pivot: `unwinding` with the reason that was recorded first, or the order is final already. */
export type UnwindResult = { attempt: number } & (
  | { outcome: 'unwinding'; reason: CancellationReason }
  | { outcome: 'confirmed' }
  | { outcome: 'cancelled'; reason: CancellationReason }
);

/** Every step of the plan. @throws a Refusal: one of the step's own, or the reason for which the order is unwinding */
type StepActivities = { [S in StepName]: (input: StepInput) => Promise<StepResult> };
/** Every undo of the plan; never refused. */
type UndoActivities = { [U in UndoName]: (input: StepInput) => Promise<UndoResult> };

export type SagaActivities = StepActivities &
  UndoActivities & {
    /** A confirmed order whose steps after the pivot have come to their ends: no saga has to come back to it. */
    finishOrder(input: { orderId: string }): Promise<void>;
    /** Turns the order from pending to unwinding, unless it is final; must be committed before the first undo. */
    beginUnwinding(input: {
      orderId: string;
      reason: CancellationReason;
      actor?: string;
      detail?: string;
    }): Promise<UnwindResult>;
    recordDecision(input: Decision | NotTaken): Promise<void>;
    /** @returns how often the saga's pending activity of this name has been tried so far; null if there is none */
    countTries(input: { activity: string }): Promise<number | null>;
  };
