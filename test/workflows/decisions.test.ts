/**
 * A decision that is overtaken while it is being recorded: by the deadline, by the step's own end, by a cancellation, by another
 * decision, by the saga's end. It takes effect or is refused, and the log says which.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { activityInfo } from '@temporalio/activity';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { NeedsOperator, translated } from '../../activities/failures.js';
import type { Resolution, SagaProgress } from '../../contracts/saga.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

type Action = Resolution['action'];
/** Decisions, by action, that are accepted but cannot be recorded yet. */
const held = new Set<string>();
/** Orders whose row cannot be asked what was decided. */
const undecidable = new Set<string>();
/** Whether charges park their sagas at once. */
let isParking = false;
let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    activities: (real) => ({
      ...real,
      chargePayment: async (input) => {
        if (isParking && input.skippedBy === undefined)
          await translated(() => {
            throw new NeedsOperator('planned need');
          });
        return real.chargePayment(input);
      },
      beginUnwinding: async (input) => {
        if (undecidable.has(input.orderId)) throw new Error('the row is locked');
        return real.beginUnwinding(input);
      },
      recordDecision: async (decision) => {
        // The first try is part of the workflow task that accepts: held up, it would hold up the acceptance.
        if (held.has(decision.action) && activityInfo().isLocal) throw new Error('planned failure');
        await eventually('the decision may be recorded', () => !held.has(decision.action), 30_000);
        return real.recordDecision(decision);
      },
    }),
  });
  await stock(s.db, 'PLENTY', 1_000);
});
afterEach(async () => {
  held.clear();
  undecidable.clear();
  isParking = false;
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const stuck = (orderId: string) => listedAsStuck(s.client, orderId);
const accepted = (saga: WorkflowHandle, action: Action, operator = 'op-7') => {
  const args: [Resolution] = [{ action, operator, reason: 'tested by hand' }];
  return saga.startUpdate<SagaProgress, [Resolution]>('resolve', { args, waitForStage: 'ACCEPTED' });
};
const isRetrying = (saga: WorkflowHandle, name: string) =>
  eventually(`${name} is being retried`, async () => statusOf(await progressOf(saga), name) === 'retrying');
const refusal = (update: Promise<unknown>) =>
  update.then(
    () => 'accepted',
    (err: unknown) => (err instanceof WorkflowUpdateFailedError ? err.cause?.message : `unexpected ${String(err)}`),
  );
/** Whether the server holds the update for the saga's next workflow task. */
const hasArrived = ({ workflowId }: WorkflowHandle, updateId: string) =>
  s.client.workflowService
    .pollWorkflowExecutionUpdate({
      namespace: 'default',
      updateRef: { workflowExecution: { workflowId }, updateId },
      waitPolicy: { lifecycleStage: 0 }, // as it is now
    })
    .then(() => true);
/** What the log says that was decided, and of each whether it was taken. */
const decisions = async (orderId: string) => {
  const entries = await s.db.sagaLogEntry.findMany({ where: { orderId, step: 'resolve' }, orderBy: { id: 'asc' } });
  return entries.map(({ outcome }) => outcome);
};

describe('the deadline', () => {
  /** Parked, and the deadline passes while a decision is being recorded. */
  async function overtakenByDeadline(action: Action, stepRetryBudgetMs = 30_000) {
    isParking = true;
    held.add(action);
    const placed = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs, sagaDeadlineMs: 2_000 } });
    await stuck(placed.order.id);
    const deciding = await accepted(placed.saga, action);
    await eventually('the saga has seen its deadline', async () => {
      const events = (await placed.saga.fetchHistory()).events ?? [];
      const fired = events.findIndex((event) => event.timerFiredEventAttributes);
      return fired >= 0 && events.slice(fired).some((event) => event.workflowTaskCompletedEventAttributes);
    });
    return { ...placed, deciding };
  }

  test('waits for a `skip` that was accepted before it: the charge is settled outside, and the order confirmed', async () => {
    const { order, saga, result, deciding } = await overtakenByDeadline('skip');
    held.clear();
    expect(await refusal(deciding.result())).toBe('accepted');
    expect(statusOf(await progressOf(saga), 'chargePayment')).toBe('skipped');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.db.payment.findUnique({ where: { orderId: order.id } })).toMatchObject({
      status: 'SETTLED_OUTSIDE',
    });
    expect(await decisions(order.id)).toEqual(['skip']);
    await recordHistory('skipped-at-the-deadline', saga, s.env.address);
  });

  test('waits for a `retry`: the step has its try, and succeeds if it can', async () => {
    const { order, result } = await overtakenByDeadline('retry');
    isParking = false;
    held.clear();
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    expect(await decisions(order.id)).toEqual(['retry']);
  });

  test('waits for a `compensate`: the order says that an operator wanted it', async () => {
    const { order, result } = await overtakenByDeadline('compensate');
    held.clear();
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    expect(await decisions(order.id)).toEqual(['compensate']);
  });

  test('is not held for long: a decision that cannot be recorded within the step’s budget is refused, and nothing is done', async () => {
    const { order, result, deciding } = await overtakenByDeadline('skip', 1_500);
    expect(await refusal(deciding.result())).toContain('could not be recorded, and nothing was done');
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
    held.clear(); // the try that hangs at the database ends all the same
    expect(await decisions(order.id)).toContain('skip-not-taken');
  });
});

