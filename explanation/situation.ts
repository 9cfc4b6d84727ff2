/** How an order stands, in one word, and why it stands so. The row decides what is true of the order; Temporal, what is being done about it. */
import { CHARGING_HELD } from '../contracts/brakes.js';
import { PLAN_VERSION, stepsOf, PLAN } from '../contracts/plan.js';
import { TRANSIENT_FAILURES } from '../contracts/saga.js';
import { isGivenUp } from './given-up.js';
import { isKeyRefused, KEY_REFUSED } from './refused-key.js';
import type { OrderRow } from './order-row.js';
import { clock, failureWords, span } from './plain-words.js';
import type { KnownSaga, SagaView } from './saga-view.js';

export const SITUATIONS = [
  'confirmed',
  'cancelled',
  'waits-for-start',
  'saga-missing',
  'saga-ended',
  'newer-plan',
  'temporal-unreachable',
  'under-way',
  'retrying',
  'paused',
  'waits-for-worker',
  'stands-still',
  'parked',
  'unwinding',
  'undo-failing',
  'taking-back',
] as const;
export type Situation = (typeof SITUATIONS)[number];

export type Standing = {
  situation: Situation;
  /** The step or undo that it is at; null where that is none, or not known. */
  step: string | null;
  sentences: string[];
};

/** A relay starts an order's saga within seconds; later than that something is wrong with the relay, or with Temporal. */
const LATE_MS = 60_000;

export const isFinal = ({ state: { status, unwindingReason, forwardDue } }: OrderRow): boolean =>
  status === 'CANCELLED' || (status === 'CONFIRMED' && unwindingReason === null && !forwardDue);

export function standingOf(row: OrderRow, saga: SagaView, now = Date.now()): Standing {
  const { status, unwindingReason, planVersion } = row.state;
  if (isFinal(row)) return finalOf(row);
  if (planVersion > PLAN_VERSION)
    return at('newer-plan', null, [
      `It was accepted under plan ${planVersion}, and this build knows ${PLAN_VERSION}: only workers of a newer build carry it out.`,
    ]);
  const until = status === 'CONFIRMED' ? '; it was confirmed before, and says so until all is undone' : '';
  const why = unwindingReason === null ? [] : [`It is being cancelled: ${unwindingReason}${until}.`];
  if (!saga.asked)
    return at('temporal-unreachable', null, [
      ...why,
      `Temporal does not answer (${saga.why}): what is being tried is not known, and nothing moves until it is back.`,
    ]);
  if (!saga.known) return withoutSaga(row, why, now);
  if (saga.execution !== 'RUNNING') return endedOf(saga, why);
  const standing = runningOf(row, saga);
  return { ...standing, sentences: [...why, ...standing.sentences] };

  function finalOf({ state }: OrderRow): Standing {
    if (status === 'CONFIRMED')
      return at('confirmed', null, [
        'All steps are done: the order is confirmed, and final unless somebody cancels it.',
      ]);
    return at('cancelled', null, [
      `The order is cancelled (${state.unwindingReason ?? 'no reason on record'}), and final.`,
    ]);
  }
}

const at = (situation: Situation, step: string | null, sentences: string[]): Standing => ({
  situation,
  step,
  sentences,
});

/** Of an order that waits for its saga: when that begins to be late. */
export const lateFrom = ({ state, createdAt, updatedAt }: OrderRow): number =>
  Date.parse(state.unwindingReason === null ? createdAt : updatedAt) + LATE_MS;

/** Of a final order whose saga Temporal does not know: whether it should still know it. */
export const isGoneEarly = ({ updatedAt }: OrderRow, retentionMs: number | undefined, now: number): boolean =>
  retentionMs !== undefined && now - Date.parse(updatedAt) < retentionMs;

function withoutSaga(row: OrderRow, why: string[], now: number): Standing {
  if (row.sagaStartedAt !== null && row.state.status === 'PENDING')
    return at('saga-missing', null, [
      ...why,
      `Its saga was begun at ${clock(row.sagaStartedAt)}, and Temporal knows none, which should not be: another namespace, a Temporal that lost its data, or somebody deleted it. Nothing works on the order meanwhile.`,
    ]);
  const from = lateFrom(row);
  const late =
    now > from
      ? `That is late, since ${clock(from)}: does a relay run, and does it reach Temporal?`
      : `That is normal for some seconds; it is late from ${clock(from)} on.`;
  return at('waits-for-start', null, [...why, `No saga works for it yet; a relay starts one. ${late}`]);
}

