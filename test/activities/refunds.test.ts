/** Giving back: it is done if and only if the charge holds nothing, and no machine makes more than one refund again. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { allowRefund, readRefundState, spendRefundKey } from '../../domain/refunds.js';
import { eventTypes, stock } from '../support/database.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';
import { charge, failureOf, finish, refund, refundEvents, unwind } from './undo.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
  await stock(b.db, 'C', 1_000, 39_800);
  await stock(b.db, 'FREE', 1_000, 0);
});
afterEach(() => b.heal());
afterAll(() => b.stop());

/** An order of 398.00 that is being cancelled. */
async function cancelling(paymentMethod = 'pm_card_visa') {
  const { order, reference } = await b.confirmed({ sku: 'C', paymentMethod });
  await unwind(b, order.id);
  return { orderId: order.id, reference };
}
const due = { amount: 39_800 };
const refundsOf = (orderId: string) => b.gateway.findCharges(orderId).then(([charge]) => read(charge?.reference));
const read = async (reference = '') => (await b.gateway.readRefunds(reference)).map(({ status }) => status);
const paymentOf = (orderId: string) => b.db.payment.findUniqueOrThrow({ where: { orderId } });

describe('what others have given back', () => {
  test('is not what we give back: after a goodwill refund and a 503 the rest goes back, and the event says so', async () => {
    const { orderId, reference } = await cancelling();
    await b.byHand(reference, 500);
    await b.fault({ mode: 'down', route: 'refund', count: 1 });
    expect((await failureOf(refund(b, orderId))).failure.type).toBe('GatewayUnknown');
    expect(await refundEvents(b, orderId)).toEqual([]);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await b.ledger(orderId)).toMatchObject({ captured: 39_800, net: 0 });
    expect(await refundEvents(b, orderId)).toMatchObject([{ amount: { amount: 39_300, currency: 'USD' } }]);
    expect(await paymentOf(orderId)).toMatchObject({ status: 'REFUNDED', refundedAmount: 39_300n });
  });

  test('may be all of it: the order ends without an event that says that we gave anything', async () => {
    const { orderId, reference } = await cancelling();
    await b.byHand(reference);
    expect((await refund(b, orderId)).undone).toBe('nothing');
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await eventTypes(b.db, orderId)).not.toContain('payment.refunded');
    expect(await b.ledger(orderId)).toMatchObject({ net: 0, refunds: { length: 1 } });
    expect(await paymentOf(orderId)).toMatchObject({ status: 'REFUNDED', refundReference: null });
  });

  test('and then fails is given back by us after all', async () => {
    const { orderId, reference } = await cancelling();
    const goodwill = await b.byHand(reference, 500);
    const failing = {
      ...b.gateway,
      refund: async (...args: Parameters<typeof b.gateway.refund>) => {
        await b.gateway.refund(...args); // its answer is lost, and the other one fails meanwhile
        await b.intervene(`/sandbox/refunds/${goodwill}/fail`);
        throw new Error('no answer');
      },
    };
    await failureOf(refund(b, orderId, { gateway: failing }));
    expect(await b.ledger(orderId)).toMatchObject({ net: 500 });
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
    expect(await refundEvents(b, orderId)).toMatchObject([{ amount: { amount: 39_800 } }]);
  });
});

describe('a list of refunds that says less than there is', () => {
  test.each(['empty_page', 'repeat_page'])(
    'is not believed (%s): what was given back is told once it is to be seen',
    async (mode) => {
      const { orderId } = await cancelling();
      await b.fault({ mode, route: 'list' });
      expect((await failureOf(refund(b, orderId))).failure.type).toBe('GatewayUnknown');
      expect(await refundEvents(b, orderId)).toEqual([]);
      await b.heal();
      expect((await refund(b, orderId)).undone).toBe('done');
      expect(await refundEvents(b, orderId)).toMatchObject([{ amount: due }]);
      expect(await b.ledger(orderId)).toMatchObject({ net: 0, refunds: { length: 1 } });
    },
  );
});

