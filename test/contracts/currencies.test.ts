import { describe, expect, test } from '@jest/globals';
import { CURRENCIES, fromGatewayAmount, toGatewayAmount } from '../../contracts/currencies.js';

describe('an amount of ours and of the provider’s', () => {
  test.each([
    ['ten dollars', 1_000, 'USD', 1_000],
    ['five hundred yen', 500, 'JPY', 500],
    ['five krónur', 5, 'ISK', 500],
    ['five shillings', 5, 'UGX', 500],
    ['five dinars and 120 fils', 5_120, 'KWD', 5_120],
    ['five hundred ariary', 500, 'MGA', 500],
    ['ten and a half forints', 1_050, 'HUF', 1_050],
    ['an order of an older release in a currency that is none', 7, 'ZZZ', 7],
  ])('%s', (_, amount, currency, counted) => {
    expect(toGatewayAmount(amount, currency)).toBe(counted);
    expect(fromGatewayAmount(counted, currency)).toBe(amount);
  });

  test('a fraction that only strangers can have charged equals no amount of ours', () => {
    expect(Number.isInteger(fromGatewayAmount(4_010, 'ISK'))).toBe(false);
  });
});

test('every currency’s bounds can be charged: multiples of its step, and at most as many digits as the provider takes', () => {
  for (const [currency, { step, minimum, maximum }] of CURRENCIES) {
    const digits = String(toGatewayAmount(maximum, currency)).length;
    expect([currency, minimum % step, maximum % step, digits]).toEqual([currency, 0, 0, currency === 'IDR' ? 12 : 8]);
    expect(minimum).toBeGreaterThan(0);
  }
});

test('the currencies are the provider’s: 135 and more, each once, none of them invented', () => {
  expect(CURRENCIES.size).toBeGreaterThanOrEqual(135);
  for (const currency of CURRENCIES.keys()) expect(currency).toMatch(/^[A-Z]{3}$/);
  expect(['ZZZ', 'XXX', 'BTC', 'XAU', 'HRK'].filter((none) => CURRENCIES.has(none))).toEqual([]);
});
