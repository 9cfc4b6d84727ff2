/** How an order stands, in one word, and why it stands so. The row decides what is true of the order; Temporal, what is being done about it. */
import { CHARGING_HELD } from '../contracts/brakes.js';
import { PLAN_VERSION, stepsOf, PLAN } from '../contracts/plan.js';
import { TRANSIENT_FAILURES } from '../contracts/saga.js';
import { isKeyRefused, KEY_REFUSED } from './refused-key.js';
import type { OrderRow } from './order-row.js';
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
  const why = unwindingReason === null ? [] : [`It is being given up: ${unwindingReason}.`];
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
      return at('confirmed', null, ['All steps are done: the order is confirmed, and final.']);
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

function withoutSaga(row: OrderRow, why: string[], now: number): Standing {
  if (row.sagaStartedAt !== null && row.state.status === 'PENDING')
    return at('saga-missing', null, [
      ...why,
      `Its saga was begun at ${row.sagaStartedAt}, and Temporal has none: another namespace, a Temporal that lost its data, or a deleted execution.`,
    ]);
  const since = Date.parse(row.state.unwindingReason === null ? row.createdAt : row.updatedAt);
  const late = now - since > LATE_MS ? ` That is late: does a relay run, and does it reach Temporal?` : '';
  return at('waits-for-start', null, [...why, `No saga works for it yet; a relay starts one.${late}`]);
}

function endedOf({ execution, closedAt, endedBy, lastError }: KnownSaga, why: string[]): Standing {
  const by = endedBy === null ? '' : ` by ${endedBy}`;
  const error = lastError === null ? '' : ` The last error was: ${lastError}.`;
  return at('saga-ended', null, [
    ...why,
    `Its saga was ${execution} at ${closedAt ?? 'a time not known'}${by}, although the order is not final: nothing was undone, and no worker works on it.${error}`,
  ]);
}

export const isStepName = (name: string): boolean => stepsOf(PLAN).some((step) => step.name === name);

const isMendedByTime = (failure: string | null): boolean =>
  failure !== null && Object.hasOwn(TRANSIENT_FAILURES, failure);

const parkedFor = (failure: string | null, lastError: string | null): string =>
  failure === CHARGING_HELD
    ? 'a brake that operators have engaged holds it, and nothing is wrong with the order: it goes on when that lets go.'
    : isKeyRefused(lastError)
      ? `it failed for its whole budget (${failure}). ${KEY_REFUSED}`
      : isMendedByTime(failure)
        ? `it failed for its whole budget (${failure}), and is tried again when its neighbour is back.`
        : `it failed (${failure ?? 'for a reason not known'}), and is not tried again by itself: an operator has to look.`;

const undoFailing = (failure: string | null): string =>
  failure === 'UndoFailing' || isMendedByTime(failure)
    ? 'has failed for long, and goes on being tried.'
    : `has failed (${failure ?? 'for a reason not known'}): it needs an operator. It is tried again every minute, and succeeds only once the cause has gone.`;

function runningOf(row: OrderRow, saga: KnownSaga): Standing {
  const { wait, standstill, marked, lastError } = saga;
  const step = wait?.step ?? marked.step;
  const error = lastError === null ? [] : [`The last error was: ${lastError}.`];
  if (wait?.waitsFor === 'unpausing')
    return at('paused', step, [`An operator has paused ${step} in Temporal: it is not tried until it is let go.`]);
  if (standstill !== null)
    return at('stands-still', standstill.step ?? step, [
      standstill.failure === 'NO_POLLERS'
        ? 'A task waits, and no worker takes it: no worker runs, none of the saga’s build, or it is frozen.'
        : `The saga’s own code fails (${standstill.failure}): a bug, or a release that does not fit its history.`,
      ...error,
    ]);
  if (wait?.waitsFor === 'worker')
    return at('waits-for-worker', step, [
      `${step ?? 'The saga'} waits for a worker to take it, since ${wait.at}. A live one takes it within milliseconds.`,
    ]);
  const isUndo = row.state.unwindingReason !== null || marked.state === 'COMPENSATING';
  if (marked.state === 'NEEDS_ATTENTION')
    return isUndo && (step === null || !isStepName(step))
      ? at('undo-failing', step, [`The undo ${step} ${undoFailing(marked.failure)}`, ...error])
      : at('parked', step, [`${step} is parked: ${parkedFor(marked.failure, lastError)}`, ...error]);
  if (wait?.waitsFor === 'next-try')
    return at(isUndo && step !== null && !isStepName(step) ? 'unwinding' : 'retrying', step, [
      `${step} failed, and is tried again: try ${wait.attempt} is next.`,
      ...error,
    ]);
  if (isUndo)
    return at(row.state.status === 'CONFIRMED' ? 'taking-back' : 'unwinding', step, [
      `${step ?? 'Its undos'} ${step ? 'is' : 'are'} under way.`,
    ]);
  return at('under-way', step, [`${step ?? 'Its saga'} is under way${wait?.at ? ` since ${wait.at}` : ''}.`]);
}
