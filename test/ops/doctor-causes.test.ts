/** Which checks of `doctor` follow from another, and what a probe that does not end is said to wait for. */
import { describe, expect, test } from '@jest/globals';
import { whereItWaits, whyNoProbe, withCauses, withRefusedKey } from '../../ops/doctor/causes.js';
import type { Check } from '../../ops/doctor/checks.js';

const check = (name: string, status: Check['status'], detail = 'as it is'): Check => ({ name, status, detail });

describe('a check that has failed', () => {
  test('by a database that takes no changes says so first; one that is well does not', () => {
    const idle = check('outbox', 'ok');
    const relay = check('destinations', 'fail', 'nobody serves partitions of webhook 16 of 16: start a relay');
    const [, , said] = withCauses([check('database', 'fail'), idle, relay]);
    expect(said?.detail).toMatch(/^follows from: database, mend that first \(nobody serves/);
    expect(withCauses([check('database', 'fail'), idle])[1]).toEqual(idle);
    expect(withCauses([check('database', 'ok'), relay])[1]).toEqual(relay);
  });

  test('of the gateway or its account keeps the probe back, any other does not', () => {
    expect(whyNoProbe([check('gateway', 'fail'), check('api', 'fail')])).toMatch(/^follows from: gateway;/);
    expect(whyNoProbe([check('account at the gateway', 'fail')])).toContain('account at the gateway');
    expect(whyNoProbe([check('gateway', 'ok'), check('api', 'fail')])).toBeUndefined();
  });
});

test.each([401, 403])(
  'a gateway that answers the operator, and the workers by %d, is a warning that quotes it',
  (code) => {
    const error = `The payment gateway answered ${code} (StripeAuthenticationError)`;
    const said = withRefusedKey(check('gateway', 'ok', 'Stripe answers'), [null, error]);
    expect(said).toMatchObject({ name: 'gateway', status: 'warn', detail: expect.stringContaining(`"${error}"`) });
    expect(said.detail).toContain('STRIPE_API_KEY of the workers');
    for (const other of ['The payment gateway answered 503 (StripeAPIError)', null])
      expect(withRefusedKey(check('gateway', 'ok'), [other]).status).toBe('ok');
  },
);

test('a probe that does not end is told with the step it waits at and its last error', () => {
  const wait = { waitsFor: 'its-own-time', step: null, attempt: null, lastError: null, at: null } as const;
  const tried = {
    ...wait,
    waitsFor: 'next-try',
    step: 'refundPayment',
    attempt: 4,
    lastError: 'answered 401',
  } as const;
  expect(whereItWaits(tried, {})).toBe('its saga waits at refundPayment: answered 401');
  expect(whereItWaits(wait, { step: 'refundPayment', failure: 'AccountHeld' })).toBe(
    'its saga is parked at refundPayment: AccountHeld',
  );
  expect(whereItWaits({ ...wait, waitsFor: 'worker' }, {})).toBe('its saga waits for a worker, and no worker takes it');
});
