import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { RETRY_SIGNAL, type SagaProgress, sagaStart } from '../../contracts/saga.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { readSku } from '../../domain/inventory.js';
import { beginUnwinding, readOrder, requestCancellation } from '../../domain/orders.js';
import { readSagaLog, recordDecision } from '../../domain/saga-log.js';
import { eventually } from '../support/conditions.js';
import { checkContracts } from '../support/contracts.js';
import { assertStockConserved, eventTypes, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'PLENTY', 1_000);
  await stock(s.db, 'NONE', 0);
  await stock(s.db, 'GIFT', 1_000, 0);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(async () => {
  const { breaches } = await checkContracts(s.db).finally(() => s.stop());
  expect(breaches).toEqual([]); // in the events of all these stories
});

const stuck = (orderId: string) => listedAsStuck(s.client, orderId);
const refusal = (update: Promise<unknown>) =>
  update.then(
    () => 'accepted',
    (err: unknown) => (err instanceof WorkflowUpdateFailedError ? err.cause?.message : `unexpected ${String(err)}`),
  );

describe('an order that meets no trouble', () => {
  test('is confirmed and charged once, in at most ten history events', async () => {
    const { order, saga, result } = await s.place({ PLENTY: 2 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    expect(await eventTypes(s.db, order.id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.charged',
      'order.confirmed',
    ]);
    expect(await progressOf(saga)).toMatchObject({
      state: 'COMPLETED',
      steps: [{ status: 'completed' }, { status: 'completed' }, { status: 'completed' }],
    });
    expect((await saga.fetchHistory()).events?.length).toBeLessThanOrEqual(10);
    await recordHistory('confirmed', saga, s.env.address);
  });

  test('with a total of 0 is confirmed without asking the gateway', async () => {
    await s.fault({ route: 'all', mode: 'down' });
    const { order, result } = await s.place({ GIFT: 1 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await s.heal();
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
  });
});

describe('a refusal', () => {
  test('by an empty stock row cancels the order before any money moves', async () => {
    const { order, saga, result } = await s.place({ PLENTY: 1, NONE: 1 });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OUT_OF_STOCK' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
    expect(await eventTypes(s.db, order.id)).toEqual([
      'order.created',
      'inventory.reservation.failed',
      'order.cancelled',
    ]);
    expect(statusOf(await progressOf(saga), 'releaseInventory')).toBe('nothing-to-undo');
    await recordHistory('out-of-stock', saga, s.env.address);
  });

  test.each([
    'pm_card_chargeDeclined',
    'pm_card_chargeDeclinedInsufficientFunds',
    'pm_card_authenticationRequired',
    'pm_nonexistent',
  ])('by the gateway (%s) releases the stock and cancels the order', async (paymentMethod) => {
    const before = await readSku(s.db, 'PLENTY');
    const { order, saga, result } = await s.place({ PLENTY: 3 }, { paymentMethod });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'PAYMENT_DECLINED' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
    expect(await eventTypes(s.db, order.id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.declined',
      'inventory.released',
      'order.cancelled',
    ]);
    expect(await readSku(s.db, 'PLENTY')).toEqual(before);
    if (paymentMethod === 'pm_card_chargeDeclined') await recordHistory('declined', saga, s.env.address);
  });
});

describe('a payment whose outcome is unknown', () => {
  test.each([
    'pm_sandbox_timeout_after_charge',
    'pm_sandbox_error_after_charge',
    'pm_sandbox_unavailable',
    'pm_sandbox_processing',
  ])('is found out, and the order confirmed with one charge (%s)', async (paymentMethod) => {
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { paymentMethod });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    if (paymentMethod === 'pm_sandbox_timeout_after_charge')
      await recordHistory('timeout-after-charge', saga, s.env.address);
  });

  test('is looked up and refunded when the order is unwound meanwhile', async () => {
    await s.fault({ route: 'charge', mode: 'hang_after', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 });
    await eventually('the charge is in the ledger', async () => (await s.money(order.id)).charges === 1);
    // The first try is still hanging at the gateway; the next one finds the order unwinding and does not ask.
    await beginUnwinding(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    expect(await eventTypes(s.db, order.id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.refunded',
      'inventory.released',
      'order.cancelled',
    ]);
    await recordHistory('cancelled-during-unknown-charge', saga, s.env.address);
  });
});

describe('a gateway that stays down', () => {
  const policy = { stepRetryBudgetMs: 1_200 };
  const expectNothingLeft = async (orderId: string, before: unknown) => {
    expect(await s.money(orderId)).toEqual({ net: 0, charges: 0 });
    expect(await readSku(s.db, 'PLENTY')).toEqual(before);
    expect(await eventTypes(s.db, orderId)).toEqual([
      'order.created',
      'inventory.reserved',
      'inventory.released',
      'order.cancelled',
    ]);
  };

  test('parks the saga where operators list it; `retry` after the repair confirms the order', async () => {
    await s.fault({ route: 'all', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy });
    const listed = await stuck(order.id);
    expect(listed.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value])).toEqual(
      expect.arrayContaining([
        ['SagaStep', 'chargePayment'],
        ['SagaFailure', 'GatewayUnknown'],
      ]),
    );
    const parked = await progressOf(saga);
    expect(parked.state).toBe('NEEDS_ATTENTION');
    expect(parked.steps.find((step) => step.name === 'chargePayment')).toMatchObject({
      status: 'parked',
      lastError: expect.stringContaining('payment gateway'),
    });
    const { attempts = 0 } = parked.steps.find((step) => step.name === 'chargePayment') ?? {};
    expect(attempts).toBeGreaterThan(1); // the first, local one, and those of the whole budget
    await s.heal();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    const log = await readSagaLog(s.db, (await readOrder(s.db, order.id)) ?? order);
    expect(log.steps.find((step) => step.name === 'chargePayment')).toMatchObject({ attempts: attempts + 1 });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    await recordHistory('parked-then-retried', saga, s.env.address);
  });

  test('until the deadline has the saga unwind by itself', async () => {
    const before = await readSku(s.db, 'PLENTY');
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { ...policy, sagaDeadlineMs: 3_000 } });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
    await expectNothingLeft(order.id, before);
    await recordHistory('deadline', saga, s.env.address);
  });

  test('beyond the deadline, for every question, has the saga wait with its refund until it learns that there is none', async () => {
    const before = await readSku(s.db, 'PLENTY');
    await s.fault({ route: 'all', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { ...policy, sagaDeadlineMs: 3_000 } });
    await eventually(
      'the refund is being tried',
      async () => statusOf(await progressOf(saga), 'refundPayment') === 'retrying',
    );
    expect((await readOrder(s.db, order.id))?.status).toBe('PENDING');
    await s.heal();
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
    await expectNothingLeft(order.id, before);
  });

  test('can be ended by an operator: `resolve` with compensate unwinds, and says why it refuses', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    expect(await refusal(resolve(saga, { action: 'explode' as 'retry' }))).toContain(
      'action must be "retry", "skip" or "compensate"',
    );
    expect(await refusal(resolve(saga, { action: 'retry', operator: 'Jane Doe <jane@example.com>' }))).toContain(
      'operator must be an opaque subject id',
    );
    expect(await refusal(resolve(saga, { action: 'retry', reason: 'x'.repeat(201) }))).toContain(
      'reason must be 1 to 200 characters',
    );
    await resolve(saga, { action: 'compensate' });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    expect(await readSku(s.db, 'PLENTY')).toMatchObject({ reserved: 0 });
    await recordHistory('compensated-by-operator', saga, s.env.address);
  });

  test('does not stop a cancellation recorded in Postgres alone from being honoured at the next try', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    await beginUnwinding(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
  });

  test('does not stop the `cancel` update from unwinding a step that is backing off', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { saga, result } = await s.place({ PLENTY: 1 });
    await eventually(
      'the step is being retried',
      async () => statusOf(await progressOf(saga), 'chargePayment') === 'retrying',
    );
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    await recordHistory('cancelled-while-backing-off', saga, s.env.address);
  });

  test('does not stop a cancelled workflow from unwinding', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    await saga.cancel();
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    await recordHistory('workflow-cancelled', saga, s.env.address);
  });
});