describe('a refund that has definitely failed', () => {
  test('is not done: one more is made under a new key', async () => {
    const { orderId } = await cancelling();
    await b.fault({ mode: 'refund_failed', route: 'refund', count: 1 });
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await refundsOf(orderId)).toEqual(['succeeded', 'failed']);
    expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
    expect(await refundEvents(b, orderId)).toMatchObject([{ amount: { amount: 39_800 } }]);
  });

  test('twice is an operator’s: no machine makes a third, and each word of theirs one', async () => {
    const { orderId } = await cancelling();
    await b.fault({ mode: 'refund_failed', route: 'refund' });
    for (let tries = 0; tries < 3; tries++) {
      const { need, failure } = await failureOf(refund(b, orderId));
      expect([need, failure.nonRetryable]).toEqual(['RefundFailed', true]);
    }
    expect(await refundsOf(orderId)).toEqual(['failed', 'failed']);
    for (const _ of ['first', 'again, as after a worker’s death'])
      expect((await failureOf(refund(b, orderId, { word: 'word-1' }))).need).toBe('RefundFailed');
    expect(await refundsOf(orderId)).toHaveLength(3);
    await b.heal();
    expect((await failureOf(refund(b, orderId))).need).toBe('RefundFailed');
    expect((await refund(b, orderId, { word: 'word-2' })).undone).toBe('done');
    expect(await refundsOf(orderId)).toEqual(['succeeded', 'failed', 'failed', 'failed']);
    expect(await refundEvents(b, orderId)).toMatchObject([{ amount: { amount: 39_800 } }]);
  });

  test('keeps no other charge of its order from going back', async () => {
    const order = await b.pending('C');
    const charges = [await b.takeMoney(order.id, due), await b.takeMoney(order.id, due)];
    await unwind(b, order.id);
    await b.fault({ mode: 'refund_failed', route: 'refund', count: 2 });
    expect((await failureOf(refund(b, order.id))).need).toBe('RefundFailed');
    const states = async () => (await Promise.all(charges.map(read))).toSorted((x, y) => x.length - y.length);
    expect(await states()).toEqual([['succeeded'], ['failed', 'failed']]);
    expect((await refund(b, order.id, { word: 'word-1' })).undone).toBe('done');
    expect(await states()).toEqual([['succeeded'], ['succeeded', 'failed', 'failed']]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 0 });
  });

  test('since the charge is disputed is not made again: the money is not ours to give', async () => {
    const { orderId, reference } = await cancelling();
    await b.intervene(`/sandbox/payment_intents/${reference}/dispute`);
    await b.requests();
    for (const _ of ['first', 'and as often as the saga comes again by itself'])
      expect((await failureOf(refund(b, orderId))).need).toBe('RefundFailed');
    expect((await b.requests())['POST /v1/refunds']).toBe(1);
    const { failure } = await failureOf(refund(b, orderId, { word: 'after all' }));
    expect(failure.message).toContain('not ours to give back');
    expect((await b.requests())['POST /v1/refunds']).toBe(1);
    expect(await refundsOf(orderId)).toEqual([]);
  });
});

describe('a refund that is not final', () => {
  test('lets the saga go on once it is accepted: the order ends, and its event says that it is pending', async () => {
    const { orderId } = await cancelling('pm_card_pendingRefund');
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await refundsOf(orderId)).toEqual(['pending']);
    expect(await refundEvents(b, orderId)).toMatchObject([{ refundStatus: 'pending', amount: { amount: 39_800 } }]);
    expect(await finish(b, orderId)).toBe('CANCELLED');
  });

  test.each([
    ['settle', ['succeeded']],
    ['fail', ['succeeded', 'failed']],
    ['cancel', ['succeeded', 'canceled']],
  ])('but waits for its customer does not: it goes on when they %s it', async (verb, refunds) => {
    const { orderId, reference } = await cancelling();
    await b.fault({ mode: 'refund_requires_action', route: 'refund', count: 1 });
    for (const _ of [1, 2])
      expect((await failureOf(refund(b, orderId))).failure.message).toContain('waits for its customer');
    expect(await refundEvents(b, orderId)).toEqual([]);
    const [waiting] = await b.gateway.readRefunds(reference);
    await b.intervene(`/sandbox/refunds/${waiting?.reference}/${verb}`);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await refundsOf(orderId)).toEqual(refunds);
    expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
  });
});

