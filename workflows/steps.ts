/**
 * How a step is carried out. It is tried once as a local activity, which costs one history event; what fails there for
 * a technical reason goes on as an ordinary activity, which an operator can see, pause and reset in the Web UI; what
 * fails for the whole budget parks the saga until someone decides or the deadline comes.
 */
import {
  ActivityCancellationType,
  type ActivityOptions,
  CancellationScope,
  condition,
  isCancellation,
  type LocalActivityOptions,
  patched,
  proxyActivities,
  setCurrentDetails,
  sleep,
} from '@temporalio/workflow';
import type { CancellationReason } from '../contracts/orders.js';
import { type StepName, stepNamed } from '../contracts/plan.js';
import type { SagaActivities, StepInput, StepResult } from '../contracts/steps.js';
import { clearAttention, markAgain } from './attention.js';
import {
  describeFailure,
  type Failure,
  isCutShort,
  lastErrorAfter,
  refusalOf,
  saysMoreThanTimeout,
} from './failures.js';
import { isHeld, isOfToday, parksAtOnce } from './generation.js';
import { afterPivot, leaveStep, type Saga, upToPivot } from './saga.js';
import type { StepLine } from './state/progress.js';
import { logFact } from './log.js';
import { traceParking } from './trace.js';

/**
 * The one table of timeouts and retries. Budgets and deadlines that users set are in the saga's policy.
 * An attempt asks the gateway more than once; all of it shares one deadline below the attempt's limit (gateways/deadline), so that
 * a hanging gateway ends the attempt from inside. A worker that died or sleeps can still have a request under way behind the next
 * attempt's back: that is why look-ups ask which attempts may still run (domain/charge-attempts).
 */
