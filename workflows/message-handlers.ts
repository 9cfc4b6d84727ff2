/** The handles that an operator has on a running saga, and what they refuse. Names and shapes: contracts/saga. */
import { CancellationScope, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  CANCEL_UPDATE,
  type CancelRequest,
  PROGRESS_QUERY,
  REASON_LENGTH_MAX,
  RESOLVE_UPDATE,
  RETRY_SIGNAL,
  type Resolution,
  type SagaProgress,
  SENTENCE,
  SUBJECT,
  type Waking,
} from '../contracts/saga.js';
import { carryOut, refuse, refuseAsConfirmed, requireNoneInHand } from './decisions.js';
import { requestUnwinding } from './flight.js';
import type { Saga } from './saga.js';
import { decideUnwinding } from './turning.js';
import { isWaiting, probe, tryAgainNow } from './waking.js';

const retry = defineSignal<[Partial<Waking>?]>(RETRY_SIGNAL);
const resolve = defineUpdate<SagaProgress, [Resolution]>(RESOLVE_UPDATE);
const cancel = defineUpdate<SagaProgress, [CancelRequest]>(CANCEL_UPDATE);
const progress = defineQuery<SagaProgress>(PROGRESS_QUERY);

/** Registers all handles; before the first step, so that none is missed. */
export function registerMessageHandlers(saga: Saga): void {
  const standing = (): SagaProgress => ({ state: saga.state, steps: saga.steps });
  setHandler(progress, standing);
  setHandler(retry, (waking) => wake(saga, waking?.by));
  // Outside the workflow's own cancellation: somebody who has cancelled it may still have to decide about an undo.
  setHandler(
    resolve,
    (resolution) => CancellationScope.nonCancellable(() => carryOut(saga, resolution)).then(standing),
    { validator: (resolution) => validateResolution(saga, resolution) },
  );
  setHandler(cancel, (request) => CancellationScope.nonCancellable(() => cancelOrder(saga, request)).then(standing), {
    validator: (request) => validateCancel(saga, request),
  });
}

/** Who says nothing is an operator: a button in the Web UI sends nothing. */
async function wake(saga: Saga, by?: Waking['by']): Promise<void> {
  if (by === 'prober') return probe(saga);
  await tryAgainNow(saga, by === 'machine' ? 'machine' : 'operator');
}

async function cancelOrder(saga: Saga, { requestedBy, reason }: CancelRequest): Promise<void> {
  // The order's row decides, so that the answer is true whatever the saga is doing at this moment.
  const who = { actor: requestedBy, detail: reason };
  const decided = await decideUnwinding(saga, 'CANCELLED_BY_CUSTOMER', who);
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
  const isAsking = resolution.action === 'retry' && saga.turning !== undefined;
  if (resolution.action !== 'compensate' && !isWaiting(saga) && !isAsking) {
    refuse(`order ${saga.orderId} has no step that waits; there is nothing to ${resolution.action}`, 'NotWaiting');
  }
  if (resolution.action === 'compensate' && saga.isPastPivot) refuseAsConfirmed(saga);
  if (resolution.action === 'compensate' && isUnwinding(saga)) {
    refuse(`order ${saga.orderId} is being unwound already`, 'AlreadyUnwinding');
  }
}

function validateCancel(saga: Saga, request: CancelRequest): void {
  requireSubject('requestedBy', request?.requestedBy);
  requireReason(request.reason);
  requireUndecided(saga);
  if (saga.isPastPivot) refuseAsConfirmed(saga);
}

function requireUndecided(saga: Saga): void {
  if (saga.state === 'COMPLETED') refuse(`order ${saga.orderId} is confirmed; the saga has ended`, 'AlreadyConfirmed');
  if (saga.state === 'COMPENSATED')
    refuse(`order ${saga.orderId} is cancelled; the saga has ended`, 'AlreadyCancelled');
}

const isUnwinding = (saga: Saga): boolean =>
  saga.state === 'COMPENSATING' || saga.unwindRequest !== undefined || saga.steps.some((step) => step.kind === 'undo');

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
