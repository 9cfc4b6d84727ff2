/** Orders that an older build began: what is sent for them stays what it was, and what was taken for them stays ours. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { chargeKey } from '../../contracts/ids.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { type Gateway, GatewayUnknown } from '../../gateways/payments.js';
import { type TestLedgers, findingsOf, openLedgers } from '../reconciliation/support.js';
import { accept } from '../support/database.js';
import { charge, failureOf, finish, refund, unwind } from './undo.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterEach(() => b.heal());
afterAll(() => b.stop());

/** As the release before the marks accepted it. */
async function acceptedBefore(): Promise<string> {
  const { id } = await b.pending();
  await b.db.$executeRaw`UPDATE orders SET charge_version = 1, installation_id = NULL WHERE id = ${id}::uuid`;
  return id;
}
/** What the release before the marks sent, word for word. */
const oldBuildCharges = (orderId: string, changed: Record<string, string> = {}) =>
  b.stripe(
    'POST',
    '/v1/payment_intents',
    {
      amount: '1000',
      currency: 'usd',
      payment_method: 'pm_card_visa',
      'automatic_payment_methods[enabled]': 'true',
      'automatic_payment_methods[allow_redirects]': 'never',
      confirm: 'true',
      'metadata[orderId]': orderId,
      ...changed,
    },
    chargeKey(orderId),
  );
const metadataOf = async (reference: string) =>
  (await b.stripe('GET', `/v1/payment_intents/${reference}`))['metadata'] as unknown;
const searchIsLate = () => b.fault({ mode: 'empty_page', route: 'search' });
const givenBack = { captured: 1_000, net: 0, refunds: { length: 1 } };

describe('an order that was accepted before there were marks, and is cancelled after', () => {
  test('confirmed: its charge goes back', async () => {
    const orderId = await acceptedBefore();
    const made = await oldBuildCharges(orderId);
    await recordCharge(b.db, orderId, made['id'] as string);
    await confirmOrder(b.db, orderId);
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await b.ledger(orderId)).toMatchObject(givenBack);
  });

  test('parked, never charged: there is nothing to give back', async () => {
    const orderId = await acceptedBefore();
    await b.fault({ mode: 'down', route: 'charge' });
    await failureOf(charge(b, orderId));
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('nothing');
    expect(await finish(b, orderId)).toBe('CANCELLED');
  });

  test.each(['search', 'list'])('charged, its answer lost: %s finds it, and it goes back', async (by) => {
    const orderId = await acceptedBefore();
    await oldBuildCharges(orderId);
    if (by === 'list') await searchIsLate();
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await b.ledger(orderId)).toMatchObject(givenBack);
  });

  test('charged when all was over: the reconciler gives back what fits it, and only reports what does not', async () => {
    const [fits, other] = [await acceptedBefore(), await acceptedBefore()];
    for (const orderId of [fits, other]) {
      await unwind(b, orderId);
      await refund(b, orderId);
      await finish(b, orderId);
    }
    await oldBuildCharges(fits);
    const wrong = await oldBuildCharges(other, { amount: '1200' });
    await b.reconcile();
    expect(await b.ledger(fits)).toMatchObject(givenBack);
    expect(await b.ledger(other)).toMatchObject({ net: 1_200 });
    expect(await findingsOf(b.db, other)).toEqual([['AMOUNT_MISMATCH', wrong['id'], 'reported']]);
  });
});

