/** An operator takes over: the messages to a stuck saga, also from the `temporal` command, and undos that fail for long. */
import { execFile } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { SAGA_STATE, SAGA_STEP, type SagaProgress } from '../../contracts/saga.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { readSku } from '../../domain/inventory.js';
import { beginUnwinding } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, required, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

/** In full at the pace of a real outage, some four minutes; otherwise the gateway asks to be tried again soon. */
const FULL = process.env['FULL'] === '1';
const TEN_FAILURES_LIMIT_MS = FULL ? 400_000 : 60_000;
/** From a timer that fires to the mark in the history: a workflow task, on a busy machine. */
const MARKING_MS = 5_000;

/** How often the refund of an order is still to fail. */
const failingRefunds = new Map<string, number>();
/** Charges wait at the gateway while there is a list for them; calling an entry lets its charge go on. */
let heldCharges: (() => void)[] | undefined;
/** Orders whose row cannot be asked what was decided. */
const undecidable = new Set<string>();

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    gateway: (real) => ({
      ...real,
      charge: async (request) => {
        await new Promise<void>((goOn) => (heldCharges ? heldCharges.push(goOn) : goOn()));
        return real.charge(request);
      },
      refund: async (request) => {
        const { orderId } = request.due;
        const left = failingRefunds.get(orderId) ?? 0;
        failingRefunds.set(orderId, left - 1);
        if (left <= 0) return real.refund(request);
        throw new GatewayUnknown('refunds are down', FULL ? {} : { retryAfterMs: 500 });
      },
    }),
    activities: (real) => ({
      ...real,
      beginUnwinding: async (input) => {
        if (undecidable.has(input.orderId)) throw new Error('the database is away');
        return real.beginUnwinding(input);
      },
    }),
  });
  await stock(s.db, 'PLENTY', 1_000);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const stuck = (orderId: string) => listedAsStuck(s.client, orderId);
const isRetrying = (saga: WorkflowHandle, name: string) =>
  eventually(`${name} is being retried`, async () => statusOf(await progressOf(saga), name) === 'retrying');
const refusal = (update: Promise<unknown>) =>
  update.then(
    () => 'accepted',
    (err: unknown) => (err instanceof WorkflowUpdateFailedError ? err.cause?.message : `unexpected ${String(err)}`),
  );

type Said = { code: number | null; stdout: string; stderr: string };
function temporal(...args: string[]): Promise<Said> {
  return new Promise((resolve) => {
    execFile(required('TEMPORAL_CLI_PATH'), [...args, '--address', s.env.address], (err, stdout, stderr) =>
      resolve({ code: err === null ? 0 : Number(err.code), stdout, stderr }),
    );
  });
}

/** From the undo's beginning to its mark, by the server's clock. */
async function markedAfterMs(saga: WorkflowHandle): Promise<number> {
  const { events } = await saga.fetchHistory();
  const marked = events?.find(({ upsertWorkflowSearchAttributesEventAttributes: upsert }) =>
    JSON.stringify(upsert?.searchAttributes ?? {}).includes(Buffer.from('"NEEDS_ATTENTION"').toString('base64')),
  );
  const refund = (await saga.query<SagaProgress>('progress')).steps.find(({ name }) => name === 'refundPayment');
  if (!marked?.eventTime || !refund?.startedAt) throw new Error('it was not marked');
  return Number(marked.eventTime.seconds) * 1_000 + (marked.eventTime.nanos ?? 0) / 1e6 - Date.parse(refund.startedAt);
}

