/** Undoing by itself: one execution of an activity as Temporal would have it, and what an unwinding saga does around it. */
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createPaymentActivities } from '../../activities/payments.js';
import type { CancellationReason } from '../../contracts/orders.js';
import type { Need } from '../../contracts/refusals.js';
import type { StepInput, StepResult, UndoResult } from '../../contracts/steps.js';
import { releaseInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder, readOrder, requestCancellation } from '../../domain/orders.js';
import type { PaymentGateway } from '../../gateways/payments.js';
import type { TestLedgers } from '../reconciliation/support.js';

/** `budgetMs`: what is left of the time for all attempts when this one begins. */
type Try = {
  word?: string;
  skippedBy?: string;
  gateway?: PaymentGateway;
  attempt?: number;
  limitMs?: number;
  budgetMs?: number;
};

const environment = ({ limitMs = 10_000, budgetMs = 60_000, attempt = 1 }: Try) => {
  const info = {
    startToCloseTimeoutMs: limitMs,
    scheduledTimestampMs: 1_000,
    currentAttemptScheduledTimestampMs: 31_000,
    scheduleToCloseTimeoutMs: 30_000 + budgetMs,
    attempt,
  };
  return new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') });
};

const inputOf = (orderId: string, { word, skippedBy }: Try): StepInput => ({
  orderId,
  ...(word !== undefined && { word }),
  ...(skippedBy !== undefined && { skippedBy }),
});

export const charge = (b: TestLedgers, orderId: string, options: Try = {}): Promise<StepResult> =>
  environment(options).run(
    createPaymentActivities({ db: b.db, gateway: options.gateway ?? b.gateway }).chargePayment,
    inputOf(orderId, options),
  );

export const refund = (b: TestLedgers, orderId: string, options: Try = {}): Promise<UndoResult> =>
  environment(options).run(
    createPaymentActivities({ db: b.db, gateway: options.gateway ?? b.gateway }).refundPayment,
    inputOf(orderId, options),
  );

/** As a cancellation begins: of a confirmed order, or of one whose saga is still at work. */
export async function unwind(b: TestLedgers, orderId: string, reason: CancellationReason = 'OPERATOR'): Promise<void> {
  const order = await readOrder(b.db, orderId);
  if (order?.status === 'CONFIRMED') await requestCancellation(b.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
  else await beginUnwinding(b.db, orderId, { reason });
}

/** The rest of the undos, after which the order is at its end. @returns its status */
export async function finish(b: TestLedgers, orderId: string): Promise<string | undefined> {
  await releaseInventory(b.db, orderId);
  await cancelOrder(b.db, orderId);
  return (await readOrder(b.db, orderId))?.status;
}

/** @returns the failure as the saga meets it, and for which kind of need it asks for an operator, if it does */
export async function failureOf(act: Promise<unknown>): Promise<{ failure: ApplicationFailure; need?: string }> {
  const err = await act.then(
    (answer) => new Error(`it succeeded: ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  );
  if (!(err instanceof ApplicationFailure)) throw err;
  const [need] = (err.details ?? []) as [Partial<Need>?];
  return { failure: err, ...(need?.kind !== undefined && { need: need.kind }) };
}

/** What the order's events say was given back. */
export async function refundEvents(b: TestLedgers, orderId: string): Promise<Record<string, unknown>[]> {
  const events = await b.db.event.findMany({ where: { orderId, type: 'payment.refunded' } });
  return events.map(({ data }) => data as Record<string, unknown>);
}