describe('an order that goes on after the upgrade', () => {
  test('is charged once: what is sent is what the older build sent under the key', async () => {
    const orderId = await acceptedBefore();
    const made = await oldBuildCharges(orderId); // and its answer is lost
    await b.requests();
    await charge(b, orderId, { attempt: 2 });
    expect(await b.requests()).toEqual({ 'POST /v1/payment_intents': 1 }); // it was answered, with no look-up
    expect(await b.db.payment.findUnique({ where: { orderId } })).toMatchObject({ gatewayReference: made['id'] });
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 1_000 });
    expect((await oldBuildCharges(orderId))['id']).toBe(made['id']); // the older build may come back
  });

  test('carries what it was accepted with: nothing more for an old one, all marks for a new one', async () => {
    const [old, today] = [await acceptedBefore(), (await b.pending()).id];
    for (const orderId of [old, today]) await charge(b, orderId);
    const [first, second] = [await b.gateway.findCharges(old), await b.gateway.findCharges(today)];
    expect(await metadataOf(first[0]?.reference ?? '')).toEqual({ orderId: old });
    const marks = { orderId: today, installationId: b.installationId, purpose: 'order' };
    expect(await metadataOf(second[0]?.reference ?? '')).toEqual(marks);
  });

  test('is reported in the units that it was accepted in', async () => {
    const isk = { amount: 2_000, currency: 'ISK' };
    const [old, today] = [await acceptedBefore(), (await b.pending()).id];
    await b.gateway.charge(b.request(old, { ...isk, installationId: null }));
    await b.gateway.charge(b.request(today, isk));
    const asked = [
      [old, null, 2_000],
      [today, b.installationId, 200_000],
    ] as const;
    for (const [orderId, installationId, amount] of asked) {
      const [made] = await b.gateway.findCharges(orderId);
      expect(made).toMatchObject({ amount });
      const due = { orderId, installationId };
      const back = { due, chargeReference: made?.reference ?? '', idempotencyKey: `${orderId}/refund` };
      expect(await b.gateway.refund(back)).toMatchObject({ outcome: 'done', gaveBack: 2_000 });
    }
  });
});

describe('an order of today, whose key an older build has used after a rollback', () => {
  test.each(['search', 'list'])('is looked up by %s, and ends as charged, once', async (by) => {
    const { id: orderId } = await b.pending();
    const made = await oldBuildCharges(orderId);
    if (by === 'list') await searchIsLate();
    await charge(b, orderId, { attempt: 2 });
    expect(await b.db.payment.findUnique({ where: { orderId } })).toMatchObject({
      status: 'CHARGED',
      gatewayReference: made['id'],
    });
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await b.ledger(orderId)).toMatchObject(givenBack);
  });

  test('is never declined, nor charged again, while the look-up finds nothing', async () => {
    const { id: orderId } = await b.pending();
    await oldBuildCharges(orderId);
    await b.fault({ mode: 'empty_page', route: 'search' });
    await b.fault({ mode: 'down', route: 'list' });
    for (const attempt of [2, 3])
      expect((await failureOf(charge(b, orderId, { attempt }))).failure.type).toBe('GatewayUnknown');
    await b.heal();
    await charge(b, orderId, { attempt: 4 });
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 1_000 });
  });

  test('is not called paid by what the older build took for another sum', async () => {
    const { id: orderId } = await b.pending();
    await oldBuildCharges(orderId, { amount: '1200' });
    expect((await failureOf(charge(b, orderId, { attempt: 2 }))).failure.type).toBe('GatewayUnknown');
    expect(await b.db.payment.findUnique({ where: { orderId } })).toBeNull();
  });
});