describe('a confirmation that fails', () => {
  test('is shown as the step that is stuck, not the charge before it, and goes on once it can', async () => {
    await s.db.$executeRaw`
      CREATE FUNCTION refuse_confirmation() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no confirmations today'; END $$`;
    await s.db.$executeRaw`
      CREATE TRIGGER no_confirmation BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.status = 'CONFIRMED')
        EXECUTE FUNCTION refuse_confirmation()`;
    const { order, saga, result } = await s.place({ PLENTY: 1 });
    const steps = await eventually('the confirmation is tried again and again', async () => {
      const { steps: all } = await progressOf(saga);
      return all.find(({ name }) => name === 'confirmOrder')?.status === 'retrying' && all;
    });
    expect(steps).toMatchObject([
      { name: 'reserveInventory', status: 'completed' },
      { name: 'chargePayment', status: 'completed', attempts: 2 },
      { name: 'confirmOrder', lastError: expect.stringContaining('SQLSTATE P0001') },
    ]);
    await s.db.$executeRaw`DROP TRIGGER no_confirmation ON orders`;
    await saga.signal(RETRY_SIGNAL);
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    await recordHistory('confirmation-retried', saga, s.env.address);
  });
});

describe('the saga log in Postgres', () => {
  test('tells the same story as the saga, attempts and refusal included', async () => {
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { paymentMethod: 'pm_card_chargeDeclined' });
    await result();
    const told = await progressOf(saga);
    const kept = await readSagaLog(s.db, (await readOrder(s.db, order.id)) ?? order);
    const brief = ({ steps, state }: SagaProgress) => ({
      state,
      steps: steps.map(({ name, kind, status, attempts }) => [name, kind, status, attempts]),
    });
    expect(brief(kept)).toEqual(brief(told));
  });

  test('keeps a decision once, however often a crash has it recorded', async () => {
    const { order, result } = await s.place({ PLENTY: 1 });
    await result();
    const decision = {
      orderId: order.id,
      action: 'retry',
      operator: 'op-7',
      reason: 'again',
      step: 'none',
      before: 'RUNNING',
    } as const;
    for (const id of ['update-1', 'update-1', 'update-2']) await recordDecision(s.db, { id, ...decision });
    expect(await s.db.sagaLogEntry.count({ where: { orderId: order.id, step: 'resolve' } })).toBe(2);
  });

  test('cannot be changed', async () => {
    await expect(s.db.$executeRaw`UPDATE saga_log SET outcome = 'completed'`).rejects.toThrow('append-only');
    await expect(s.db.$executeRaw`DELETE FROM saga_log`).rejects.toThrow('append-only');
  });
});

