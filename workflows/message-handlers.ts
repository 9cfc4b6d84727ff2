/** How a running saga answers messages, and what it refuses. Names and shapes: contracts/saga. */
import { CancellationScope, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  CANCEL_UPDATE,
  type CancelRequest,
  PROGRESS_QUERY,
  REASON_LENGTH_MAX,
  RESOLVE_UPDATE,
  RETRY_SIGNAL,
  type Resolution,
  type RetryRequest,
  type SagaProgress,
  SENTENCE,
  SUBJECT,
} from '../contracts/saga.js';
import { decideUnwinding, requestUnwinding } from './begin-unwinding.js';
import { applyDecision, refuse, refuseAsConfirmed, requireNoneInHand } from './decisions.js';
import { isWaiting, probe, tryAgainNow } from './retry-requests.js';
import type { Saga } from './saga.js';

const retry = defineSignal<[Partial<RetryRequest>?]>(RETRY_SIGNAL);
const resolve = defineUpdate<SagaProgress, [Resolution]>(RESOLVE_UPDATE);
const cancel = defineUpdate<SagaProgress, [CancelRequest]>(CANCEL_UPDATE);
const progress = defineQuery<SagaProgress>(PROGRESS_QUERY);

/** Registers all handlers; before the first step, so that no message is missed. */
export function registerMessageHandlers(saga: Saga): void {
  const answer = () => saga.progress.read();
  setHandler(progress, answer);
  setHandler(retry, (request) => onRetry(saga, request?.by));
  // Outside the workflow's own cancellation: the operator who has cancelled it may still have to decide about an undo.
  setHandler(
    resolve,
    (resolution) => CancellationScope.nonCancellable(() => applyDecision(saga, resolution)).then(answer),
    { validator: (resolution) => validateResolution(saga, resolution) },
  );
  setHandler(cancel, (request) => CancellationScope.nonCancellable(() => onCancel(saga, request)).then(answer), {
    validator: (request) => validateCancel(saga, request),
  });
}

/** A signal without a sender is an operator's: a button in the Web UI sends nothing. */
async function onRetry(saga: Saga, by?: RetryRequest['by']): Promise<void> {
  if (by === 'prober') return probe(saga);
  await tryAgainNow(saga, by === 'machine' ? 'machine' : 'operator');
}

async function onCancel(saga: Saga, { requestedBy, reason }: CancelRequest): Promise<void> {
  // The order's row decides, so that the answer is true whatever the saga is doing at this moment.
  const requester = { actor: requestedBy, detail: reason };
  const decided = await decideUnwinding(saga, 'CANCELLED_BY_CUSTOMER', requester);
  if (decided.outcome === 'confirmed') refuseAsConfirmed(saga);
  await requestUnwinding(saga, decided.reason);
}

function validateResolution(saga: Saga, resolution: Resolution): void {
  if (!['retry', 'skip', 'compensate'].includes(resolution?.action)) {
    refuse(
      `action must be "retry", "skip" or "compensate", got ${JSON.stringify(resolution?.action)}`,
      'InvalidArgument',
    );
  }
  requireSubject('operator', resolution.operator);
  requireReason(resolution.reason);
  requireUndecided(saga);
  requireNoneInHand(saga, resolution.action);
  const isAsking = resolution.action === 'retry' && saga.direction.question !== undefined;
  if (resolution.action !== 'compensate' && !isWaiting(saga) && !isAsking) {
    refuse(`order ${saga.orderId} has no step that waits; there is nothing to ${resolution.action}`, 'NotWaiting');
  }
  if (resolution.action === 'compensate' && saga.direction.isPastPivot) refuseAsConfirmed(saga);
  if (resolution.action === 'compensate' && isUnwinding(saga)) {
    refuse(`order ${saga.orderId} is being unwound already`, 'AlreadyUnwinding');
  }
}

function validateCancel(saga: Saga, request: CancelRequest): void {
  requireSubject('requestedBy', request?.requestedBy);
  requireReason(request.reason);
  requireUndecided(saga);
  if (saga.direction.isPastPivot) refuseAsConfirmed(saga);
}

function requireUndecided({ orderId, progress: { state } }: Saga): void {
  if (state === 'COMPLETED') refuse(`order ${orderId} is confirmed; the saga has ended`, 'AlreadyConfirmed');
  if (state === 'COMPENSATED') refuse(`order ${orderId} is cancelled; the saga has ended`, 'AlreadyCancelled');
}

const isUnwinding = ({ progress: { state, steps }, direction }: Saga): boolean =>
  state === 'COMPENSATING' || direction.unwindRequest !== undefined || steps.some(({ kind }) => kind === 'undo');

function requireSubject(field: string, value: unknown): void {
  if (typeof value !== 'string' || !SUBJECT.test(value)) {
    refuse(`${field} must be an opaque subject id of at most 128 characters`, 'InvalidArgument');
  }
}

function requireReason(value: unknown): void {
  if (typeof value !== 'string' || value.length > REASON_LENGTH_MAX || !SENTENCE.test(value)) {
    const range = `1 to ${REASON_LENGTH_MAX} characters`;
    refuse(`reason must be ${range}, without control characters and personal data`, 'InvalidArgument');
  }
}
