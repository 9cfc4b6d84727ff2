/** What of a correlation id leaves for the payment gateway: itself, unless it might be a person's or a secret. */
import { expect, test } from '@jest/globals';
import { chargeCorrelationOf } from '../../api/routes/charge-correlation.js';

const KEY = 'a key of the installation, of 32 characters or more';
const HASH = /^hmac-sha256:[0-9a-f]{64}$/;

test.each([
  ['of a shop', 'shop:4711'],
  ['of the longest kind', 'a'.repeat(128)],
  ['that was made here', '01a1fc4b-2622-70f0-8b6b-725674f9c1d0'],
  ['a UUID whose digits are a card’s', '00000000-0000-4000-8000-000000000000'],
  ['with digits that are no card’s', 'run.4111111111111112'],
  ['with a time in it', 'checkout:2026-11-29:0815'],
])('one %s is told as it is', (_, id) => {
  expect(chargeCorrelationOf(id, KEY)).toBe(id);
});

test.each([
  ['an e-mail address', 'jane.doe@example.com'],
  ['a card number', '4242424242424242'],
  ['a card number in groups', 'pay:4242-4242-4242-4242'],
  ['a card number with more behind it', '4242424242424242-1'],
  ['another card number in groups', '3782.822463.10005'],
  ['a key of the gateway', 'sk_live_4f7e4f7e4f7e'],
  ['one that is too long', 'a'.repeat(129)],
  ['one with other characters', 'a b'],
  ['nothing', ''],
  ['the hash of another id', `hmac-sha256:${'0'.repeat(64)}`],
])('%s is told as a keyed hash: always the same, and another one under another key', (_, id) => {
  const hash = chargeCorrelationOf(id, KEY);
  expect(hash).toMatch(HASH);
  expect(chargeCorrelationOf(id, KEY)).toBe(hash);
  expect(chargeCorrelationOf(id, `${KEY}!`)).not.toBe(hash);
  expect(chargeCorrelationOf(`${id}.`, KEY)).not.toBe(hash);
});