describe('an answer that says nothing', () => {
  test.each(['error', 'error_after', 'reset_after', 'down'])(
    'to a refund (%s) does not block it for ever, nor has it made twice',
    async (mode) => {
      const { orderId } = await cancelling();
      await b.fault({ mode, route: 'refund', count: 1 });
      const first = await refund(b, orderId).catch((err: unknown) => err);
      if (first instanceof Error) await refund(b, orderId);
      expect(await refundsOf(orderId)).toEqual(['succeeded']);
      expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
      expect(await paymentOf(orderId)).toMatchObject({ status: 'REFUNDED', refundFailures: 0 });
    },
  );

  test('since the gateway knows the key with other parameters, of another build: it is made under the next key', async () => {
    const { orderId, reference } = await cancelling();
    const old = { payment_intent: reference, amount: '100', 'metadata[orderId]': orderId };
    await b.stripe('POST', '/v1/refunds', old, `${orderId}/refund/${reference}`);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
    expect(await refundEvents(b, orderId)).toMatchObject([{ amount: { amount: 39_800 } }]);
  });
});

describe('a worker of the release before, which counts in the payment only,', () => {
  const failed = { hasFailed: true, isListed: true, isForOperator: false };
  /** Its own statements. */
  const spends = (orderId: string) => b.db.$executeRaw`
    UPDATE payments SET refund_no = refund_no + 1, refund_failures_seen = refund_failures_seen + 1, refund_failures = refund_failures + 1
    WHERE order_id = ${orderId}::uuid`;
  const allows = (orderId: string, word: string) => b.db.$executeRaw`
    UPDATE payments SET refunds_allowed = greatest(refunds_allowed, refund_failures + 1), refund_word = ${word}
    WHERE order_id = ${orderId}::uuid AND refund_word IS DISTINCT FROM ${word}`;

  test('spends a key after us: it is spent for us, too, and no machine makes a third refund', async () => {
    const charge = await cancelling();
    await spendRefundKey(b.db, charge, 0, failed);
    await spends(charge.orderId);
    expect(await readRefundState(b.db, charge)).toMatchObject({ no: 2, failures: 2, allowed: 2 });
  });

  test('hears an operator: so do we, once, and leave its counts as they are', async () => {
    const charge = await cancelling();
    await spendRefundKey(b.db, charge, 0, failed);
    await spends(charge.orderId);
    await allows(charge.orderId, 'word-1');
    expect(await readRefundState(b.db, charge)).toMatchObject({ no: 2, failures: 2, allowed: 3 });
    await spendRefundKey(b.db, charge, 2, failed);
    await allowRefund(b.db, charge, 'word-1');
    expect(await readRefundState(b.db, charge)).toMatchObject({ no: 3, failures: 3, allowed: 3 });
    expect(await paymentOf(charge.orderId)).toMatchObject({ refundNo: 3, refundFailures: 3, refundsAllowed: 3 });
  });
});

test('an order of nothing whose charge an operator has vouched for is told as given back when it is unwound, once', async () => {
  const { id } = await b.pending('FREE');
  await charge(b, id, { skippedBy: 'op-1' });
  await unwind(b, id);
  for (const _ of ['first', 'again, as after a worker’s death']) expect((await refund(b, id)).undone).toBe('done');
  expect(await finish(b, id)).toBe('CANCELLED');
  expect(await refundEvents(b, id)).toMatchObject([{ amount: { amount: 0, currency: 'USD' }, gatewayReference: null }]);
  expect(await eventTypes(b.db, id)).toEqual([
    'order.created',
    'inventory.reserved',
    'payment.charged',
    'payment.refunded',
    'inventory.released',
    'order.cancelled',
  ]);
  expect(await b.ledger(id)).toMatchObject({ captured: 0, refunds: [] });
});
