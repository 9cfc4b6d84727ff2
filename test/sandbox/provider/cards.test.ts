import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, errorOf, ledgerOf, order, type Running, startSandbox, until } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

describe('a card that works', () => {
  it('is charged in full, and the intent says so whenever it is asked', async () => {
    const made = await stripe.paymentIntents.create(order('o1'));
    expect(made).toMatchObject({
      object: 'payment_intent',
      status: 'succeeded',
      amount: 9_800,
      amount_received: 9_800,
      currency: 'usd',
      metadata: { orderId: 'o1' },
      payment_method: 'pm_card_visa',
      last_payment_error: null,
      livemode: false,
    });
    expect(made.id).toMatch(/^pi_\w{24}$/);
    expect(made.lastResponse.requestId).toMatch(/^req_/);
    expect(Math.abs(made.created - Date.now() / 1000)).toBeLessThan(5);

    const read = await stripe.paymentIntents.retrieve(made.id);
    expect(read).toEqual(made);
    const charge = await stripe.charges.retrieve(made.latest_charge as string);
    expect(charge).toMatchObject({ amount: 9_800, status: 'succeeded', payment_intent: made.id, refunded: false });
  });

  it('shows its charge in place when asked to expand it', async () => {
    const made = await stripe.paymentIntents.create({ ...order('o1'), expand: ['latest_charge'] });
    expect((made.latest_charge as Stripe.Charge).amount_captured).toBe(9_800);
    const read = await stripe.paymentIntents.retrieve(made.id, { expand: ['latest_charge'] });
    expect(read.latest_charge).toEqual(made.latest_charge);
  });
});

describe('a card that is declined', () => {
  it.each([
    ['pm_card_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', ''],
  ])('%s raises a StripeCardError with %s / %s and takes nothing', async (card, code, declineCode) => {
    const error = await errorOf(stripe.paymentIntents.create(order('o1', card)));
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(error).toMatchObject({ statusCode: 402, code, decline_code: declineCode });
    const intent = error.payment_intent as Stripe.PaymentIntent;
    expect(intent).toMatchObject({
      status: 'requires_payment_method',
      amount_received: 0,
      metadata: { orderId: 'o1' },
    });

    const read = await stripe.paymentIntents.retrieve(intent.id);
    expect(read.last_payment_error).toMatchObject({ type: 'card_error', code });
    expect((await stripe.charges.retrieve(read.latest_charge as string)).status).toBe('failed');
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ captured: 0, net: 0 });
  });

  it('leaves an intent that another card can still pay', async () => {
    const error = await errorOf(stripe.paymentIntents.create(order('o1', 'pm_card_chargeDeclined')));
    const { id } = error.payment_intent as Stripe.PaymentIntent;
    const paid = await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' });
    expect(paid).toMatchObject({ status: 'succeeded', amount_received: 9_800, last_payment_error: null });
    expect((await stripe.charges.list({ payment_intent: id })).data.map(({ status }) => status)).toEqual([
      'succeeded',
      'failed',
    ]);
  });
});

describe('a card that wants its owner', () => {
  it.each(['pm_card_authenticationRequired', 'pm_card_threeDSecure2Required'])(
    '%s leaves the intent waiting, unpaid',
    async (card) => {
      const made = await stripe.paymentIntents.create(order('o1', card));
      expect(made).toMatchObject({ status: 'requires_action', amount_received: 0, latest_charge: null });
    },
  );

  it.each([{ off_session: true }, { error_on_requires_action: true }])('is declined under %j', async (rule) => {
    const error = await errorOf(
      stripe.paymentIntents.create({ ...order('o1', 'pm_card_authenticationRequired'), ...rule }),
    );
    expect(error).toMatchObject({ statusCode: 402, code: 'authentication_required' });
  });
});

