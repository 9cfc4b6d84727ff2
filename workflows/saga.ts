/**
 * A running saga: what it is doing, how it stands, and what has been asked of it. Nothing here decides an order; the
 * guarded row in Postgres does.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  setCurrentDetails,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import {
  type OrderSagaInput,
  type OrderSagaResult,
  pendingStep,
  SAGA_FAILURE,
  SAGA_STATE,
  SAGA_STEP,
  type SagaPolicy,
  type SagaState,
  type StepName,
  type StepProgress,
  type StepStatus,
  type UndoName,
  type Waking,
  type Word,
} from '../contracts/saga.js';

export type Saga = {
  readonly input: OrderSagaInput;
  readonly orderId: string;
  readonly policy: SagaPolicy;
  /** When the saga, still parked, unwinds by itself. Milliseconds since the epoch. */
  readonly deadline: number;
  state: SagaState;
  readonly steps: StepProgress[];
  /** The ordinary activity that is running or backing off, so that a handle can end its waiting. */
  inFlight: CancellationScope | undefined;
  /** Counts the times that anybody asked to try again at once. */
  retries: number;
  /** What an operator has asked for, until a try that was begun for it has come to something. */
  word: Word | undefined;
  /** What is being carried out, step or undo; only this can be retried or skipped. */
  current: StepProgress | undefined;
  /** An operator has vouched for this step: never for whatever comes after it. */
  skipped: { step: StepProgress; operator: string } | undefined;
  /** Set by whoever wants the saga unwound; the step that sees it first turns around. */
  unwindRequest: CancellationReason | undefined;
};

/** @param planned the steps that are shown as pending from the start */
export function openSaga(input: OrderSagaInput, planned: readonly StepName[]): Saga {
  const { orderId, policy } = input;
  return {
    input,
    orderId,
    policy,
    deadline: Date.now() + policy.sagaDeadlineMs,
    state: 'RUNNING',
    steps: planned.map((name) => pendingStep(name, 'step')),
    inFlight: undefined,
    retries: 0,
    word: input.word,
    current: undefined,
    skipped: undefined,
    unwindRequest: undefined,
  };
}

/** The last act of a saga. @returns the result, once every update that was accepted has its answer */
export async function endSaga(saga: Saga, result: OrderSagaResult): Promise<OrderSagaResult> {
  saga.state = result.status === 'CONFIRMED' ? 'COMPLETED' : 'COMPENSATED';
  if (result.status === 'CANCELLED') showState(saga, `Cancelled: ${result.reason}. Everything has been undone.`);
  // Also after the workflow itself was cancelled.
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  return result;
}

/** Ends the waiting of a step that is parked or backing off. */
export function tryAgainNow(saga: Saga, by: Waking['by']): void {
  saga.retries++;
  if (by === 'operator' && saga.current && isWaiting(saga)) {
    saga.word = { step: saga.current.name, id: `${workflowInfo().runId}/${saga.retries}` };
  }
  saga.inFlight?.cancel();
}

/** Parked, backing off, or an undo that has given up for the moment; not a step that is being turned away from. */
export const isWaiting = ({ current, inFlight, state, unwindRequest }: Saga): boolean =>
  current !== undefined &&
  (inFlight !== undefined || state === 'NEEDS_ATTENTION') &&
  !(current.kind === 'step' && unwindRequest !== undefined);

/** A try that was begun for this word has come to something, good or bad: the next one is not the operator's any more. */
export function forgetWord(saga: Saga, word: string | undefined): void {
  if (saga.word?.id === word) saga.word = undefined;
}

/** Has the step that waits recorded as done by hand. */
export function skip(saga: Saga, step: StepProgress, operator: string): void {
  saga.skipped = { step, operator };
  tryAgainNow(saga, 'machine');
}

/** Turns the saga around at its next decision; the first reason given stands. An undo is left alone: it is the way back. */
export function requestUnwinding(saga: Saga, reason: CancellationReason): void {
  saga.unwindRequest ??= reason;
  if (saga.current?.kind === 'step') saga.inFlight?.cancel();
}

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
  saga.skipped = undefined;
  if (saga.word?.step === step.name) saga.word = undefined; // of a run before this one, it may be another step's
}

export function endStep(step: StepProgress, status: StepStatus): void {
  step.status = status;
  step.finishedAt = now();
}

const now = (): string => new Date().toISOString();

/** What may be stuck: a step, an undo, or the decision to unwind, which is neither. */
export type Stuck = Pick<StepProgress, 'attempts' | 'lastError'> & { name: StepProgress['name'] | 'beginUnwinding' };

/**
 * Marks the saga as stuck, in the search attributes that operators list by and on its page in the Web UI.
 * @param failure the kind of failure, for grouping; `message` is for reading
 */
export function markAttention(saga: Saga, step: Stuck, failure: { type: string; message: string }): void {
  saga.state = 'NEEDS_ATTENTION';
  upsertSearchAttributes([
    { key: SAGA_STATE, value: saga.state },
    { key: SAGA_STEP, value: step.name },
    { key: SAGA_FAILURE, value: failure.type },
  ]);
  setCurrentDetails(
    `**${step.name}** needs attention after ${step.attempts} attempts: ${failure.message}\n\n` +
      'Send the signal `retry` to try again now, or the update `resolve` to decide.',
  );
}

/** Back to a state in which the saga is working by itself. */
export function clearAttention(saga: Saga, state: 'RUNNING' | 'COMPENSATING', details: string): void {
  saga.state = state;
  upsertSearchAttributes([
    { key: SAGA_STATE, value: state === 'RUNNING' ? null : state },
    { key: SAGA_STEP, value: null },
    { key: SAGA_FAILURE, value: null },
  ]);
  setCurrentDetails(details);
}

function showState(saga: Saga, details: string): void {
  upsertSearchAttributes([{ key: SAGA_STATE, value: saga.state }]);
  setCurrentDetails(details);
}