describe('a step that an operator vouches for', () => {
  test('(the charge) is recorded as settled outside, with who said so, and the order is confirmed', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    await resolve(saga, { action: 'skip', operator: 'op-9', reason: 'paid by bank transfer' });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(statusOf(await progressOf(saga), 'chargePayment')).toBe('skipped');
    const charged = await s.db.event.findFirst({ where: { orderId: order.id, type: 'payment.charged' } });
    expect(charged?.data).toMatchObject({ skippedBy: 'op-9' });
    expect(await s.db.payment.findUnique({ where: { orderId: order.id } })).toMatchObject({
      status: 'SETTLED_OUTSIDE',
    });
    expect(await s.db.sagaLogEntry.findMany({ where: { orderId: order.id, actor: 'op-9' } })).toMatchObject([
      { step: 'resolve', outcome: 'skip', detail: 'chargePayment, NEEDS_ATTENTION: paid by bank transfer' },
      { step: 'chargePayment', outcome: 'skipped' },
    ]);
    await recordHistory('charge-skipped', saga, s.env.address);
  });

  test('takes that no further: if the order is unwound instead, the charge that was unknown is found and refunded', async () => {
    await s.fault({ route: 'charge', mode: 'hang_after', count: 1 });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await eventually('the charge is in the ledger', async () => (await s.money(order.id)).charges === 1);
    await s.fault({ route: 'lookup', mode: 'down' });
    await beginUnwinding(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await eventually(
      'the refund is being retried',
      async () => statusOf(await progressOf(saga), 'refundPayment') === 'retrying',
    );
    await s.heal();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
  });

  test('nor any other decision has a person’s data in its reason: it is refused before it is in the history', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await stuck(order.id);
    for (const [form, reason] of [
      ['an e-mail address', 'asked by anna@example.com'],
      ['a payment card number', 'card 4242 4242 4242 4242'],
      ['an IBAN', 'DE89370400440532013000'],
      ['a phone number', 'rang +49 151 23456789'],
    ] as const) {
      const words = `reason looks as if it had ${form} in it; name a ticket or an order instead`;
      expect(await refusal(resolve(saga, { action: 'skip', reason }))).toBe(words);
      const cancel = saga.executeUpdate('cancel', { args: [{ reason, requestedBy: 'op-9' }] });
      expect(await refusal(cancel)).toBe(words);
    }
    const told = await temporal('workflow', 'show', '-w', saga.workflowId, '--output', 'json');
    expect(told.stdout).not.toMatch(/anna@|4242|DE8937|23456789/);
    await s.heal();
    await resolve(saga, { action: 'retry', reason: 'ticket 4711' });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
  });

  test('cannot be vouched for while nothing waits', async () => {
    const held: (() => void)[] = [];
    heldCharges = held;
    const { order, saga, result } = await s.place({ PLENTY: 1 });
    try {
      await eventually('the charge is under way', () => held.length > 0);
      await expect(resolve(saga, { action: 'skip' })).rejects.toMatchObject({ cause: { type: 'NotWaiting' } });
    } finally {
      heldCharges = undefined;
      for (const goOn of held) goOn();
    }
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
  });
});

describe('an undo that fails', () => {
  test(
    'ten times is marked within its time, and succeeds at the eleventh without an operator’s help',
    async () => {
      const before = await readSku(s.db, 'PLENTY');
      await s.fault({ route: 'charge', mode: 'hang_after', count: 1 });
      const { order, saga, result } = await s.place({ PLENTY: 2 }, { policy: { compensationAttentionAfterMs: 1_000 } });
      await eventually('the charge is in the ledger', async () => (await s.money(order.id)).charges === 1);
      failingRefunds.set(order.id, 10);
      await beginUnwinding(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
      await stuck(order.id);
      const marked = await progressOf(saga);
      expect(marked).toMatchObject({ state: 'NEEDS_ATTENTION' });
      expect(failingRefunds.get(order.id)).toBeGreaterThan(0); // it was not marked because it gave up
      expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
      expect((await progressOf(saga)).steps.find(({ name }) => name === 'refundPayment')).toMatchObject({
        status: 'undone',
        attempts: 11,
        lastError: expect.stringContaining('refunds are down'),
      });
      expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
      expect(await readSku(s.db, 'PLENTY')).toEqual(before);
      expect(await markedAfterMs(saga)).toBeLessThan(1_000 + MARKING_MS);
    },
    TEN_FAILURES_LIMIT_MS,
  );

  test('marks the saga within its time, goes on trying, and finishes without help', async () => {
    await s.fault({ route: 'refund', mode: 'down' });
    await s.fault({ route: 'charge', mode: 'hang_after', count: null });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { compensationAttentionAfterMs: 500 } });
    await eventually('the charge is in the ledger', async () => (await s.money(order.id)).charges === 1);
    await saga.executeUpdate('cancel', { args: [{ reason: 'test', requestedBy: 'cus_1' }] });
    await stuck(order.id);
    expect((await progressOf(saga)).steps.find((step) => step.name === 'refundPayment')?.lastError).toContain(
      'payment gateway',
    );
    await s.heal();
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    await recordHistory('undo-failing', saga, s.env.address);
  });
});