describe('a decision that is overtaken is refused, and the log says so:', () => {
  test('by the step’s own end', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: 6 });
    const { order, saga, result } = await s.place({ PLENTY: 1 });
    await isRetrying(saga, 'chargePayment');
    held.add('skip');
    const vouching = await accepted(saga, 'skip');
    await s.heal();
    expect(
      await eventually('the order is confirmed', async () => (await readOrder(s.db, order.id))?.status === 'CONFIRMED'),
    );
    held.clear();
    expect(await refusal(vouching.result())).toContain('chargePayment has come to its own end (completed)');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    expect(await decisions(order.id)).toEqual(['skip', 'skip-not-taken']);
  });

  test('by a cancellation through the saga', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 5_000 } });
    await isRetrying(saga, 'chargePayment');
    held.add('skip');
    const vouching = await accepted(saga, 'skip');
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    held.clear();
    expect(await refusal(vouching.result())).toContain('was left, because it has been decided otherwise');
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await decisions(order.id)).toEqual(['skip', 'skip-not-taken']);
  });

  test('by a cancellation in Postgres, of which the saga has not heard', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await refusal(resolve(saga, { action: 'skip' }))).toContain(
      'was left, because it has been decided otherwise',
    );
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await decisions(order.id)).toEqual(['skip', 'skip-not-taken']);
    expect(await s.db.payment.count({ where: { orderId: order.id, status: 'SETTLED_OUTSIDE' } })).toBe(0);
  });

  test('by the pivot, which the order had passed: the operator is told', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    await recordCharge(s.db, order.id, `pi_${order.id}`);
    await confirmOrder(s.db, order.id);
    expect(await refusal(resolve(saga, { action: 'compensate' }))).toContain('was confirmed first');
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await decisions(order.id)).toEqual(['compensate', 'compensate-not-taken']);
  });

  test('by the pivot, which the order had passed before it could be asked', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    undecidable.add(order.id);
    await resolve(saga, { action: 'compensate' }); // an operator, called because nothing works, is not kept waiting
    await recordCharge(s.db, order.id, `pi_${order.id}`);
    await confirmOrder(s.db, order.id);
    undecidable.clear();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await decisions(order.id)).toEqual(['compensate', 'compensate-not-taken']);
  });

  test('by the pivot, and the workflow itself is cancelled: the log has both all the same', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    undecidable.add(order.id);
    await resolve(saga, { action: 'compensate' });
    await recordCharge(s.db, order.id, `pi_${order.id}`);
    await confirmOrder(s.db, order.id);
    await saga.cancel();
    undecidable.clear();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await decisions(order.id)).toEqual(['compensate', 'compensate-not-taken']);
  });

  test('by the saga’s end, while it was being recorded, and then it could not be asked', async () => {
    isParking = true;
    const { order, saga, result } = await s.place({ PLENTY: 1 });
    await stuck(order.id);
    held.add('compensate');
    const update = await accepted(saga, 'compensate');
    await recordCharge(s.db, order.id, `pi_${order.id}`);
    await confirmOrder(s.db, order.id);
    isParking = false;
    await saga.signal('retry');
    await eventually('the saga has come to its end', async () => (await progressOf(saga)).state === 'COMPLETED');
    undecidable.add(order.id);
    held.clear();
    await update.result();
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await recordHistory('compensated-as-it-ended', saga, s.env.address);
    expect(await decisions(order.id)).toEqual(['compensate', 'compensate-not-taken']);
  });
});