export const FIRST_TRY: LocalActivityOptions = { startToCloseTimeout: '5s', retry: { maximumAttempts: 1 } };
export const ORDINARY = {
  // Twice the longest healthy attempt; also how long a dead worker's attempt is waited for.
  startToCloseTimeout: '10s',
  // Begins quickly, because most transient failures are short; ends at a rate that a recovering neighbour can bear.
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' },
  // Never two attempts of one step side by side: a late result is taken, not fenced.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const satisfies ActivityOptions;
/** An undo has no budget: it goes on for ever, and slower, since its cause may last for hours. */
export const ORDINARY_UNDO = {
  ...ORDINARY,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s' },
} as const satisfies ActivityOptions;

/** How often an undo that ended for good (a bug, an operator's mistake) is tried again without being asked. */
export const WAIT_BEFORE_RETRY = '60s';

export const firstTry = ({ local }: Saga) => local.with(FIRST_TRY);

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
 * @returns what carries out the saga's steps up to the pivot, each to be asked for once, in the plan's order. A call returns when
 *   the step is done, or throws `Unwind`; a step that is not this order's, or that comes after the pivot, is passed over.
 *
 * The first try of the step that shares the pivot passes it in its own transaction: one local activity and one commit less
 * for every order without trouble. Whatever had trouble goes on step by step, so that an operator sees which one is stuck.
 * (docs/decisions/0008)
 */
export const stepRunner = (saga: Saga) => {
  const ours = upToPivot(saga);
  let isConfirmed = false;
  return async (name: string): Promise<void> => {
    const planned = ours.find((step) => step.name === name);
    if (!planned) return;
    if (planned === saga.plan.pivot && isConfirmed) return noteStep(saga, name as StepName);
    const atFirst = planned.sharesPivot ? ({ confirm: true } as const) : {};
    const { confirmed } = await runStep(saga, name as StepName, atFirst);
    if (confirmed) isConfirmed = true;
  };
};

async function runStep(saga: Saga, name: StepName, atFirst: { confirm?: true } = {}): Promise<StepResult> {
  throwIfUnwindRequested(saga);
  const step = saga.progress.begin(name, 'step');
  try {
    return await carryOut(saga, name, step, atFirst);
  } finally {
    leaveStep(saga, step);
  }
}

/** A step that was done together with the one before it. */
function noteStep(saga: Saga, name: StepName): void {
  const step = saga.progress.begin(name, 'step');
  saga.progress.end(step, 'completed');
  leaveStep(saga, step);
}

/** @param atFirst is asked of the first try only */
async function carryOut(saga: Saga, name: StepName, step: StepLine, atFirst: { confirm?: true }): Promise<StepResult> {
  try {
    const result = await firstTry(saga)[name]({ orderId: saga.orderId, ...atFirst, ...forwardFor(saga, name) });
    saga.progress.end(step, 'completed');
    return result;
  } catch (err) {
    throwIfFinal(saga, step, err);
    const failure = describeFailure(err);
    if (parksAtOnce(saga.input, err)) await park(saga, name, step, failure);
    return runOrdinarily(saga, name, step, failure);
  }
}

/** What is left of a step's tries: those of a whole budget, or one. */
type Allowance = { endsAt: number; once: boolean };
const wholeBudget = (saga: Saga): Allowance => ({ endsAt: Date.now() + saga.policy.stepRetryBudgetMs, once: false });

async function runOrdinarily(saga: Saga, name: StepName, step: StepLine, failure: Failure): Promise<StepResult> {
  const { progress, pending, retries, decisions } = saga;
  let allowed = wholeBudget(saga);
  for (;;) {
    throwIfUnwindRequested(saga);
    if (!decisions.isGranted(step) && Date.now() >= saga.deadline.atMs) throw new Unwind('DEADLINE_EXCEEDED', false);
    const isAsked = retries.watch();
    const input = inputOf(saga, step);
    progress.setStatus(step, 'retrying');
    try {
      const ordinary = proxyActivities<SagaActivities>(optionsOf(saga, step, allowed));
      const result = await pending.run(name, () => ordinary[name](input));
      progress.countTries(step, result.attempt);
      progress.end(step, input.skippedBy === undefined ? 'completed' : 'skipped');
      if (progress.state === 'NEEDS_ATTENTION')
        clearAttention(saga, 'RUNNING', `**${name}** succeeded by itself; going on.`);
      return result;
    } catch (err) {
      progress.countTries(step, pending.triesOf(err));
      throwIfFinal(saga, step, err);
      if (saysMoreThanTimeout(err)) failure = describeFailure(err);
      if (!isCancellation(err)) retries.forgetOperatorRequest(input.word);
      if (!isAsked()) {
        if (!isCancellation(err)) decisions.endGrant();
        if (isCutShort(err) && (await lastTryIsDue(saga, name, step, allowed))) {
          allowed = { ...allowed, once: true };
          continue;
        }
      }
      if (!isAsked()) await park(saga, name, step, failure);
      else if (progress.state === 'NEEDS_ATTENTION') clearAttention(saga, 'RUNNING', beingTried(name));
      allowed = retries.wokenBy === 'prober' ? { endsAt: 0, once: true } : wholeBudget(saga); // any other asks for a whole one
    }
  }
}

function optionsOf(saga: Saga, step: StepLine, { endsAt, once }: Allowance): ActivityOptions {
  if (once)
    return { ...ORDINARY, retry: { maximumAttempts: 1 }, scheduleToCloseTimeout: '10s', summary: whyAgain(saga, step) };
  // What an operator has decided before the deadline is tried after it too.
  const ends = saga.decisions.isGranted(step) ? endsAt : Math.min(endsAt, saga.deadline.atMs);
  const scheduleToCloseTimeout = Math.max(1_000, ends - Date.now());
  return { ...ORDINARY, scheduleToCloseTimeout, summary: whyAgain(saga, step) };
}

/**
 * The server ends an activity as soon as its next pause would go beyond the budget: up to a quarter of it would be given away.
 * @returns whether one more try is to be made now, at the budget's end; not when there was a request to try again or to unwind
 */
async function lastTryIsDue(saga: Saga, name: StepName, step: StepLine, { endsAt, once }: Allowance): Promise<boolean> {
  const leftMs = endsAt - Date.now();
  if (once || leftMs <= 0 || endsAt >= saga.deadline.atMs) return false;
  if (!isOfToday(saga.input) || !patched('whole-budget')) return false;
  const isAsked = saga.retries.watch();
  try {
    await saga.pending.run(undefined, () => sleep(leftMs, { summary: `until the last try of ${name}` }));
  } catch (err) {
    throwIfFinal(saga, step, err);
  }
  return !isAsked();
}

/** For the timeline in the Web UI, beside the activity's name: whether the prober asked for it, and what the try before met. */
export const whyAgain = ({ retries }: Saga, { lastError }: StepLine): string =>
  `${retries.wokenBy === 'prober' ? 'probe, ' : ''}after: ${lastError ?? 'the first try'}`.slice(0, 150);

/** What an activity is given: the order, and the operator if one vouches for this very step, or has asked for this try. */
export function inputOf(saga: Saga, step: StepLine): StepInput {
  const { orderId, decisions, retries } = saga;
  const skippedBy = decisions.skippedBy(step);
  return {
    orderId,
    triedBefore: step.attempts,
    ...(skippedBy !== undefined && { skippedBy }),
    ...(retries.wokenBy === 'prober' && { wokenBy: 'prober' as const }),
    ...forwardFor(saga, step.name),
    ...retries.operatorRequestFor(step),
  };
}

/** A step that may pass the pivot says in the order's row that there is more to do. */
function forwardFor(saga: Saga, name: StepLine['name']): { forward?: true } {
  const mayConfirm = name === saga.plan.pivot.name || stepNamed(saga.plan, name)?.sharesPivot === true;
  return mayConfirm && afterPivot(saga).length > 0 ? { forward: true } : {};
}

/**
 * Waits for an operator, or for the prober if time may mend it. What a brake holds waits for as long as that does.
 * @throws Unwind when the deadline comes first, or when that is the decision
 */
async function park(saga: Saga, name: StepName, step: StepLine, failure: Failure) {
  const { progress, retries, decisions, direction, deadline } = saga;
  const isAsked = retries.watch();
  progress.setStatus(step, 'parked');
  retries.park(failure);
  if (isHeld(saga.input, failure)) deadline.hold();
  markAgain(saga, step, failure);
  const until = deadline.isHeld ? {} : { until: new Date(deadline.atMs).toISOString() };
  logFact({ fact: 'parked', step: name, failure: failure.type, attempt: step.attempts, ...until });
  traceParking(saga, name, failure, step.attempts);
  const isOver = () => isAsked() || direction.unwindRequest !== undefined;
  const wait = deadline.isHeld
    ? condition(isOver).then(() => true)
    : condition(isOver, Math.max(1, deadline.atMs - Date.now()), {
        summary: `${name} waits for an operator, or for the deadline`,
      });
  const decided = await wait
    // A decision that was accepted in time and is being recorded holds the deadline.
    .then(() => condition(() => isOver() || decisions.inHand === undefined))
    .then(isOver)
    .catch((err: unknown) => {
      if (isCancellation(err)) throw new Unwind('OPERATOR', false);
      throw err;
    })
    .finally(() => {
      retries.unpark();
      deadline.letGo();
    });
  throwIfUnwindRequested(saga);
  if (!decided) throw new Unwind('DEADLINE_EXCEEDED', false);
  // While the prober tries, the saga stays listed: it is an operator's still if that fails.
  if (retries.wokenBy === 'prober') setCurrentDetails(`**${name}** is being tried again by the prober.`);
  else clearAttention(saga, 'RUNNING', beingTried(name));
}

const beingTried = (name: StepName): string => `**${name}** is being tried again.`;

function throwIfUnwindRequested({ direction: { unwindRequest } }: Saga): void {
  if (unwindRequest !== undefined) throw new Unwind(unwindRequest, false);
}

/** Tells a refusal, a request to unwind and the end of the workflow from a transient failure, which alone returns. */
function throwIfFinal(saga: Saga, step: StepLine, err: unknown): void {
  const refusal = refusalOf(err);
  if (refusal) {
    saga.progress.noteError(step, refusal.reason);
    saga.progress.end(step, 'refused');
    throw new Unwind(refusal.reason, true);
  }
  throwIfUnwindRequested(saga);
  // An operator cancelled the workflow itself, from the Web UI or the CLI: the order is to go.
  if (CancellationScope.current().consideredCancelled) throw new Unwind('OPERATOR', false);
  saga.progress.noteError(step, lastErrorAfter(step, err));
}
