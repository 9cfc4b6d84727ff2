/** Money that only an operator can decide about: the saga says so at once, where stuck sagas are listed, and waits. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { chargeKey } from '../../contracts/ids.js';
import { SAGA_FAILURE, sagaStart } from '../../contracts/saga.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { assertStockConserved, eventTypes, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

/** Longer than a step takes to be called stuck by time: what is listed by then was listed at once. */
const AT_ONCE = { stepRetryBudgetMs: 60_000, compensationAttentionAfterMs: 60_000 };

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'PLENTY', 1_000);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const failureOf = async (orderId: string) => {
  const { searchAttributes } = await listedAsStuck(s.client, orderId);
  return (searchAttributes as Record<string, unknown[] | undefined>)[SAGA_FAILURE.name]?.[0];
};
const fault = (body: object) =>
  fetch(`${s.sandboxUrl}/sandbox/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const statusOfOrder = async (id: string) => (await readOrder(s.db, id))?.status;

async function cancel(orderId: string) {
  await requestCancellation(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
  const order = { id: orderId, customer: 'cus_test', correlationId: 'c' };
  const start = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, PATIENT);
  const saga = await s.client.workflow.start(start.type, start.options);
  return { saga, result: () => outcomeOf(saga) };
}
/** A cancellation's saga is listed by its own name. */
const cancellationIsStuck = (orderId: string) => failureOf(`${orderId}-cancel`);

test('an answer about another sum parks the saga at once, and cancelled, the order keeps nothing', async () => {
  await fault({ mode: 'wrong_echo', route: 'charge', amount: 999 });
  const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: AT_ONCE });
  expect(await failureOf(order.id)).toBe('GatewayMismatch');
  expect(await statusOfOrder(order.id)).toBe('PENDING');
  expect(statusOf(await progressOf(saga), 'chargePayment')).toBe('parked');
  await s.heal();
  await resolve(saga, { action: 'compensate' });
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
  expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
});

describe('an order that was paid by other means, and is cancelled', () => {
  test('waits for the operator who gives the money back, and says who did', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await listedAsStuck(s.client, order.id);
    await resolve(saga, { action: 'skip', operator: 'op-1' });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await s.heal();
    const cancellation = await cancel(order.id);
    expect(await cancellationIsStuck(order.id)).toBe('PaidOutside');
    expect(await eventTypes(s.db, order.id)).not.toContain('payment.refunded');
    await resolve(cancellation.saga, { action: 'skip', operator: 'op-2' });
    expect(await cancellation.result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    const event = await s.db.event.findFirst({ where: { orderId: order.id, type: 'payment.refunded' } });
    expect(event?.data).toMatchObject({ skippedBy: 'op-2', amount: { amount: order.total.amount } });
  });
});

describe('refunds that fail', () => {
  test('twice park the cancellation at once, and its page says that it waits for an operator; an operator’s retry makes one more, and the order ends', async () => {
    const { order, result } = await s.place({ PLENTY: 1 });
    await result();
    await fault({ mode: 'refund_failed', route: 'refund', count: 2 });
    const { saga, result: cancelled } = await cancel(order.id);
    expect(await cancellationIsStuck(order.id)).toBe('RefundFailed');
    expect(await statusOfOrder(order.id)).toBe('CONFIRMED');
    const { currentDetails } = await saga.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('needs attention after 1 attempt: 2 refunds of order');
    expect(currentDetails).toContain('Nothing is done about it without an operator');
    expect(currentDetails).not.toContain('tried again by itself');
    await resolve(saga, { action: 'retry' });
    expect(await cancelled()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
  });
});

test('a saga that waits from one build to the next sends what the first one sent, and charges once', async () => {
  await s.fault({ route: 'charge', mode: 'down' });
  const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
  await listedAsStuck(s.client, order.id);
  // As the build of before accepted it, and charged it, its answer lost.
  await s.db.$executeRaw`UPDATE orders SET charge_version = 1, installation_id = NULL WHERE id = ${order.id}::uuid`;
  await s.heal();
  const sent = await fetch(`${s.sandboxUrl}/v1/payment_intents`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test_saga', 'idempotency-key': chargeKey(order.id) },
    body: new URLSearchParams({
      amount: String(order.total.amount),
      currency: 'usd',
      payment_method: 'pm_card_visa',
      'automatic_payment_methods[enabled]': 'true',
      'automatic_payment_methods[allow_redirects]': 'never',
      confirm: 'true',
      'metadata[orderId]': order.id,
    }),
  });
  expect(sent.status).toBe(200);
  await resolve(saga, { action: 'retry' });
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
  const { result: cancelled } = await cancel(order.id);
  expect(await cancelled()).toMatchObject({ status: 'CANCELLED' });
  expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
});
