/** The handles that an operator has on a running saga, and what they refuse. Names and shapes: contracts/saga. */
import {
  ApplicationFailure,
  CancellationScope,
  currentUpdateInfo,
  defineQuery,
  defineSignal,
  defineUpdate,
  patched,
  proxyActivities,
  setHandler,
} from '@temporalio/workflow';
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
import type { Decision, SagaActivities } from '../contracts/steps.js';
import { isWaiting, requestUnwinding, type Saga, skip, tryAgainNow } from './saga.js';
import { decideUnwinding, firstTry, ORDINARY } from './steps.js';

const retry = defineSignal<[Partial<Waking>?]>(RETRY_SIGNAL);
const resolve = defineUpdate<SagaProgress, [Resolution]>(RESOLVE_UPDATE);
const cancel = defineUpdate<SagaProgress, [CancelRequest]>(CANCEL_UPDATE);
const progress = defineQuery<SagaProgress>(PROGRESS_QUERY);

/** Registers all handles; before the first step, so that none is missed. */
export function answerHandles(saga: Saga): void {
  const standing = (): SagaProgress => ({ state: saga.state, steps: saga.steps });
  setHandler(progress, standing);
  setHandler(retry, (waking) => tryAgainNow(saga, waking?.by === 'machine' ? 'machine' : 'operator'));
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

async function carryOut(saga: Saga, { action, operator, reason }: Resolution): Promise<void> {
  const step = saga.current;
  const name = step?.name ?? 'none';
  const id = currentUpdateInfo()?.id ?? '';
  await record(saga, { id, orderId: saga.orderId, action, operator, reason, step: name, before: saga.state });
  if (action === 'compensate') {
    // Sagas of before only noted the wish; the charge may be passing the pivot at this moment.
    if (!patched('compensate-at-the-door')) return requestUnwinding(saga, 'OPERATOR');
    return compensate(saga, operator);
  }
  // The step may have come to an end while the decision was recorded: it must not hit the next one.
  if (step === undefined || saga.current !== step) return;
  if (action === 'skip') skip(saga, step, operator);
  else tryAgainNow(saga, 'operator');
}

/** As for `cancel`, the order's row decides; but who is called because nothing works is not kept waiting for it. */
async function compensate(saga: Saga, operator: string): Promise<void> {
  const input = { orderId: saga.orderId, reason: 'OPERATOR', actor: operator } as const;
  // Without an answer the saga turns around all the same, and its first act then is to ask again, without limit.
  const decided = await firstTry.beginUnwinding(input).catch(() => undefined);
  if (decided?.outcome === 'confirmed') refuseAsConfirmed(saga);
  requestUnwinding(saga, decided?.reason ?? 'OPERATOR');
}

async function cancelOrder(saga: Saga, { requestedBy, reason }: CancelRequest): Promise<void> {
  // The order's row decides, so that the answer is true whatever the saga is doing at this moment.
  const who = { actor: requestedBy, detail: reason };
  const decided = await decideUnwinding(saga, 'CANCELLED_BY_CUSTOMER', who);
  if (decided.outcome === 'confirmed') refuseAsConfirmed(saga);
  requestUnwinding(saga, decided.reason);
}

function refuseAsConfirmed({ orderId }: Saga): never {
  refuse(`order ${orderId} was confirmed first`, 'AlreadyConfirmed');
}

/** Into the log before anything is done: a decision that cannot be kept is not taken. */
async function record(saga: Saga, decision: Decision): Promise<void> {
  try {
    await firstTry.recordDecision(decision);
  } catch {
    // Not swallowed: it goes on as an ordinary activity, for as long as a step would.
    const scheduleToCloseTimeout = saga.policy.stepRetryBudgetMs;
    await proxyActivities<SagaActivities>({ ...ORDINARY, scheduleToCloseTimeout }).recordDecision(decision);
  }
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
  if (resolution.action !== 'compensate' && !isWaiting(saga)) {
    refuse(`order ${saga.orderId} has no step that waits; there is nothing to ${resolution.action}`, 'NotWaiting');
  }
  if (resolution.action === 'compensate' && isUnwinding(saga)) {
    refuse(`order ${saga.orderId} is being unwound already`, 'AlreadyUnwinding');
  }
}

function validateCancel(saga: Saga, request: CancelRequest): void {
  requireSubject('requestedBy', request?.requestedBy);
  requireReason(request.reason);
  requireUndecided(saga);
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

function refuse(message: string, type: string): never {
  throw ApplicationFailure.nonRetryable(message, type);
}