describe('a confirmed order that is cancelled', () => {
  const cancelConfirmed = async (orderId: string) => {
    const due = await requestCancellation(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER', actor: 'cus_1' });
    expect(due).toMatchObject({ outcome: 'cancellation-due', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await requestCancellation(s.db, orderId, { reason: 'OPERATOR' })).toEqual(due);
    const [unstarted] = (await listUnstarted(s.db, 0, 1_000)).filter((saga) => saga.id === orderId);
    if (!unstarted) throw new Error('its cancellation is not on the sweep’s list');
    const { type, options } = sagaStart(unstarted, PATIENT);
    return s.client.workflow.start(type, options);
  };

  test('gets its money back and gives its stock back, with the events to show for it', async () => {
    const before = await readSku(s.db, 'PLENTY');
    const { order, result } = await s.place({ PLENTY: 4 });
    await result();
    const saga = await cancelConfirmed(order.id);
    expect(saga.workflowId).toBe(`order-${order.id}-cancel`);
    expect(await outcomeOf(saga)).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await readOrder(s.db, order.id)).toMatchObject({
      status: 'CANCELLED',
      cancellation: { reason: 'CANCELLED_BY_CUSTOMER' },
    });
    expect(await eventTypes(s.db, order.id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.charged',
      'order.confirmed',
      'payment.refunded',
      'inventory.released',
      'order.cancelled',
    ]);
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    expect(await readSku(s.db, 'PLENTY')).toEqual(before);
    await recordHistory('cancelled-after-confirmation', saga, s.env.address);
  });

  test('goes on while its refund fails, though its workflow is cancelled, and is finished when the gateway is back', async () => {
    const { order, result } = await s.place({ PLENTY: 1 });
    await result();
    await s.fault({ route: 'refund', mode: 'down' });
    const saga = await cancelConfirmed(order.id);
    await eventually(
      'the refund is being retried',
      async () => statusOf(await progressOf(saga), 'refundPayment') === 'retrying',
    );
    await saga.cancel(); // from the Web UI: nothing cancels an unwinding
    await s.heal();
    await saga.signal('retry');
    expect(await outcomeOf(saga)).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    await recordHistory('cancelled-after-confirmation-undo-failing', saga, s.env.address);
  });
});