function endedOf({ execution, closedAt, endedBy, lastError }: KnownSaga, why: string[]): Standing {
  const by = endedBy?.identity ? ` by ${endedBy.identity}` : '';
  const reason = endedBy?.reason ? ` (the reason given: “${endedBy.reason}”)` : '';
  return at('saga-ended', null, [
    ...why,
    `Its saga was ${execution} at ${closedAt === null ? 'a time not known' : clock(closedAt)}${by}${reason}, although the order is not final: nothing was undone, and nothing works on it now.`,
    ...errorOf(lastError),
  ]);
}

const errorOf = (lastError: string | null): string[] =>
  lastError === null ? [] : [`The last error was: ${lastError}.`];

export const isStepName = (name: string): boolean => stepsOf(PLAN).some((step) => step.name === name);

const isMendedByTime = (failure: string | null): boolean =>
  failure !== null && Object.hasOwn(TRANSIENT_FAILURES, failure);

function parkedFor({ marked: { failure }, lastError, policy }: KnownSaga): string {
  if (failure === CHARGING_HELD)
    return 'a brake that operators have engaged holds it, and nothing is wrong with the order: it goes on when that lets go.';
  const how = failureWords(failure);
  // What waiting does not mend parks at its first failure; so does an account that is held.
  const isBudget = isMendedByTime(failure) && failure !== 'AccountHeld' && policy !== undefined;
  const tried = isBudget
    ? `it failed for ${span(policy.stepRetryBudgetMs)}, which is all that it is tried for`
    : 'it failed';
  if (isKeyRefused(lastError)) return `${tried} (${how}). ${KEY_REFUSED}`;
  return isMendedByTime(failure)
    ? `${tried} (${how}). It is tried again by itself once that is over.`
    : `${tried} (${how}). It is not tried again by itself: you have to look.`;
}

function undoFailing({ marked: { failure }, policy }: KnownSaga): string {
  if (failure === 'UndoFailing' || isMendedByTime(failure)) {
    const long = policy === undefined ? 'long' : `longer than ${span(policy.compensationAttentionAfterMs)}`;
    return `has failed for ${long} by now, so that you are told; it goes on being tried by itself.`;
  }
  const more = isGivenUp(failure) ? ' No machine makes another refund: one is made for each `retry` of yours.' : '';
  return `has failed (${failureWords(failure)}): it needs you.${more}`;
}

function pausedOf(step: string | null, { wait }: KnownSaga): string {
  const { at: since, by, reason } = wait?.pause ?? { at: null, by: null, reason: null };
  const when = since === null ? '' : ` since ${clock(since)}`;
  const who = by === null ? 'Temporal was not told by whom' : `by ${by}`;
  const why = reason === null ? 'no reason was given' : `the reason given: “${reason}”`;
  return `${step} is paused in Temporal${when} (${who}; ${why}): it is not tried until it is let go.`;
}

function runningOf(row: OrderRow, saga: KnownSaga): Standing {
  const { wait, standstill, marked, lastError } = saga;
  const step = wait?.step ?? marked.step;
  const error = errorOf(lastError);
  if (wait?.waitsFor === 'unpausing') return at('paused', step, [pausedOf(step, saga), ...error]);
  if (standstill !== null)
    return at('stands-still', standstill.step ?? step, [
      standstill.failure === 'NO_POLLERS'
        ? 'A task waits, and no worker takes it: no worker runs, none of the saga’s build, or it is frozen.'
        : `The saga’s own code fails (${standstill.failure}): a bug, or a release that does not fit its history.`,
      ...error,
    ]);
  if (wait?.waitsFor === 'worker')
    return at('waits-for-worker', step, [
      `${step ?? 'The saga'} waits for a worker to take it, since ${wait.at === null ? 'a time not known' : clock(wait.at)}. A live one takes it within milliseconds.`,
    ]);
  const isUndo = row.state.unwindingReason !== null || marked.state === 'COMPENSATING';
  if (marked.state === 'NEEDS_ATTENTION')
    return isUndo && (step === null || !isStepName(step))
      ? at('undo-failing', step, [`The undo ${step} ${undoFailing(saga)}`, ...error])
      : at('parked', step, [`${step} is parked: ${parkedFor(saga)}`, ...error]);
  if (wait?.waitsFor === 'next-try')
    return at(isUndo && step !== null && !isStepName(step) ? 'unwinding' : 'retrying', step, [
      `${step} failed, and is tried again: try ${wait.attempt} is next.`,
      ...error,
    ]);
  if (isUndo)
    return at(row.state.status === 'CONFIRMED' ? 'taking-back' : 'unwinding', step, [
      `${step ?? 'Its undos'} ${step ? 'is' : 'are'} under way.`,
    ]);
  const since = wait?.at ? ` since ${clock(wait.at)}` : '';
  return at('under-way', step, [`${step ?? 'Its saga'} is under way${since}; nothing is wrong.`]);
}