describe('our own cards', () => {
  it('pm_sandbox_processing turns into money by itself', async () => {
    const made = await stripe.paymentIntents.create(order('o1', 'pm_sandbox_processing'));
    expect(made).toMatchObject({ status: 'processing', amount_received: 0 });
    await until(async () => {
      const read = await stripe.paymentIntents.retrieve(made.id);
      return read.status === 'succeeded' && read.amount_received === 9_800 ? read : undefined;
    });
  });

  it('pm_sandbox_timeout_after_charge has charged while its answer does not come, and answers the same key at once', async () => {
    const request = order('o1', 'pm_sandbox_timeout_after_charge');
    const hanging = errorOf(stripe.paymentIntents.create(request, { idempotencyKey: 'k1', timeout: 300 }));
    const found = await until(async () => (await stripe.paymentIntents.list()).data[0]);
    expect(found).toMatchObject({ status: 'succeeded', amount_received: 9_800 });

    const again = await stripe.paymentIntents.create(request, { idempotencyKey: 'k1' });
    expect(again.id).toBe(found.id);
    expect(await hanging).toBeInstanceOf(Stripe.errors.StripeConnectionError);
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 9_800 });
  });

  it('pm_sandbox_error_after_charge has charged although it answers 500 every time', async () => {
    const request = order('o1', 'pm_sandbox_error_after_charge');
    const first = await errorOf(stripe.paymentIntents.create(request, { idempotencyKey: 'k1' }));
    const second = await errorOf(stripe.paymentIntents.create(request, { idempotencyKey: 'k1' }));
    for (const error of [first, second]) {
      expect(error).toBeInstanceOf(Stripe.errors.StripeAPIError);
      expect(error.statusCode).toBe(500);
      expect(error.payment_intent).toBeUndefined();
    }
    expect(second.headers?.['idempotent-replayed']).toBe('true');
    const found = await stripe.paymentIntents.search({ query: "metadata['orderId']:'o1'" });
    expect(found.data).toMatchObject([{ status: 'succeeded', amount_received: 9_800 }]);
    expect((await stripe.paymentIntents.list()).data).toHaveLength(1);
  });

  it('pm_sandbox_unavailable refuses a key once, records nothing, and lets the same key through', async () => {
    const request = order('o1', 'pm_sandbox_unavailable');
    const error = await errorOf(stripe.paymentIntents.create(request, { idempotencyKey: 'k1' }));
    expect(error).toBeInstanceOf(Stripe.errors.StripeAPIError);
    expect(error.statusCode).toBe(503);
    expect((await stripe.paymentIntents.list()).data).toEqual([]);
    expect(await stripe.paymentIntents.create(request, { idempotencyKey: 'k1' })).toMatchObject({
      status: 'succeeded',
    });
    expect((await errorOf(stripe.paymentIntents.create(request, { idempotencyKey: 'k2' }))).statusCode).toBe(503);
  });

  it('pm_sandbox_slow charges in the end', async () => {
    expect(await stripe.paymentIntents.create(order('o1', 'pm_sandbox_slow'))).toMatchObject({ status: 'succeeded' });
  });

  it('refuses an unknown card, without recording anything', async () => {
    const error = await errorOf(stripe.paymentIntents.create(order('o1', 'pm_unknown')));
    expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(error).toMatchObject({ statusCode: 400, code: 'resource_missing', param: 'payment_method' });
    expect(error.message).toBe("No such PaymentMethod: 'pm_unknown'");
    expect((await stripe.paymentIntents.list()).data).toEqual([]);
  });
});

describe('an intent of its own', () => {
  it('waits for confirmation, then is paid', async () => {
    const made = await stripe.paymentIntents.create({ amount: 500, currency: 'eur' });
    expect(made.status).toBe('requires_payment_method');
    expect((await errorOf(stripe.paymentIntents.confirm(made.id))).message).toMatch(/missing a payment method/);
    const paid = await stripe.paymentIntents.confirm(made.id, { payment_method: 'pm_card_visa' });
    expect(paid).toMatchObject({ id: made.id, status: 'succeeded', amount_received: 500 });
    const again = await errorOf(stripe.paymentIntents.confirm(made.id, { payment_method: 'pm_card_visa' }));
    expect(again).toMatchObject({ statusCode: 400, code: 'payment_intent_unexpected_state' });
    expect((again.payment_intent as Stripe.PaymentIntent).status).toBe('succeeded');
  });

  it('can be cancelled until it is paid', async () => {
    const made = await stripe.paymentIntents.create({ amount: 500, currency: 'eur', payment_method: 'pm_card_visa' });
    expect(made.status).toBe('requires_confirmation');
    const cancelled = await stripe.paymentIntents.cancel(made.id, { cancellation_reason: 'abandoned' });
    expect(cancelled).toMatchObject({ status: 'canceled', cancellation_reason: 'abandoned', amount_received: 0 });
    expect((await errorOf(stripe.paymentIntents.confirm(made.id))).code).toBe('payment_intent_unexpected_state');

    const paid = await stripe.paymentIntents.create(order('o1'));
    expect((await errorOf(stripe.paymentIntents.cancel(paid.id))).code).toBe('payment_intent_unexpected_state');
  });
});
