/** Tracks of a pass do not wait for each other, and a finding follows the ledger that it is about. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { closeReported } from '../../domain/finding-closures.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { GatewayUnknown, type PageRequest } from '../../gateways/payments.js';
import { type TestLedgers, findingsOf, openLedgers } from './support.js';

let b: TestLedgers;
beforeEach(async () => {
  b = await openLedgers();
});
afterEach(() => b.stop());

const gapOf = (name: string) => b.db.reconciliationScan.findUnique({ where: { scan: `${name}-gap` } });
const notDue = () => b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now() + interval '1 hour'`;

/** A gateway whose lists show two entries a page. */
function inSmallPages(asked: PageRequest[] = []) {
  const cut = <T extends { reference: string }>(list: (request: PageRequest) => Promise<{ items: T[] }>) => {
    return async (request: PageRequest) => {
      asked.push(request);
      const { after, ...first } = request;
      // The real first page is asked, too, so that a fault strikes it as the provider would.
      const { items } = await list(first);
      if (after !== undefined)
        await b.stripe('GET', `/v1/payment_intents?limit=1&starting_after=${after}`).then(refuse);
      const from = after === undefined ? 0 : items.findIndex(({ reference }) => reference === after) + 1;
      const page = items.slice(from, from + 2);
      const last = page.at(-1)?.reference;
      return from + 2 < items.length && last !== undefined ? { items: page, after: last } : { items: page };
    };
  };
  return { ...b.gateway, listCharges: cut(b.gateway.listCharges) };
}
const refuse = (answer: Record<string, unknown>) => {
  if ('error' in answer) throw new GatewayUnknown('The payment gateway answered 429');
};

describe('pages after the first that answer 429', () => {
  test('keep nothing else from being found, do not grow the window, and are read once the gateway answers', async () => {
    const { order, reference } = await b.confirmed();
    await b.reconcile();
    const late = [];
    for (let i = 0; i < 7; i++) late.push(await b.cancelled());
    const charges = [];
    for (const { id } of late) charges.push(await b.takeMoney(id));
    await notDue();
    await b.fault({ mode: 'busy', route: 'page' });
    const asked: PageRequest[] = [];
    const gateway = inSmallPages(asked);
    await expect(b.reconcile({ gateway })).rejects.toThrow('429');
    await b.byHand(reference); // meanwhile another order's money is given back in the dashboard
    for (let pass = 0; pass < 3; pass++) await b.reconcile({ gateway }).catch(() => undefined);
    expect(await findingsOf(b.db, order.id)).toEqual([['REFUNDED_AT_GATEWAY', reference, 'reported']]);
    expect(await gapOf('charges')).not.toBeNull();
    const first = asked.filter(({ after }) => after === undefined).map(({ since }) => since.getTime());
    expect(first.at(-1)).toBeGreaterThanOrEqual(first[0] ?? Number.POSITIVE_INFINITY);
    await b.heal();
    for (let pass = 0; pass < 3; pass++) await b.reconcile({ gateway });
    expect(await gapOf('charges')).toBeNull();
    for (const { id } of late) expect(await b.ledger(id)).toMatchObject({ captured: 1_000, net: 0 });
    expect(charges).toHaveLength(7);
  });
});

test('money of hours ago that the newest entries do not show is found by the scan of a day', async () => {
  const order = await b.cancelled();
  await b.takeMoney(order.id);
  const nothingNew = () => b.db.$executeRaw`UPDATE reconciliation_cursors SET charges_from = now() + interval '1 year'`;
  const blind = { ...b.gateway, listRefunds: async () => ({ items: [] }), listDisputes: async () => ({ items: [] }) };
  await b.reconcile({ gateway: { ...blind, listCharges: async () => ({ items: [] }) } });
  await nothingNew();
  await notDue();
  expect(await b.reconcile({ gateway: blind })).toMatchObject({ refunded: 0 });
  b.setClock(25 * 3_600_000);
  await b.db.$executeRaw`UPDATE reconciliation_scans SET due_at = now() WHERE scan = 'charges-day'`;
  expect(await b.reconcile({ gateway: blind })).toMatchObject({ refunded: 1 });
  expect(await b.ledger(order.id)).toMatchObject({ captured: 1_000, net: 0 });
});

