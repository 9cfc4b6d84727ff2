/**
 * How a step is carried out. It is tried once as a local activity, which costs one history event; what fails there for
 * a technical reason goes on as an ordinary activity, which an operator can see, pause and reset in the Web UI; what
 * fails for the whole budget parks the saga until someone decides or the deadline comes.
 */
import {
  ActivityCancellationType,
  ActivityFailure,
  type ActivityOptions,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  type LocalActivityOptions,
  proxyActivities,
  proxyLocalActivities,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import { NEEDS_OPERATOR, type Need, REFUSAL, type Refusal } from '../contracts/refusals.js';
import type { StepName, StepProgress } from '../contracts/saga.js';
import type { SagaActivities, StepInput, StepResult, UnwindResult } from '../contracts/steps.js';
import { beginStep, clearAttention, endStep, forgetWord, leaveStep, markAttention, type Saga } from './saga.js';

/**
 * The one table of timeouts and retries. Budgets and deadlines that users set are in the saga's policy.
 * The chain of timeouts: gateway request 4 s < one attempt 5 s (local), so that a hanging gateway ends the attempt
 * from inside and no attempt goes on behind the next one's back.
 */
export const FIRST_TRY: LocalActivityOptions = { startToCloseTimeout: '5s', retry: { maximumAttempts: 1 } };
export const ORDINARY = {
  // Twice the longest healthy attempt; also how long a dead worker's attempt is waited for.
  startToCloseTimeout: '10s',
  // Begins quickly, because most weather is short; ends at a rate that a recovering neighbour can bear.
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' },
  // Never two attempts of one step side by side: a late result is taken, not fenced.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const satisfies ActivityOptions;
/** An undo has no budget: it goes on for ever, and slower, since whatever keeps it down may stay down for hours. */
export const ORDINARY_UNDO = {
  ...ORDINARY,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s' },
} as const satisfies ActivityOptions;

export const firstTry = proxyLocalActivities<SagaActivities>(FIRST_TRY);

/** The order is to be unwound. `recorded` = the order's row says so already, with this reason. */
export class Unwind extends Error {
  override name = 'Unwind';
  constructor(
    readonly reason: CancellationReason,
    readonly recorded: boolean,
  ) {
    super(`unwinding: ${reason}`);
  }
}

/**
 * The saga's steps, each to be called once. A call returns when the step is done, or throws `Unwind`.
 *
 * The first try of the charge passes the pivot in the transaction that records the charge: one local activity and one
 * commit less for every order without trouble. Whatever had trouble goes on step by step, so that an operator sees which
 * one is stuck. (docs/decisions/0008)
 */
export const stepsOf = (saga: Saga) => {
  let isConfirmed = false;
  return {
    reserveInventory: () => runStep(saga, 'reserveInventory'),
    chargePayment: async () => {
      isConfirmed = (await runStep(saga, 'chargePayment', { confirm: true })).confirmed === true;
    },
    confirmOrder: async () => {
      if (isConfirmed) noteStep(saga, 'confirmOrder');
      else await runStep(saga, 'confirmOrder');
    },
  };
};

async function runStep(saga: Saga, name: StepName, atFirst: { confirm?: true } = {}): Promise<StepResult> {
  throwIfUnwindRequested(saga);
  const step = beginStep(saga, name, 'step');
  try {
    return await carryOut(saga, name, step, atFirst);
  } finally {
    leaveStep(saga, step);
  }
}

/** A step that was done together with the one before it. */
function noteStep(saga: Saga, name: StepName): void {
  const step = beginStep(saga, name, 'step');
  endStep(step, 'completed');
  leaveStep(saga, step);
}

/** @param atFirst is asked of the first try only */
async function carryOut(
  saga: Saga,
  name: StepName,
  step: StepProgress,
  atFirst: { confirm?: true },
): Promise<StepResult> {
  try {
    const result = await firstTry[name]({ orderId: saga.orderId, ...atFirst });
    endStep(step, 'completed');
    return result;
  } catch (err) {
    throwIfFinal(saga, step, err);
    const failure = describeFailure(err);
    if (needsOperator(err)) await park(saga, name, step, failure);
    return runOrdinarily(saga, name, step, failure);
  }
}

async function runOrdinarily(saga: Saga, name: StepName, step: StepProgress, failure: Failure): Promise<StepResult> {
  let budgetEnds = Date.now() + saga.policy.stepRetryBudgetMs;
  for (;;) {
    throwIfUnwindRequested(saga);
    if (Date.now() >= saga.deadline) throw new Unwind('DEADLINE_EXCEEDED', false);
    const retriesSeen = saga.retries;
    const input = inputOf(saga, step);
    step.status = 'retrying';
    try {
      const result = await inFlight(saga, () => {
        const scheduleToCloseTimeout = Math.max(1_000, Math.min(budgetEnds, saga.deadline) - Date.now());
        const ordinary = proxyActivities<SagaActivities>({
          ...ORDINARY,
          scheduleToCloseTimeout,
          summary: whyAgain(step),
        });
        return ordinary[name](input);
      });
      step.attempts += result.attempt;
      endStep(step, input.skippedBy === undefined ? 'completed' : 'skipped');
      return result;
    } catch (err) {
      step.attempts += attemptsOf(err);
      throwIfFinal(saga, step, err);
      // A budget that ends before a try does says nothing: what the try before met is what an operator must know.
      if (saysMoreThanTimeout(err)) failure = describeFailure(err);
      if (!isCancellation(err)) forgetWord(saga, input.word);
      if (saga.retries === retriesSeen) await park(saga, name, step, failure);
      // Whoever asks for another try means a whole one.
      budgetEnds = Date.now() + saga.policy.stepRetryBudgetMs;
    }
  }
}

/** For the timeline in the Web UI, beside the activity's name: what the try before it met. */
export const whyAgain = ({ lastError }: StepProgress): string => `after: ${lastError ?? 'the first try'}`.slice(0, 150);

/** What an activity is given: the order, and the operator if one vouches for this very step, or has asked for this try. */
export const inputOf = (saga: Saga, step: StepProgress): StepInput => ({
  orderId: saga.orderId,
  triedBefore: step.attempts,
  ...(saga.skipped?.step === step && { skippedBy: saga.skipped.operator }),
  ...wordFor(saga, step),
});

/** Given again to the try after one that was cancelled: an operator's wish outlives a machine's. */
export const wordFor = ({ word }: Saga, { name }: StepProgress): { word?: string } =>
  word?.step === name ? { word: word.id } : {};

/** Runs an ordinary activity in a scope that `retry` and `resolve` can end while it backs off. */
export async function inFlight<T>(saga: Saga, run: () => Promise<T>): Promise<T> {
  saga.inFlight = new CancellationScope();
  try {
    return await saga.inFlight.run(run);
  } finally {
    saga.inFlight = undefined;
  }
}

/** Waits for an operator. @throws Unwind when the deadline comes first, or when that is the decision */
async function park(saga: Saga, name: StepName, step: StepProgress, failure: Failure) {
  const retriesSeen = saga.retries;
  step.status = 'parked';
  markAttention(saga, step, failure);
  const decided = await condition(
    () => saga.retries > retriesSeen || saga.unwindRequest !== undefined,
    Math.max(1, saga.deadline - Date.now()),
    { summary: `${name} waits for an operator, or for the deadline` },
  ).catch((err: unknown) => {
    if (isCancellation(err)) throw new Unwind('OPERATOR', false);
    throw err;
  });
  throwIfUnwindRequested(saga);
  if (!decided) throw new Unwind('DEADLINE_EXCEEDED', false);
  clearAttention(saga, 'RUNNING', `**${name}** is being tried again.`);
}

function throwIfUnwindRequested(saga: Saga): void {
  if (saga.unwindRequest !== undefined) throw new Unwind(saga.unwindRequest, false);
}

/** Tells a refusal, a turn-around and the end of the workflow from weather, which alone returns. */
function throwIfFinal(saga: Saga, step: StepProgress, err: unknown): void {
  const refusal = refusalOf(err);
  if (refusal) {
    step.lastError = refusal.reason;
    endStep(step, 'refused');
    throw new Unwind(refusal.reason, true);
  }
  throwIfUnwindRequested(saga);
  // Somebody cancelled the workflow itself, from the Web UI or the CLI: they want the order gone.
  if (CancellationScope.current().consideredCancelled) throw new Unwind('OPERATOR', false);
  if (!isCancellation(err)) step.lastError = describeFailure(err).message;
}

/**
 * Asks the order's row who has won, and makes it "unwinding" if nobody has. Tried without limit.
 * @param mark is called when the first try has failed; the scope that it gives is cancelled when there is an answer
 */
export async function decideUnwinding(
  saga: Saga,
  reason: CancellationReason,
  who: { actor?: string; detail?: string } = {},
  mark?: (failure: Failure) => CancellationScope | undefined,
): Promise<UnwindResult> {
  const input = { orderId: saga.orderId, reason, ...who };
  try {
    return await firstTry.beginUnwinding(input);
  } catch (err) {
    const marking = mark?.(describeFailure(err));
    try {
      // Not swallowed: the same call goes on as an ordinary activity, until it is answered.
      const ordinary = proxyActivities<SagaActivities>({ ...ORDINARY_UNDO, summary: 'beginUnwinding' });
      return await ordinary.beginUnwinding(input);
    } finally {
      marking?.cancel();
    }
  }
}

/** A local activity's ApplicationFailure arrives bare, an ordinary activity's wrapped in an ActivityFailure. */
const causeOf = (err: unknown): unknown => (err instanceof ActivityFailure ? err.cause : err);

function refusalOf(err: unknown): Refusal | undefined {
  const cause = causeOf(err);
  if (!(cause instanceof ApplicationFailure) || cause.type !== REFUSAL) return undefined;
  return cause.details?.[0] as Refusal;
}

/** @returns how often an activity that ended badly was tried, as far as its last failure tells */
export function attemptsOf(err: unknown): number {
  const cause = realCauseOf(err);
  const [told] = cause instanceof ApplicationFailure ? (cause.details ?? []) : [];
  return (told as Partial<StepResult> | undefined)?.attempt ?? 0;
}

/** The last real error: a timeout of the whole budget hides it one deeper. */
function realCauseOf(err: unknown): unknown {
  const cause = causeOf(err);
  return cause instanceof TimeoutFailure && cause.cause !== undefined ? cause.cause : cause;
}

const saysMoreThanTimeout = (err: unknown): boolean => !(realCauseOf(err) instanceof TimeoutFailure);

/** Waiting does not help: somebody has to do something first. */
export function needsOperator(err: unknown): boolean {
  const cause = realCauseOf(err);
  return cause instanceof ApplicationFailure && cause.type === NEEDS_OPERATOR;
}

export type Failure = { type: string; message: string };

export function describeFailure(err: unknown): Failure {
  const cause = realCauseOf(err);
  if (cause instanceof ApplicationFailure && cause.type === NEEDS_OPERATOR) {
    const [need] = (cause.details ?? []) as [Need?];
    return { type: need?.kind ?? NEEDS_OPERATOR, message: cause.message };
  }
  if (cause instanceof ApplicationFailure) return { type: cause.type ?? 'Error', message: cause.message };
  return cause instanceof Error
    ? { type: cause.name, message: cause.message }
    : { type: 'Error', message: String(cause) };
}
