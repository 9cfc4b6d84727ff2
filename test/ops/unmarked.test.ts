/**
 * A charge that fits an order of ours and carries no marks: an older worker made it during a deploy in the wrong order, or a stranger
 * did. Nothing moves it but an operator's word, `ops reconcile --refund`.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { readStanding } from '../../domain/installation.js';
import { openFinding } from '../../domain/reconciliation.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import { failureOf, finish, refund, refundEvents, unwind } from '../activities/undo.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { listedAsStuck, resolve } from '../support/decisions.js';
import { startSagaStack } from '../support/saga.js';
import { type TestLedgers, findingsOf, openLedgers, SILENT } from '../reconciliation/support.js';
import { type Cli, cliOf } from './cli.js';

let b: TestLedgers;
let ops: Cli;
beforeAll(async () => {
  b = await openLedgers();
  ops = cliOf({ databaseUrl: b.databaseUrl, env: { address: '127.0.0.1:1' } });
});
afterEach(() => b.heal());
afterAll(() => b.stop());

const idOf = async (reference: string): Promise<string> => {
  const finding = (await listFindings(b.db)).find((found) => found.reference === reference);
  return finding?.id ?? 'none';
};
const sayRefund = (id: string) => ops.json('reconcile', '--refund', id, '--reason', 'ours, ticket 14', '--yes');
/** Several passes, since what a machine may do it may do later. */
async function reconcileForLong() {
  for (let pass = 0; pass < 3; pass++) await b.reconcile();
}
const holds = async (reference: string) => {
  const charge = await b.gateway.readCharge(reference);
  return charge && charge.received - charge.refunded;
};
/** Accepted by today's API, charged by a worker that knows no marks, whose answer was lost, then cancelled: its undo is stuck. */
async function stuck() {
  const { id } = await b.pending();
  const reference = await b.charged({ orderId: id });
  await unwind(b, id);
  expect(await failureOf(refund(b, id))).toMatchObject({ need: 'GatewayMismatch' });
  return { id, reference };
}

describe('of an order that is being unwound', () => {
  test('it is reported, and left alone', async () => {
    const { id, reference } = await stuck();
    await reconcileForLong();
    expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'reported']]);
    expect(await holds(reference)).toBe(1_000);
    expect(await failureOf(refund(b, id))).toMatchObject({ need: 'GatewayMismatch' });
  });

  test.each(['search', 'list'])(
    'on an operator’s word it goes back once, and the undo that %s serves goes on',
    async (by) => {
      const { id, reference } = await stuck();
      await b.reconcile();
      const finding = await idOf(reference);
      const said = await sayRefund(finding);
      expect(said).toMatchObject({ code: 0, document: { items: [{ outcome: 'done', orderId: id, reference }] } });
      await b.reconcile();
      if (by === 'list') await b.fault({ mode: 'empty_page', route: 'search' });
      expect((await refund(b, id)).undone).toBe('done');
      expect(await finish(b, id)).toBe('CANCELLED');
      await reconcileForLong();
      expect(await b.ledger(id)).toMatchObject({ captured: 1_000, net: 0, refunds: { length: 1 } });
      expect(await refundEvents(b, id)).toMatchObject([{ amount: { amount: 1_000 }, gatewayReference: reference }]);
      expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'refunded']]);
      const log = await b.db.sagaLogEntry.findMany({ where: { orderId: id, actor: 'op-test' } });
      expect(log).toMatchObject([{ outcome: 'refunding', detail: `UNMARKED_CHARGE ${reference}: ours, ticket 14` }]);
    },
  );

  test('the undo gives it back by itself if it is the first to see the operator’s request', async () => {
    const { id, reference } = await stuck();
    await b.reconcile();
    await sayRefund(await idOf(reference));
    expect((await refund(b, id)).undone).toBe('done');
    await reconcileForLong();
    expect(await b.ledger(id)).toMatchObject({ net: 0, refunds: { length: 1 } });
    expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'refunded']]);
  });

  test('one that was given back at the gateway by hand does not stop the undo', async () => {
    const { id, reference } = await stuck();
    await b.byHand(reference);
    expect((await refund(b, id)).undone).toBe('nothing');
    await reconcileForLong();
    expect(await findingsOf(b.db, id)).toEqual([]);
  });

  test('one that an operator closes as none of ours stays, and the order ends without it', async () => {
    const { id, reference } = await stuck();
    await b.reconcile();
    const close = ['reconcile', '--close', await idOf(reference), '--as', 'cancelled', '--reason', 'another shop’s'];
    expect(await ops(...close, '--yes')).toMatchObject({ code: 0 });
    expect((await refund(b, id)).undone).toBe('nothing');
    expect(await finish(b, id)).toBe('CANCELLED');
    await reconcileForLong();
    expect(await holds(reference)).toBe(1_000);
    expect(await refundEvents(b, id)).toEqual([]);
    expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'cancelled']]);
  });

  test('one that waits for its customer is called off', async () => {
    const { id } = await b.pending();
    const reference = await b.charged({ orderId: id }, { payment_method: 'pm_card_authenticationRequired' });
    await unwind(b, id);
    expect(await failureOf(refund(b, id))).toMatchObject({ need: 'GatewayMismatch' });
    await b.reconcile();
    await sayRefund(await idOf(reference));
    await reconcileForLong();
    expect(await b.gateway.readCharge(reference)).toMatchObject({ state: 'over' });
    expect((await refund(b, id)).undone).toBe('nothing');
    expect((await findingsOf(b.db, id)).find(([kind]) => kind === 'UNMARKED_CHARGE')).toEqual([
      'UNMARKED_CHARGE',
      reference,
      'cancelled',
    ]);
  });
});

