/**
 * How a saga shows that it is in trouble: in the search attributes that operators list by, and on its page in the Web UI, which
 * offers what helps in this state and nothing else.
 */
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, TRANSIENT_FAILURES } from '../contracts/saga.js';
import type { Failure } from './failures.js';
import type { Saga } from './saga.js';
import type { Stuck } from './state/progress.js';

export const isTransient = ({ type }: Failure): boolean => Object.hasOwn(TRANSIENT_FAILURES, type);

/** Marks the saga as stuck in lists and on its page, after a try that has ended so. */
export function markAttention(saga: Saga, step: Stuck, failure: Failure): void {
  listAsStuck(saga, step, failure);
  showFailure(saga, step, failure);
}

/** After a try that no operator has asked for: if it came to the same, the saga does not leave and re-enter the lists. */
export function markAgain(saga: Saga, step: Stuck, failure: Failure): void {
  if (saga.progress.isMarkedAs(failure.type)) showFailure(saga, step, failure);
  else markAttention(saga, step, failure);
}

/** Marks the saga while its activity is being retried: how often that was tried is known only once it has ended. */
export function markWhileTrying(saga: Saga, step: Stuck, failure: Failure, sinceMs: number): void {
  // It waits after a try that has ended: the page says already how that went.
  const isShown = saga.progress.state === 'NEEDS_ATTENTION' && !saga.pending.isRunning;
  listAsStuck(saga, step, failure);
  if (isShown) return;
  const since = new Date(sinceMs).toISOString();
  showAttention(saga, step, failure, `has not succeeded since ${since} and is still being tried; last known failure`);
}

function listAsStuck({ progress }: Saga, { name }: Stuck, { type }: Failure): void {
  progress.markAs(type);
  upsertSearchAttributes([
    { key: SAGA_STATE, value: progress.state },
    { key: SAGA_STEP, value: name },
    { key: SAGA_FAILURE, value: type },
  ]);
}

function showFailure(saga: Saga, step: Stuck, failure: Failure): void {
  const { attempts } = step;
  showAttention(saga, step, failure, `needs attention after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`);
}

function showAttention(saga: Saga, step: Stuck, failure: Failure, what: string): void {
  setCurrentDetails(`**${step.name}** ${what}: ${failure.message}\n\n${offers(saga, step, failure)}${traceOf(saga)}`);
}

const traceOf = ({ input: { traceparent } }: Saga): string =>
  traceparent === undefined ? '' : `\n\nTrace ${traceparent.split('-')[1] ?? ''}`;

const NOW = 'Send the signal `retry` to try again now';

function offers({ progress, direction, deadline }: Saga, { name }: Stuck, failure: Failure): string {
  if (name === 'beginUnwinding') {
    const goesOn = 'Whether the order may still be unwound is asked again and again; there is nothing to decide.';
    return direction.question ? `${goesOn} ${NOW}.` : goesOn;
  }
  if (progress.current?.kind === 'undo' || direction.isPastPivot) {
    const byItself = failure.needsOperator
      ? 'Nothing is done about it without an operator; the saga only looks now and then whether the cause has gone'
      : 'It is tried again by itself';
    return `${byItself}. ${NOW}, or the update \`resolve\` with \`retry\`, or with \`skip\` once it has been done by hand.`;
  }
  return (
    `${whatComes(deadline, failure)}. ${NOW}, or the update \`resolve\`: \`retry\`, \`skip\` ` +
    '(it has been done by hand) or `compensate` (unwind now).'
  );
}

function whatComes(deadline: Saga['deadline'], failure: Failure): string {
  if (deadline.isHeld) return 'It goes on when the brake is released; the order’s deadline stands still until then';
  const byItself = isTransient(failure)
    ? 'It is tried again by itself when its neighbour answers again'
    : 'It is not tried again by itself';
  return `${byItself}; at ${new Date(deadline.atMs).toISOString()} the order is unwound`;
}

/** Back to a state in which the saga is working by itself. */
export function clearAttention({ progress }: Saga, state: 'RUNNING' | 'COMPENSATING', details: string): void {
  progress.setState(state);
  upsertSearchAttributes([
    { key: SAGA_STATE, value: state === 'RUNNING' ? null : state },
    { key: SAGA_STEP, value: null },
    { key: SAGA_FAILURE, value: null },
  ]);
  setCurrentDetails(details);
}

export function showState({ progress }: Saga, details: string): void {
  upsertSearchAttributes([{ key: SAGA_STATE, value: progress.state }]);
  setCurrentDetails(details);
}