describe('a saga that cannot even begin to unwind', () => {
  async function compensateUndecidable() {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const placed = await s.place({ PLENTY: 1 }, { policy: { compensationAttentionAfterMs: 500 } });
    await isRetrying(placed.saga, 'chargePayment');
    undecidable.add(placed.order.id);
    await resolve(placed.saga, { action: 'compensate' });
    return placed;
  }

  test('is marked within its time, and unwinds without help once it can', async () => {
    const { order, saga, result } = await compensateUndecidable();
    expect((await stuck(order.id)).typedSearchAttributes.get(SAGA_STEP)).toBe('beginUnwinding');
    undecidable.delete(order.id);
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    await recordHistory('undecided', saga, s.env.address);
  });

  test('is no longer marked when it turns out to be confirmed', async () => {
    const { order, saga, result } = await compensateUndecidable();
    await stuck(order.id);
    await recordCharge(s.db, order.id, `pi_${order.id}`);
    await confirmOrder(s.db, order.id);
    undecidable.delete(order.id);
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect((await saga.describe()).typedSearchAttributes.get(SAGA_STATE)).toBeUndefined();
  });
});

test('a parked saga whose order was confirmed without it ends as confirmed when its workflow is cancelled, and is no longer marked', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
  await stuck(order.id);
  await recordCharge(s.db, order.id, `pi_${order.id}`);
  await confirmOrder(s.db, order.id);
  await saga.cancel();
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  expect((await saga.describe()).typedSearchAttributes.get(SAGA_STATE)).toBeUndefined();
  await recordHistory('parked-and-confirmed', saga, s.env.address);
});

describe('an undo that fails in a saga whose workflow was cancelled', () => {
  test('can still be decided, and a late cancel neither stops it nor marks it', async () => {
    await s.fault({ route: 'charge', mode: 'hang_after', count: 1 });
    const { order, saga, result } = await s.place({ PLENTY: 1 }, { policy: { compensationAttentionAfterMs: 400 } });
    await eventually('the charge is in the ledger', async () => (await s.money(order.id)).charges === 1);
    await s.fault({ route: 'lookup', mode: 'down' });
    await s.fault({ route: 'refund', mode: 'down' });
    await beginUnwinding(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await stuck(order.id);
    await saga.cancel();
    await saga.executeUpdate('cancel', { args: [{ reason: 'once more', requestedBy: 'cus_1' }] });
    expect(
      await refusal(saga.executeUpdate('cancel', { args: [{ reason: 'a\u0000b', requestedBy: 'cus_1' }] })),
    ).toContain('control characters');
    expect(await refusal(resolve(saga, { action: 'compensate' }))).toContain('unwound already');
    await s.heal();
    await resolve(saga, { action: 'retry' });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
  });
});

describe('a saga that has ended', () => {
  test('refuses to be resolved or cancelled', async () => {
    const { saga, result } = await s.place({ PLENTY: 1 });
    await result();
    await expect(saga.executeUpdate('cancel', { args: [{ reason: 'late', requestedBy: 'cus_1' }] })).rejects.toThrow(
      /completed/,
    );
  });
});

describe('the `temporal` command', () => {
  const policy = { stepRetryBudgetMs: 1_200 };
  const decide = (orderId: string, decision: object) =>
    temporal(
      'workflow',
      'update',
      'execute',
      '--workflow-id',
      `order-${orderId}`,
      '--name',
      'resolve',
      '--input',
      JSON.stringify(decision),
    );

  test('lists a parked saga, skips its step, and says why it refuses what makes no sense', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    expect((await temporal('workflow', 'list', '--query', 'SagaState="NEEDS_ATTENTION"')).stdout).toContain(
      `order-${order.id}`,
    );
    const refused = await decide(order.id, { action: 'explode', operator: 'op-3', reason: 'x' });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('action must be') });
    const skipped = await decide(order.id, { action: 'skip', operator: 'op-3', reason: 'paid in cash' });
    expect(skipped).toMatchObject({ code: 0 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    const charged = await s.db.event.findFirst({ where: { orderId: order.id, type: 'payment.charged' } });
    expect(charged?.data).toMatchObject({ skippedBy: 'op-3' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
  });

  test('compensates a parked saga', async () => {
    const before = await readSku(s.db, 'PLENTY');
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    expect(await decide(order.id, { action: 'compensate', operator: 'op-3', reason: 'ticket 7' })).toMatchObject({
      code: 0,
    });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    expect(await readSku(s.db, 'PLENTY')).toEqual(before);
  });

  test('signals `retry` to a parked saga, and it goes on', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, result } = await s.place({ PLENTY: 1 }, { policy });
    await stuck(order.id);
    await s.heal();
    const signalled = await temporal('workflow', 'signal', '--workflow-id', `order-${order.id}`, '--name', 'retry');
    expect(signalled).toMatchObject({ code: 0 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
  });
});