describe('while a decision is in hand', () => {
  test.each(['skip', 'compensate'] as const)('the same once more is refused (%s), and kept once', async (action) => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 5_000 } });
    await isRetrying(saga, 'chargePayment');
    held.add(action);
    const first = await accepted(saga, action);
    for (const again of ['retry', 'skip', 'compensate'] as const) {
      expect(await refusal(resolve(saga, { action: again, operator: 'op-8' }))).toContain(
        `a decision in hand: ${action}, by op-7`,
      );
    }
    held.clear();
    await first.result();
    expect(await result()).toMatchObject({ status: action === 'skip' ? 'CONFIRMED' : 'CANCELLED' });
    expect(await decisions(order.id)).toEqual([action]);
  });

  test('one of two that arrive together is refused, and not kept', async () => {
    isParking = true;
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 30_000 } });
    await stuck(order.id);
    await s.dismiss(); // so that both are there before a worker looks at either
    const send = (action: Action, updateId: string) =>
      refusal(
        saga.executeUpdate('resolve', { args: [{ action, operator: updateId, reason: 'tested by hand' }], updateId }),
      );
    const deciding = [send('skip', 'op-1'), send('compensate', 'op-2')];
    for (const updateId of ['op-1', 'op-2'])
      await eventually(`the server has the decision of ${updateId}`, () => hasArrived(saga, updateId));
    await s.engage();
    const answers = await Promise.all(deciding);
    const [taken, refused] = answers[0] === 'accepted' ? (['skip', 1] as const) : (['compensate', 0] as const);
    expect(answers[1 - refused]).toBe('accepted');
    expect(answers[refused]).toContain(`a decision in hand: ${taken}`);
    expect(await result()).toMatchObject({ status: taken === 'skip' ? 'CONFIRMED' : 'CANCELLED' });
    expect(await decisions(order.id)).toEqual([taken]);
  });
});

test('a saga that cannot even begin to unwind is tried at once when an operator says so, and offers nothing else', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const policy = { compensationAttentionAfterMs: 500 };
  const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy });
  await isRetrying(saga, 'chargePayment');
  undecidable.add(order.id);
  await resolve(saga, { action: 'compensate' });
  await stuck(order.id);
  expect(await refusal(resolve(saga, { action: 'skip' }))).toContain('no step that waits');
  // By now it backs off for seconds.
  await eventually('it has failed some times', async () => {
    const [pending] = (await saga.describe()).raw.pendingActivities ?? [];
    return (pending?.attempt ?? 0) >= 4;
  });
  undecidable.delete(order.id);
  const asked = Date.now();
  await resolve(saga, { action: 'retry' });
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
  expect(Date.now() - asked).toBeLessThan(3_000); // by itself after 8 s
  await recordHistory('undecided-retried', saga, s.env.address);
});
