/**
 * A running saga: what it is doing, how it stands, and what has been asked of it. Nothing here decides an order; the
 * guarded row in Postgres does.
 */
import type { CancellationScope } from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import {
  type PlannedStep,
  requireKnownPlan,
  type SagaPlan,
  type StepName,
  stepsOf,
  type UndoName,
} from '../contracts/plan.js';
import {
  type OrderSagaInput,
  pendingStep,
  type SagaPolicy,
  type SagaState,
  type StepProgress,
  type StepStatus,
  type Waking,
  type Word,
} from '../contracts/saga.js';
import type { Decision, LeftStep } from '../contracts/steps.js';
import type { Failure } from './failures.js';

/** What may be stuck: a step, an undo, or the decision to unwind, which is neither. */
export type Stuck = Pick<StepProgress, 'attempts' | 'lastError'> & { name: StepProgress['name'] | 'beginUnwinding' };

/** Something whose waiting can be ended: flight.ts. */
export type Flight = {
  readonly scope: CancellationScope;
  /** The activity's name; undefined = nothing but a wait. */
  readonly activity: Stuck['name'] | undefined;
  /** Tries of the activity, for when it is cancelled: then nobody else tells. */
  tries: number;
};

export type Saga = {
  readonly input: OrderSagaInput;
  readonly orderId: string;
  readonly plan: SagaPlan;
  /** The plan's steps, those that this order has. */
  readonly planned: readonly PlannedStep[];
  readonly policy: SagaPolicy;
  /** When the saga, still parked, unwinds by itself. Milliseconds since the epoch. */
  readonly deadline: number;
  state: SagaState;
  /** The kind of failure under which it is listed. */
  markedAs: string | undefined;
  readonly steps: StepProgress[];
  /** What is running or backing off, so that a handle can end its waiting. */
  inFlight: Flight | undefined;
  /** Counts the times that anybody asked to try again at once. */
  retries: number;
  /** What is being carried out, step or undo; only this can be retried or skipped. */
  current: StepProgress | undefined;
  /** Why the current step is parked, until somebody wakes it. */
  parkedFor: Failure | undefined;
  /** Who has woken the step that was parked. */
  wokenBy: Waking['by'] | undefined;
  /** What an operator has asked for, until a try that was begun for it has come to something. */
  word: Word | undefined;
  /** A decision that is accepted and not carried out yet. There is one at a time, and the deadline waits for it. */
  inHand: Decision | undefined;
  /** The step whose next try an operator has decided on before the deadline: it is made, be it after it. */
  granted: StepProgress | undefined;
  /** An operator has vouched for this step: never for whatever comes after it. */
  skipped: { step: StepProgress; operator: string } | undefined;
  /** The order is confirmed, and its last steps are being carried out. */
  isPastPivot: boolean;
  /** Set by whoever wants the saga unwound; the step that sees it first turns around. */
  unwindRequest: CancellationReason | undefined;
  /** An operator's `compensate` to which the order's row has not said yes or no. */
  givenUp: Decision | undefined;
  /** The question whether the order may still be unwound, while it is asked again. */
  turning: Stuck | undefined;
  /** What the last act is to log of the steps that were turned away from. */
  left: LeftStep[];
  /** Entries for the log that are still to be written. */
  notes: number;
};

/**
 * @returns a saga of which nothing has been carried out; all its steps are shown as pending
 * @throws if a newer build has accepted the order: the workflow task fails until a worker of that build takes it
 */
export function openSaga(input: OrderSagaInput, plan: SagaPlan): Saga {
  const { orderId, policy, planVersion = 1 } = input;
  requireKnownPlan(orderId, planVersion, plan);
  const planned = stepsOf(plan, planVersion);
  return {
    input,
    orderId,
    plan,
    planned,
    policy,
    deadline: Date.now() + policy.sagaDeadlineMs,
    state: 'RUNNING',
    markedAs: undefined,
    steps: planned.map(({ name }) => pendingStep(name as StepName, 'step')),
    inFlight: undefined,
    retries: 0,
    current: undefined,
    parkedFor: undefined,
    wokenBy: undefined,
    word: input.word,
    inHand: undefined,
    granted: undefined,
    skipped: undefined,
    isPastPivot: false,
    unwindRequest: undefined,
    givenUp: undefined,
    turning: undefined,
    left: [],
    notes: 0,
  };
}

/** The order's steps of this side of the pivot, the pivot included. */
export const upToPivot = ({ plan, planned }: Saga): PlannedStep[] =>
  planned.filter((step) => !plan.afterPivot.some(({ name }) => name === step.name));
export const afterPivot = ({ plan, planned }: Saga): PlannedStep[] =>
  planned.filter((step) => plan.afterPivot.some(({ name }) => name === step.name));

/** @returns the step's line in the progress, begun now */
export function beginStep(saga: Saga, name: StepName | UndoName, kind: 'step' | 'undo'): StepProgress {
  let step = saga.steps.find((s) => s.name === name);
  if (!step) {
    step = pendingStep(name, kind);
    saga.steps.push(step);
  }
  step.status = 'running';
  step.attempts++;
  step.startedAt ??= now();
  saga.current = step;
  return step;
}

/** However a step was left, done or turned away from: nothing that was said of it may reach the next one. */
export function leaveStep(saga: Saga, step: StepProgress): void {
  step.finishedAt ??= now();
  saga.current = undefined;
  saga.wokenBy = undefined;
  saga.granted = undefined;
  saga.skipped = undefined;
  if (saga.word?.step === step.name) saga.word = undefined; // of a run before this one, it may be another step's
}

export function endStep(step: StepProgress, status: StepStatus): void {
  step.status = status;
  step.finishedAt = now();
}

const now = (): string => new Date().toISOString();