describe('a list that fails', () => {
  const failing = async (): Promise<never> => {
    throw new GatewayUnknown('this list fails');
  };
  test.each(['listRefunds', 'listDisputes'])(
    '(%s) leaves charges and orders that are named to be settled',
    async (list) => {
      const [order, named] = [await b.cancelled(), await b.cancelled()];
      await b.takeMoney(order.id);
      await b.takeMoney(named.id);
      await expect(b.reconcile({ gateway: { ...b.gateway, [list]: failing } }, [named.id])).rejects.toThrow(
        'this list fails',
      );
      expect(await b.ledger(order.id)).toMatchObject({ net: 0 });
      expect(await b.ledger(named.id)).toMatchObject({ net: 0 });
    },
  );

  test('(listCharges) leaves refunds by hand to be found, and orders that are named', async () => {
    const { order, reference } = await b.confirmed();
    const named = await b.cancelled();
    await b.takeMoney(named.id);
    await b.byHand(reference);
    await expect(b.reconcile({ gateway: { ...b.gateway, listCharges: failing } }, [named.id])).rejects.toThrow(
      'this list fails',
    );
    expect(await findingsOf(b.db, order.id)).toEqual([['REFUNDED_AT_GATEWAY', reference, 'reported']]);
    expect(await b.ledger(named.id)).toMatchObject({ net: 0 });
  });
});

describe('a finding', () => {
  const finding = async (orderId: string) => (await listFindings(b.db, { orderId }))[0];
  const close = async (orderId: string) =>
    closeReported(b.db, (await finding(orderId))?.id ?? '', { as: 'cancelled', operator: 'op-1', reason: 'goodwill' });
  const seen = async (orderId: string) => {
    const { amount, action, detail } = (await finding(orderId)) ?? {};
    return [amount, action, detail];
  };

  test('follows the ledger: what more goes back changes its amount, and is reported again', async () => {
    const { order, reference } = await b.confirmed();
    await b.byHand(reference, 300);
    expect(await b.reconcile()).toMatchObject({ reported: 1 });
    expect(await seen(order.id)).toEqual([700, 'reported', expect.stringContaining('300 of 1000')]);
    expect(await b.reconcile()).toMatchObject({ reported: 0 });
    await b.byHand(reference);
    expect(await b.reconcile()).toMatchObject({ reported: 1 });
    expect(await seen(order.id)).toEqual([0, 'reported', expect.stringContaining('1000 of 1000')]);
  });

  test('closes itself when the ledgers agree again, and opens again when they do not, of whatever amount', async () => {
    const { order, reference } = await b.confirmed();
    const made = [await b.byHand(reference, 300)];
    await b.reconcile();
    await b.intervene(`/sandbox/refunds/${made[0]}/fail`);
    await b.reconcile({}, [order.id]);
    expect(await seen(order.id)).toEqual([700, 'cancelled', expect.stringContaining('not so any more')]);
    await b.byHand(reference, 300);
    expect(await b.reconcile()).toMatchObject({ reported: 1 });
    expect(await seen(order.id)).toEqual([700, 'reported', expect.stringContaining('300 of 1000')]);
  });

  test('that an operator has closed stays closed until it is of another amount', async () => {
    const { order, reference } = await b.confirmed();
    await b.byHand(reference, 300);
    await b.reconcile();
    expect(await close(order.id)).toBe(true);
    for (let pass = 0; pass < 2; pass++) expect(await b.reconcile({}, [order.id])).toMatchObject({ reported: 0 });
    expect(await seen(order.id)).toEqual([700, 'cancelled', expect.anything()]);
    await b.byHand(reference, 200);
    expect(await b.reconcile()).toMatchObject({ reported: 1 });
    expect(await seen(order.id)).toEqual([500, 'reported', expect.anything()]);
  });

  test('that an operator has closed stays closed when it has been otherwise in between, and is as it was', async () => {
    const { order, reference } = await b.confirmed();
    await b.byHand(reference, 300);
    await b.reconcile();
    await close(order.id);
    await b.intervene(`/sandbox/payment_intents/${reference}/dispute`);
    await b.reconcile();
    expect(await findingsOf(b.db, order.id)).toContainEqual(['REFUNDED_AT_GATEWAY', reference, 'cancelled']);
    expect(await findingsOf(b.db, order.id)).toContainEqual(['DISPUTED', reference, 'reported']);
  });
});
