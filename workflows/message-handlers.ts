/** How a running saga answers messages. Names and shapes: contracts/saga; what is refused: validation. */
import { CancellationScope, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  CANCEL_UPDATE,
  type CancelRequest,
  PROGRESS_QUERY,
  RESOLVE_UPDATE,
  RETRY_SIGNAL,
  type Resolution,
  type RetryRequest,
  type SagaProgress,
} from '../contracts/saga.js';
import { decideUnwinding, requestUnwinding } from './begin-unwinding.js';
import { applyDecision } from './decisions.js';
import { logFact } from './log.js';
import { probe, tryAgainNow } from './retry-requests.js';
import type { Saga } from './saga.js';
import { refuseAsConfirmed, validateCancel, validateResolution } from './validation.js';

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
  if (by !== 'machine') logFact({ fact: 'asked to try again', step: saga.progress.current?.name });
  await tryAgainNow(saga, by === 'machine' ? 'machine' : 'operator');
}

async function onCancel(saga: Saga, { requestedBy, reason }: CancelRequest): Promise<void> {
  // The order's row decides, so that the answer is true whatever the saga is doing at this moment.
  const requester = { actor: requestedBy, detail: reason };
  const decided = await decideUnwinding(saga, 'CANCELLED_BY_CUSTOMER', requester);
  const outcome = decided.outcome === 'confirmed' ? 'confirmed' : 'unwinding';
  logFact({ fact: 'asked to cancel', actor: requestedBy, outcome });
  if (decided.outcome === 'confirmed') refuseAsConfirmed(saga);
  await requestUnwinding(saga, decided.reason);
}
