/** After an order's end: its refund is followed until it is final, and what becomes of it is reported. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { closeReported, refundReported } from '../../domain/finding-closures.js';
import { readOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { SCAN_DEFAULTS } from '../../reconciliation/scans.js';
import { failureOf, finish, refund, refundEvents, unwind } from '../activities/undo.js';
import { eventually } from '../support/conditions.js';
import { eventTypes } from '../support/database.js';
import { type TestLedgers, findingsOf, openLedgers } from './support.js';

const DAY_MS = 86_400_000;
/** When no list of charges shows its charge any more. */
const FAILS_AFTER_DAYS = 3;

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers({ refundFailsAfterMs: FAILS_AFTER_DAYS * DAY_MS });
});
afterAll(() => b.stop());
let aheadMs = 0;
/** By the gateway's clock. */
const daysPass = (days: number) => {
  aheadMs += days * DAY_MS + 1_000;
  b.setClock(aheadMs);
};

/** An order that was confirmed, cancelled and given back. */
async function givenBack(paymentMethod?: string) {
  const { order, reference } = await b.confirmed({ ...(paymentMethod !== undefined && { paymentMethod }) });
  await unwind(b, order.id);
  await refund(b, order.id);
  await finish(b, order.id);
  return { orderId: order.id, reference, events: await eventTypes(b.db, order.id) };
}
const statesOf = async (reference: string) => (await b.gateway.readRefunds(reference)).map(({ status }) => status);
const allHaveFailed = async (reference: string, times: number) => {
  daysPass(FAILS_AFTER_DAYS);
  expect(await statesOf(reference)).toEqual(Array.from({ length: times }, () => 'failed'));
};
/** A pass in which every scan is due, and nothing else is read of refunds: they are old. */
const reconcileAll = async () => {
  await b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now()`;
  await b.db.$executeRaw`UPDATE reconciliation_cursors SET refunds_from = now() + interval '1 year'`;
  return b.reconcile();
};
const fail = async (reference: string) => {
  const [newest] = await b.gateway.readRefunds(reference);
  await b.intervene(`/sandbox/refunds/${newest?.reference}/fail`);
};
const findingIdOf = async (orderId: string) => (await listFindings(b.db, { orderId }))[0]?.id ?? '';

test('how often and for how long refunds are followed: within five minutes for a day, within the hour for two months', () => {
  expect(SCAN_DEFAULTS).toEqual({
    refundCheckEveryMs: 4 * 60_000,
    refundYoungForMs: DAY_MS,
    refundRecheckEveryMs: 45 * 60_000,
    refundFollowForMs: 60 * DAY_MS,
  });
});

describe.each([
  ['by an event', (orderId: string) => b.reconcile({}, [orderId])],
  ['without one', reconcileAll],
])('a refund that fails after the order’s end, found %s', (_how, pass) => {
  test('is reported and made once more; a second failure is reported, and nothing moves until an operator says so', async () => {
    const { orderId, reference, events } = await givenBack('pm_card_refundFail');
    await b.reconcile();
    await allHaveFailed(reference, 1);
    expect(await pass(orderId)).toMatchObject({ refunded: 1 });
    expect(await findingsOf(b.db, orderId)).toEqual([['REFUND_FAILED', reference, 'refunded']]);
    expect(await statesOf(reference)).toHaveLength(2);

    await allHaveFailed(reference, 2);
    expect(await pass(orderId)).toMatchObject({ refunded: 0, reported: 1 });
    for (let again = 0; again < 2; again++) expect(await pass(orderId)).toMatchObject({ refunded: 0, reported: 0 });
    expect(await findingsOf(b.db, orderId)).toEqual([['REFUND_FAILED', reference, 'reported']]);
    expect(await statesOf(reference)).toEqual(['failed', 'failed']);

    expect(await refundReported(b.db, await findingIdOf(orderId), { operator: 'op-1', reason: 'a new card' })).toBe(
      true,
    );
    expect(await pass(orderId)).toMatchObject({ refunded: 1 });
    await allHaveFailed(reference, 3);
    for (let again = 0; again < 2; again++) await pass(orderId);
    expect(await statesOf(reference)).toHaveLength(3);
    expect(await findingsOf(b.db, orderId)).toEqual([['REFUND_FAILED', reference, 'reported']]);

    expect(await eventTypes(b.db, orderId)).toEqual(events);
    expect((await readOrder(b.db, orderId))?.status).toBe('CANCELLED');
  });
});

describe.each([
  ['by an event', (orderId: string) => b.reconcile({}, [orderId])],
  ['without one', reconcileAll],
])('a refund that begins to wait for its customer after the order’s end, found %s,', (_how, pass) => {
  /** As many refunds do that go to a bank account: first accepted, then the customer has to say which. */
  async function waiting() {
    await b.fault({ mode: 'refund_pending', route: 'refund', count: 1 });
    const given = await givenBack();
    const [refund] = await b.gateway.readRefunds(given.reference);
    const become = (verb: string) => b.intervene(`/sandbox/refunds/${refund?.reference}/${verb}`);
    await become('require_action');
    return { ...given, refund: refund?.reference, become };
  }

  test('is reported once, with its amount and what can be done, and no longer when it has gone through', async () => {
    const { orderId, reference, refund, become, events } = await waiting();
    expect(await pass(orderId)).toMatchObject({ reported: 1, refunded: 0 });
    for (let again = 0; again < 2; again++) expect(await pass(orderId)).toMatchObject({ reported: 0, refunded: 0 });
    const [finding, ...others] = await listFindings(b.db, { orderId, open: true });
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ kind: 'REFUND_WAITS', reference, action: 'reported', amount: 1_000 });
    expect(finding?.detail).toMatch(
      new RegExp(`^The refund ${refund} waits for its customer: .*cancel it at the gateway`),
    );
    await become('settle');
    await pass(orderId);
    expect(await listFindings(b.db, { orderId, open: true })).toEqual([]);
    expect(await statesOf(reference)).toEqual(['succeeded']);
    expect(await eventTypes(b.db, orderId)).toEqual(events);
  });

  test.each(['cancel', 'fail'])('and is then ended (%s) is followed by another one, by itself', async (verb) => {
    const { orderId, reference, become } = await waiting();
    await pass(orderId);
    await become(verb);
    expect(await pass(orderId)).toMatchObject({ refunded: 1 });
    expect(await listFindings(b.db, { orderId, open: true })).toEqual([]);
    expect(await findingsOf(b.db, orderId)).toContainEqual(['REFUND_FAILED', reference, 'refunded']);
    expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
  });

  test('is closed for good by an operator’s request', async () => {
    const { orderId } = await waiting();
    await pass(orderId);
    const word = { as: 'cancelled', operator: 'op-1', reason: 'the customer knows' } as const;
    expect(await closeReported(b.db, await findingIdOf(orderId), word)).toBe(true);
    expect(await pass(orderId)).toMatchObject({ reported: 0 });
    expect(await listFindings(b.db, { orderId, open: true })).toEqual([]);
  });
});

test('each charge of an order has its one refund by itself, whatever became of another’s', async () => {
  const { orderId, reference } = await givenBack();
  for (let times = 0; times < 2; times++) {
    await fail(reference);
    await reconcileAll();
  }
  expect(await statesOf(reference)).toEqual(['failed', 'failed']);
  const second = await b.takeMoney(orderId);
  expect(await b.reconcile({}, [orderId])).toMatchObject({ refunded: 1 });
  await fail(second);
  expect(await b.reconcile({}, [orderId])).toMatchObject({ refunded: 1 });
  expect(await statesOf(second)).toEqual(['succeeded', 'failed']);
  await fail(second);
  for (let again = 0; again < 2; again++) await reconcileAll();
  expect(await statesOf(second)).toEqual(['failed', 'failed']);

  const [given] = (await listFindings(b.db, { orderId, open: true })).filter((found) => found.reference === second);
  expect(await refundReported(b.db, given?.id ?? '', { operator: 'op-1', reason: 'a new card' })).toBe(true);
  for (let again = 0; again < 2; again++) await reconcileAll();
  expect([await statesOf(second), await statesOf(reference)]).toEqual([
    ['succeeded', 'failed', 'failed'],
    ['failed', 'failed'],
  ]);
});

test.each([
  ['young, of an old charge', 'refunds-young', 0],
  ['older than a day', 'refunds-old', 3],
])('one that is %s is followed by a scan of its own: %s', async (_age, scan, days) => {
  const { order, reference } = await b.confirmed();
  daysPass(3);
  await unwind(b, order.id);
  await refund(b, order.id);
  await finish(b, order.id);
  await b.confirmed(); // newer than what it is about
  await reconcileAll();
  daysPass(days);
  await fail(reference);
  await b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now() + interval '1 hour'`;
  expect(await b.reconcile()).toMatchObject({ refunded: 0 });
  await b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now() WHERE scan = ${scan}`;
  expect(await b.reconcile()).toMatchObject({ refunded: 1 });
  expect(await findingsOf(b.db, order.id)).toEqual([['REFUND_FAILED', reference, 'refunded']]);
});

test('scans that have come to their end are due again as promised, and none is forgotten', async () => {
  await reconcileAll();
  const rows = await b.db.$queryRaw<{ scan: string; seconds: number }[]>`
    SELECT scan, ceil(extract(epoch FROM due_at - now()))::int AS seconds FROM reconciliation_scans`;
  const dueIn = Object.fromEntries(rows.map(({ scan, seconds }) => [scan, seconds]));
  const within = {
    'charges-day': 3_600,
    'refunds-young': 300,
    'refunds-old': 3_600,
    'disputes-young': 300,
    'disputes-old': 3_600,
  };
  for (const [scan, limit] of Object.entries(within)) {
    expect([scan, dueIn[scan]]).toEqual([scan, expect.any(Number)]);
    expect(dueIn[scan]).toBeGreaterThan(0);
    expect(dueIn[scan]).toBeLessThanOrEqual(limit);
  }
});

test('a refund that was pending and succeeds is no news', async () => {
  const { orderId, reference } = await givenBack('pm_card_pendingRefund');
  const [pending] = await b.gateway.readRefunds(reference);
  await b.intervene(`/sandbox/refunds/${pending?.reference}/settle`);
  await reconcileAll();
  expect(await findingsOf(b.db, orderId)).toEqual([]);
});

test('one that fails weeks later, its key forgotten, is made again once and not twice', async () => {
  const { orderId, reference, events } = await givenBack();
  await b.reconcile();
  daysPass(20);
  await fail(reference);
  await reconcileAll();
  expect(await statesOf(reference)).toEqual(['succeeded', 'failed']);
  daysPass(20);
  await fail(reference);
  for (let pass = 0; pass < 3; pass++) await reconcileAll();
  expect(await statesOf(reference)).toEqual(['failed', 'failed']);
  expect(await findingsOf(b.db, orderId)).toEqual([['REFUND_FAILED', reference, 'reported']]);
  expect(await eventTypes(b.db, orderId)).toEqual(events);
});

describe('what a customer’s bank takes issue with', () => {
  test('is found by the list of disputes alone, at an order of any state, and is reported once', async () => {
    const ledgers = await openLedgers({ disputeAfterMs: 50 });
    try {
      const { order, reference } = await ledgers.confirmed({ paymentMethod: 'pm_card_createDispute' });
      await eventually('it is disputed', async () => (await ledgers.gateway.readCharge(reference))?.disputed);
      await ledgers.db.$executeRaw`UPDATE payments SET created_at = now() - interval '2 days'`;
      const unlisted = { ...ledgers.gateway, listCharges: async () => ({ items: [] }) };
      expect(await ledgers.reconcile({ gateway: unlisted })).toMatchObject({ reported: 1, refunded: 0 });
      expect(await ledgers.reconcile()).toMatchObject({ reported: 0 });
      expect(await findingsOf(ledgers.db, order.id)).toEqual([['DISPUTED', reference, 'reported']]);
    } finally {
      await ledgers.stop();
    }
  });

  test('after its refund has failed is not given back without an operator', async () => {
    const { orderId, reference } = await givenBack();
    await fail(reference);
    await b.intervene(`/sandbox/payment_intents/${reference}/dispute`);
    for (let pass = 0; pass < 2; pass++) await reconcileAll();
    expect(await statesOf(reference)).toEqual(['failed']);
    expect((await findingsOf(b.db, orderId)).map(([kind, , action]) => [kind, action])).toEqual([
      ['DISPUTED', 'reported'],
    ]);
  });
});

test('money that was paid outside is not given back without an operator: the refund waits for a request, and records whose it was', async () => {
  const order = await b.pending();
  await recordCharge(b.db, order.id, null, { attempts: 1, skippedBy: 'op-1' });
  await b.db.$executeRaw`UPDATE orders SET status = 'CONFIRMED' WHERE id = ${order.id}::uuid`;
  await unwind(b, order.id);
  for (const options of [{}, { word: 'a retry' }])
    expect((await failureOf(refund(b, order.id, options))).need).toBe('PaidOutside');
  expect(await refundEvents(b, order.id)).toEqual([]);
  expect((await refund(b, order.id, { skippedBy: 'op-2' })).undone).toBe('done');
  expect(await finish(b, order.id)).toBe('CANCELLED');
  expect(await refundEvents(b, order.id)).toMatchObject([{ amount: { amount: 1_000 }, skippedBy: 'op-2' }]);
});
