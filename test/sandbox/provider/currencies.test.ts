import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, errorOf, type Running, startSandbox } from '../support.js';

let sandbox: Running;
beforeEach(async () => {
  sandbox = await startSandbox();
});
afterEach(cleanUp);

const charge = (amount: number, currency: string) =>
  sandbox.stripe.paymentIntents.create({ amount, currency, payment_method: 'pm_card_visa', confirm: true });

describe('a currency', () => {
  it.each(['zzz', 'sll', 'hrk', 'btc', 'xau'])('%s is none that the provider takes', async (currency) => {
    const error = await errorOf(charge(10_000, currency));
    expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(error).toMatchObject({ statusCode: 400, param: 'currency' });
    expect(error.message).toMatch(/^Invalid currency: \w+. Stripe currently supports these currencies: usd, aed/);
    expect((await sandbox.stripe.paymentIntents.list()).data).toEqual([]);
  });

  it.each([
    ['jpy', 50, 'has no fraction'],
    ['kwd', 5_120, 'has thousandths that end in 0'],
    ['isk', 500, 'has lost its fraction and is counted in hundredths'],
    ['ugx', 500, 'has lost its fraction and is counted in hundredths'],
    ['xcg', 500, 'has taken the place of ang'],
    ['huf', 17_545, 'has a fraction when it is charged'],
    ['usd', 99_999_999, 'has eight digits at most'],
    ['inr', 999_999_999, 'has nine digits at most'],
    ['idr', 999_999_999_999, 'has twelve digits at most'],
  ])('%s of %d is charged: it %s', async (currency, amount) => {
    expect(await charge(amount, currency)).toMatchObject({ status: 'succeeded', amount_received: amount, currency });
  });

  it.each([
    ['usd', 49, 'amount_too_small'],
    ['gbp', 29, 'amount_too_small'],
    ['jpy', 49, 'amount_too_small'],
    ['czk', 1_499, 'amount_too_small'],
    ['usd', 100_000_000, 'amount_too_large'],
    ['krw', 100_000_000, 'amount_too_large'],
    ['inr', 1_000_000_000, 'amount_too_large'],
    ['kwd', 5_124, 'invalid_charge_amount'],
    ['bhd', 1, 'invalid_charge_amount'],
    ['isk', 505, 'invalid_charge_amount'],
    ['ugx', 1_050, 'invalid_charge_amount'],
  ])('%s of %d is refused as %s', async (currency, amount, code) => {
    expect(await errorOf(charge(amount, currency))).toMatchObject({ statusCode: 400, code, param: 'amount' });
  });

  it('of which a refund names a fraction that it does not have is refused; a refund may be as small as it likes', async () => {
    const dinars = await charge(5_120, 'kwd');
    const refund = (amount: number) => sandbox.stripe.refunds.create({ payment_intent: dinars.id, amount });
    expect(await errorOf(refund(15))).toMatchObject({ statusCode: 400, param: 'amount' });
    expect(await refund(10)).toMatchObject({ amount: 10, currency: 'kwd' });
  });
});
