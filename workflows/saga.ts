/**
 * A running saga: the order that it is about, and what it has in memory, in parts. Each part is a class of state/ whose private
 * fields only its own methods write; all other modules read. Nothing here decides an order; the guarded row in Postgres does.
 */
import { type PlannedStep, requireKnownPlan, type SagaPlan, type StepName, stepsOf } from '../contracts/plan.js';
import type { OrderSagaInput, SagaPolicy } from '../contracts/saga.js';
import { Deadline } from './state/deadline.js';
import { Decisions } from './state/decisions.js';
import { Direction } from './state/direction.js';
import { LocalActivities } from './state/local-activities.js';
import { PendingActivity } from './state/pending-activity.js';
import type { StepLine } from './state/progress.js';
import { Progress } from './state/progress.js';
import { Retries } from './state/retries.js';

export type Saga = {
  readonly input: OrderSagaInput;
  readonly orderId: string;
  readonly plan: SagaPlan;
  /** The plan's steps, those that this order has. */
  readonly planned: readonly PlannedStep[];
  readonly policy: SagaPolicy;
  /** When the saga, still parked, unwinds by itself; it stands still while a brake holds the saga. */
  readonly deadline: Deadline;
  readonly local: LocalActivities;
  readonly progress: Progress;
  readonly pending: PendingActivity;
  readonly retries: Retries;
  readonly decisions: Decisions;
  readonly direction: Direction;
};

/**
 * @param shows the steps that are shown as pending
 * @returns a saga of which nothing has been carried out
 * @throws if a newer build has accepted the order: the workflow task fails until a worker of that build takes it
 */
export function openSaga(input: OrderSagaInput, plan: SagaPlan, shows: 'all-steps' | 'no-steps' = 'all-steps'): Saga {
  const { orderId, policy, planVersion = 1 } = input;
  const local = new LocalActivities(input);
  requireKnownPlan(orderId, planVersion, plan);
  const planned = stepsOf(plan, planVersion);
  const shown = shows === 'all-steps' ? planned.map(({ name }) => name as StepName) : [];
  return {
    input,
    orderId,
    plan,
    planned,
    policy,
    deadline: new Deadline(Date.now() + policy.sagaDeadlineMs),
    progress: new Progress(shown),
    local,
    pending: new PendingActivity(input, local),
    retries: new Retries(input.word),
    decisions: new Decisions(),
    direction: new Direction(),
  };
}

/** The order's steps of this side of the pivot, the pivot included. */
export const upToPivot = ({ plan, planned }: Saga): PlannedStep[] =>
  planned.filter((step) => !plan.afterPivot.some(({ name }) => name === step.name));
export const afterPivot = ({ plan, planned }: Saga): PlannedStep[] =>
  planned.filter((step) => plan.afterPivot.some(({ name }) => name === step.name));

/** However a step was left, done or turned away from: nothing that was said of it may reach the next one. */
export function leaveStep({ progress, retries, decisions }: Saga, step: StepLine): void {
  progress.leave(step);
  retries.leave(step);
  decisions.leave();
}