describe('of an order that has ended', () => {
  test('cancelled: it is refunded on an operator’s request; if the money comes back later, that takes another request', async () => {
    const { id } = await b.cancelled();
    const reference = await b.charged({ orderId: id });
    await b.reconcile();
    await sayRefund(await idOf(reference));
    await b.reconcile();
    expect(await holds(reference)).toBe(0);
    const [made] = await b.gateway.readRefunds(reference);
    await b.intervene(`/sandbox/refunds/${made?.reference}/fail`);
    await reconcileForLong();
    expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'reported']]);
    expect(await holds(reference)).toBe(1_000);
    await sayRefund(await idOf(reference));
    await reconcileForLong();
    expect(await holds(reference)).toBe(0);
    expect(await findingsOf(b.db, id)).toEqual([['UNMARKED_CHARGE', reference, 'refunded']]);
  });

  test('confirmed: what is surplus is refunded on an operator’s request, and what paid for the order stays', async () => {
    const { order, reference } = await b.confirmed();
    const surplus = await b.charged({ orderId: order.id });
    await reconcileForLong();
    expect(await holds(surplus)).toBe(1_000);
    await sayRefund(await idOf(surplus));
    await reconcileForLong();
    expect([await holds(surplus), await holds(reference)]).toEqual([0, 1_000]);
  });
});

const ours = (orderId: string) => ({ orderId, installationId: b.installationId, purpose: 'order' });

test('of an order that this database has lost: it stays until an operator’s request, and is given back then', async () => {
  const reference = await b.charged(ours(randomUUID()));
  await reconcileForLong();
  expect(await holds(reference)).toBe(1_000);
  await sayRefund(await idOf(reference));
  await reconcileForLong();
  expect(await holds(reference)).toBe(0);
});

describe('no operator’s request moves', () => {
  test('what is marked and does not fit', async () => {
    const unlike = await b.charged(ours((await b.cancelled()).id), { amount: '1200' });
    await b.reconcile();
    const { code, stderr } = await ops('reconcile', '--refund', await idOf(unlike), '--reason', 'x', '--yes');
    expect([code, stderr]).toEqual([2, expect.stringContaining('no refund of ours settles')]);
    await reconcileForLong();
    expect(await holds(unlike)).toBe(1_200);
  });

  test.each([
    ['names no order of ours', async () => randomUUID(), {}, false],
    ['costs more than its order', async () => (await b.cancelled()).id, { amount: '1200' }, false],
    ['is in another currency', async () => (await b.cancelled()).id, { currency: 'eur' }, false],
    ['costs less than its order', async () => (await b.cancelled()).id, { amount: '900' }, true],
  ])('what %s, should it ever stand in the list', async (_what, orderOf, changed, isHeard) => {
    const orderId = await orderOf();
    const reference = await b.charged({ orderId }, changed);
    const charge = await b.gateway.readCharge(reference);
    const subject = { reference, orderId, amount: charge?.received ?? 0, currency: charge?.currency ?? '' };
    await openFinding(b.db, 'UNMARKED_CHARGE', 'reported', subject);
    const { document } = await sayRefund(await idOf(reference));
    expect(document.items).toMatchObject([{ outcome: isHeard ? 'done' : 'failed' }]);
    await b.reconcile({}, [orderId]); // it is looked at again before money moves
    await reconcileForLong();
    expect(await holds(reference)).toBe(charge?.received);
  });
});

test('a saga that it has stopped is listed, and ends after the request and a retry: nothing but `ops`', async () => {
  const s = await startSagaStack();
  try {
    await stock(s.db, 'A', 10);
    const cli = cliOf(s);
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await listedAsStuck(s.client, order.id);
    await s.heal();
    const made = await fetch(`${s.sandboxUrl}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_older_worker' },
      body: new URLSearchParams({
        amount: `${order.total.amount}`,
        currency: 'usd',
        confirm: 'true',
        payment_method: 'pm_card_visa',
        'metadata[orderId]': order.id,
      }),
    });
    expect(made.status).toBe(200);
    await resolve(saga, { action: 'compensate' });
    await eventually('its undo is stuck', async () => {
      const { document } = await cli.json('stuck');
      return document.sagas.some((stuckOne: { failure: string }) => stuckOne.failure === 'GatewayMismatch');
    });
    const gateway = createPaymentGateway({ url: s.sandboxUrl, apiKey: 'sk_test_saga', timeoutMs: 2_000 });
    const { id: installationId } = await readStanding(s.db);
    const pass = () => reconcileOnce({ db: s.db, gateway, installationId, logger: SILENT, owner: 'test' });
    await pass();
    const [finding] = await listFindings(s.db, { orderId: order.id });
    expect(finding).toMatchObject({ kind: 'UNMARKED_CHARGE', action: 'reported' });
    await cli('reconcile', '--refund', finding?.id ?? '', '--reason', 'ours, ticket 14', '--yes');
    await pass();
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    expect(await cli('retry', order.id, '--yes')).toMatchObject({ code: 0 });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    expect((await cli.json('stuck')).document.sagas).toEqual([]);
  } finally {
    await s.stop();
  }
}, 60_000);
