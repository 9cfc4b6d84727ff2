/**
 * How a saga shows that it is in trouble: in the search attributes that operators list by, and on its page in the Web UI, which
 * offers what helps in this state and nothing else.
 */
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, TRANSIENT_FAILURES } from '../contracts/saga.js';
import type { Failure } from './failures.js';
import type { Saga, Stuck } from './saga.js';

export const isTransient = ({ type }: Failure): boolean => Object.hasOwn(TRANSIENT_FAILURES, type);

/** Marks the saga as stuck, for lists and for whoever opens it. */
export function markAttention(saga: Saga, step: Stuck, failure: Failure): void {
  saga.state = 'NEEDS_ATTENTION';
  upsertSearchAttributes([
    { key: SAGA_STATE, value: saga.state },
    { key: SAGA_STEP, value: step.name },
    { key: SAGA_FAILURE, value: failure.type },
  ]);
  saga.markedAs = failure.type;
  tellAttention(saga, step, failure);
}

/** A try that nobody has asked for came to the same: whoever lists sagas shall not see this one come and go. */
export function markAgain(saga: Saga, step: Stuck, failure: Failure): void {
  if (saga.state === 'NEEDS_ATTENTION' && saga.markedAs === failure.type) tellAttention(saga, step, failure);
  else markAttention(saga, step, failure);
}

function tellAttention(saga: Saga, step: Stuck, failure: Failure): void {
  setCurrentDetails(
    `**${step.name}** needs attention after ${step.attempts} attempts: ${failure.message}\n\n${offers(saga, step, failure)}`,
  );
}

const NOW = 'Send the signal `retry` to try again now';

function offers(saga: Saga, { name }: Stuck, failure: Failure): string {
  if (name === 'beginUnwinding') {
    const goesOn = 'Whether the order may still be unwound is asked again and again; there is nothing to decide.';
    return saga.turning ? `${goesOn} ${NOW}.` : goesOn;
  }
  if (saga.current?.kind === 'undo' || saga.isPastPivot) {
    return `It is tried again by itself. ${NOW}, or the update \`resolve\` with \`retry\`, or with \`skip\` once it has been done by hand.`;
  }
  const byItself = isTransient(failure)
    ? 'It is tried again by itself when its neighbour answers again'
    : 'It is not tried again by itself';
  const until = new Date(saga.deadline).toISOString();
  return (
    `${byItself}; at ${until} the order is unwound. ${NOW}, or the update \`resolve\`: \`retry\`, \`skip\` ` +
    '(it has been done by hand) or `compensate` (unwind now).'
  );
}

/** Back to a state in which the saga is working by itself. */
export function clearAttention(saga: Saga, state: 'RUNNING' | 'COMPENSATING', details: string): void {
  saga.state = state;
  saga.markedAs = undefined;
  upsertSearchAttributes([
    { key: SAGA_STATE, value: state === 'RUNNING' ? null : state },
    { key: SAGA_STEP, value: null },
    { key: SAGA_FAILURE, value: null },
  ]);
  setCurrentDetails(details);
}

export function showState(saga: Saga, details: string): void {
  upsertSearchAttributes([{ key: SAGA_STATE, value: saga.state }]);
  setCurrentDetails(details);
}