describe('an order whose charge carries its correlation id', () => {
  const accepted = async (paymentMethod = 'pm_card_visa') => {
    const order = await accept(b.db, { A: 1 }, { paymentMethod, chargeCorrelationId: 'shop:4711' });
    await reserveInventory(b.db, order.id);
    return order.id;
  };
  /** As the release before it, for which the row's version is none of its business. */
  const earlierReleaseCharges = (orderId: string, paymentMethod: string) =>
    oldBuildCharges(orderId, {
      payment_method: paymentMethod,
      'metadata[installationId]': b.installationId,
      'metadata[purpose]': 'order',
    });
  const paymentOf = (orderId: string) => b.db.payment.findUnique({ where: { orderId } });

  test('shows it at the gateway, and sends the same at each attempt, whatever becomes of the row’s other columns', async () => {
    const orderId = await accepted();
    const marks = { orderId, installationId: b.installationId, purpose: 'order' };
    const lost = await failureOf(charge(b, orderId, { gateway: answerLost(b.gateway) }));
    expect(lost.failure.type).toBe('GatewayUnknown');
    await b.db.$executeRaw`UPDATE orders SET correlation_id = 'another' WHERE id = ${orderId}::uuid`;
    await b.requests();
    await charge(b, orderId, { attempt: 2 });
    expect(await b.requests()).toEqual({ 'POST /v1/payment_intents': 1 }); // it was answered, with no look-up
    const reference = (await paymentOf(orderId))?.gatewayReference ?? '';
    expect(await metadataOf(reference)).toEqual({ ...marks, correlationId: 'shop:4711' });
  });

  test.each([
    ['pm_card_chargeDeclined', 'search', 'generic_decline'],
    ['pm_card_chargeDeclined', 'list', 'generic_decline'],
    ['pm_card_authenticationRequired', 'search', 'authentication_required'],
  ])('and whose decline (%s) another release has heard, and lost, is declined: %s says so', async (card, by, code) => {
    const orderId = await accepted(card);
    await earlierReleaseCharges(orderId, card);
    if (by === 'list') await searchIsLate();
    const { failure } = await failureOf(charge(b, orderId, { attempt: 2 }));
    expect([failure.type, await paymentOf(orderId)]).toMatchObject([
      'Refusal',
      { status: 'DECLINED', declineCode: code },
    ]);
    expect(await b.ledger(orderId)).toMatchObject({ captured: 0 });
  });

  test('is charged once, if another release has charged it and lost the answer', async () => {
    const orderId = await accepted();
    const made = await earlierReleaseCharges(orderId, 'pm_card_visa');
    await charge(b, orderId, { attempt: 2 });
    expect(await paymentOf(orderId)).toMatchObject({ status: 'CHARGED', gatewayReference: made['id'] });
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 1_000 });
  });

  test.each(['search', 'list'])(
    'is not paid by what a stranger took in its name meanwhile: %s shows its own',
    async (by) => {
      const [paid, declined] = [await accepted(), await accepted('pm_card_chargeDeclined')];
      const made = await earlierReleaseCharges(paid, 'pm_card_visa');
      await earlierReleaseCharges(declined, 'pm_card_chargeDeclined');
      for (const orderId of [paid, declined]) await b.charged({ orderId });
      if (by === 'list') await searchIsLate();
      await charge(b, paid, { attempt: 2 });
      expect(await paymentOf(paid)).toMatchObject({ status: 'CHARGED', gatewayReference: made['id'] });
      expect((await failureOf(charge(b, declined, { attempt: 2 }))).failure.type).toBe('Refusal');
      expect(await paymentOf(declined)).toMatchObject({ status: 'DECLINED' });
    },
  );

  test('is charged once, if a build of before the marks has charged it', async () => {
    const orderId = await accepted();
    const made = await oldBuildCharges(orderId);
    await charge(b, orderId, { attempt: 2 });
    expect(await paymentOf(orderId)).toMatchObject({ status: 'CHARGED', gatewayReference: made['id'] });
  });

  test('is not declined by a stranger’s charge that names it', async () => {
    const orderId = await accepted();
    await b.stripe(
      'POST',
      '/v1/payment_intents',
      { ...STRANGERS, 'metadata[orderId]': orderId },
      `${orderId}/stranger`,
    );
    await b.stripe('POST', '/v1/payment_intents', { amount: '500', currency: 'usd' }, chargeKey(orderId));
    expect((await failureOf(charge(b, orderId, { attempt: 2 }))).failure.type).toBe('GatewayUnknown');
    expect(await paymentOf(orderId)).toBeNull();
  });

  test('is left to a newer build if that charges it in a way of its own', async () => {
    const orderId = await accepted();
    await b.db.$executeRaw`ALTER TABLE orders DROP CONSTRAINT orders_charge_version_check`;
    await b.db.$executeRaw`UPDATE orders SET charge_version = 4 WHERE id = ${orderId}::uuid`;
    expect((await failureOf(charge(b, orderId))).failure.message).toMatch(
      /charged as version 4: it takes a newer build/,
    );
    expect(await b.ledger(orderId)).toMatchObject({ captured: 0 });
  });
});

const STRANGERS = { amount: '1000', currency: 'usd', payment_method: 'pm_card_chargeDeclined', confirm: 'true' };

/** It has charged, and the connection breaks. */
const answerLost = (gateway: Gateway): Gateway => ({
  ...gateway,
  charge: async (request) => {
    await gateway.charge(request);
    throw new GatewayUnknown('The payment gateway did not answer');
  },
});
