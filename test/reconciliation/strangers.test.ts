/** An account that is shared: what is not ours is left alone, whatever it says, and ours is held against its order. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { type TestLedgers, findingsOf, openLedgers } from './support.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterAll(() => b.stop());

/** Several passes, with the whole day's scan in each. */
async function reconcileForLong(ledgers: TestLedgers): Promise<void> {
  for (let pass = 0; pass < 3; pass++) {
    await ledgers.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now()`;
    await ledgers.reconcile();
  }
}
const isUntouched = async (reference: string) => {
  const charge = await b.gateway.readCharge(reference);
  return charge?.refunded === 0 && charge.state !== 'over';
};
const ours = (orderId: string) => ({ orderId, installationId: b.installationId, purpose: 'order' });

describe('what a stranger makes on the same account', () => {
  const open = { payment_method: 'pm_card_authenticationRequired' };
  test.each<[string, () => Record<string, string> | Promise<Record<string, string>>, Record<string, string>]>([
    ['that names its own order', () => ({ orderId: 'WOO-1001' }), {}],
    ['that names nothing', () => ({}), {}],
    ['that waits for its customer', () => ({ orderId: 'WOO-1002' }), open],
    ['that names an id like ours, which is no order', () => ({ orderId: randomUUID() }), {}],
    ['that names a cancelled order of ours, for another sum', cancelled({}), { amount: '999' }],
    ['that names a cancelled order of ours, in another currency', cancelled({}), { currency: 'eur' }],
    ['of another installation, for an order of its own', () => ({ ...ours(randomUUID()), installationId: 'b' }), {}],
    ['of another installation, in the name of a cancelled order of ours', cancelled({ installationId: 'b' }), {}],
    ['of ours, for another purpose', cancelled({ purpose: 'gift-card' }, true), {}],
    ['with an order’s name of 500 characters', () => ({ orderId: 'x'.repeat(500) }), {}],
    ['with a name that is hardly text', () => ({ orderId: "\u0001';--" }), {}],
  ])('%s, is neither touched nor reported', async (_what, metadata, changed) => {
    const before = (await listFindings(b.db)).length;
    const reference = await b.charged(await metadata(), changed);
    await reconcileForLong(b);
    expect(await isUntouched(reference)).toBe(true);
    expect(await listFindings(b.db)).toHaveLength(before);
  });
});

/** In the name of an order of ours that is cancelled. */
function cancelled(changed: Record<string, string>, isOurs = false) {
  return async () => {
    const order = await b.cancelled();
    const marks = isOurs || 'installationId' in changed ? ours(order.id) : { orderId: order.id };
    return { ...marks, ...changed };
  };
}

describe('what may be ours', () => {
  test('but is not marked is reported once and not touched: it fits a cancelled order', async () => {
    const order = await b.cancelled();
    const reference = await b.charged({ orderId: order.id });
    await reconcileForLong(b);
    expect(await findingsOf(b.db, order.id)).toEqual([['UNMARKED_CHARGE', reference, 'reported']]);
    expect(await isUntouched(reference)).toBe(true);
  });

  test.each([{ amount: '1200' }, { currency: 'eur' }])(
    'and is marked, but of %j is reported and not touched',
    async (other) => {
      const order = await b.cancelled();
      const reference = await b.charged(ours(order.id), other);
      await reconcileForLong(b);
      expect(await findingsOf(b.db, order.id)).toEqual([['AMOUNT_MISMATCH', reference, 'reported']]);
      expect(await isUntouched(reference)).toBe(true);
    },
  );

  test.each([
    ['a charge', {}, { net: 0 }],
    ['an open intent', { payment_method: 'pm_card_authenticationRequired' }, { captured: 0 }],
  ])('and is marked goes back: %s', async (_what, changed, sums) => {
    const order = await b.cancelled();
    const reference = await b.charged(ours(order.id), changed);
    await reconcileForLong(b);
    expect(await isUntouched(reference)).toBe(false);
    expect(await b.ledger(order.id)).toMatchObject(sums);
  });
});

test('two installations on one account leave each other’s orders alone, paid and cancelled', async () => {
  const other = await openLedgers({ account: b.url, installationId: 'shop-b' });
  try {
    const paid = [await b.confirmed(), await other.confirmed()];
    const gone = [await b.cancelled(), await other.cancelled()] as const;
    const late = [
      await b.charged(ours(gone[0].id)),
      await b.charged({ ...ours(gone[1].id), installationId: other.installationId }),
    ];
    const isPaid = () => Promise.all(paid.map(({ reference }) => isUntouched(reference)));
    await reconcileForLong(b);
    expect(await isPaid()).toEqual([true, true]);
    expect(await Promise.all(late.map(isUntouched))).toEqual([false, true]);
    for (let pass = 0; pass < 3; pass++) await other.reconcile();
    expect(await Promise.all(late.map(isUntouched))).toEqual([false, false]);
    expect(await isPaid()).toEqual([true, true]);
    expect((await listFindings(other.db)).map(({ kind, reference }) => [kind, reference])).toEqual([
      ['LATE_CHARGE', late[1]],
    ]);
  } finally {
    await other.stop();
  }
});

test('the reconciler stops after so many actions of a kind within an hour, whatever the kind', async () => {
  const ledgers = await openLedgers();
  try {
    const orders = await Promise.all(Array.from({ length: 4 }, () => ledgers.cancelled()));
    for (const order of orders) await ledgers.leaveOpen(order.id);
    const counts = await ledgers.reconcile({ actionsPerHourMax: 1 });
    expect(counts.cancelled).toBeGreaterThan(0);
    expect(counts.reported).toBeGreaterThan(0);
    expect(counts.cancelled + counts.reported).toBe(4);
    await ledgers.db.$executeRaw`UPDATE reconciliation_findings SET at = at - interval '61 minutes'`;
    await ledgers.reconcile();
    for (const order of orders) expect(await findingsOf(ledgers.db, order.id)).toMatchObject([{ 2: 'cancelled' }]);
  } finally {
    await ledgers.stop();
  }
});

test('refunds of strangers, in whatever name, cost no request each', async () => {
  const references = await Promise.all(Array.from({ length: 5 }, () => b.charged({ orderId: randomUUID() })));
  for (const reference of references)
    await b.stripe('POST', '/v1/refunds', { payment_intent: reference, 'metadata[orderId]': randomUUID() });
  const read: string[] = [];
  const counting = {
    ...b.gateway,
    readCharge: (reference: string) => {
      read.push(reference);
      return b.gateway.readCharge(reference);
    },
  };
  await b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now()`;
  await b.reconcile({ gateway: counting });
  expect(references.filter((reference) => read.includes(reference))).toEqual([]);
});

test('one entry from the future does not hide what comes after it', async () => {
  const dated = await b.charged({ orderId: 'WOO-1003' });
  const ahead = {
    ...b.gateway,
    listCharges: async (request: Parameters<TestLedgers['gateway']['listCharges']>[0]) => {
      const page = await b.gateway.listCharges(request);
      const items = page.items.map((charge) =>
        charge.reference === dated ? { ...charge, createdAt: new Date(Date.now() + 30 * 86_400_000) } : charge,
      );
      return { ...page, items };
    },
  };
  await b.reconcile({ gateway: ahead });
  const { chargesFrom } = await b.db.reconciliationCursor.findFirstOrThrow();
  expect(chargesFrom.getTime()).toBeLessThan(Date.now() + 10 * 60_000);
});
