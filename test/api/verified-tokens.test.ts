/** A token that has been verified is not verified again for some seconds, and never for longer than it is good. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Authenticate } from '../../api/access/authentication.js';
import type { Caller } from '../../api/access/permissions.js';
import { rememberVerified } from '../../api/access/verified-tokens.js';

type Request = Parameters<Authenticate>[0];
const requestWith = (...tokens: string[]): Request =>
  ({
    headers: tokens.length > 0 ? { authorization: tokens[0] } : {},
    raw: { rawHeaders: tokens.flatMap((token) => ['Authorization', token]) },
  }) as unknown as Request;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** @returns an authenticator with a memory, and how often it had to verify */
function verifying(caller: () => Caller) {
  let verified = 0;
  const authenticate = rememberVerified(async () => {
    verified++;
    return caller();
  });
  return { authenticate, verified: () => verified };
}
const inMs = (ms: number): Caller => ({ subject: 'cus_1', roles: ['customer'], expiresAt: Date.now() + ms });

test('it is verified again after 5 s, so that a key that has been withdrawn counts', async () => {
  const { authenticate, verified } = verifying(() => inMs(60_000));
  await authenticate(requestWith('Bearer a'));
  jest.advanceTimersByTime(4_900);
  expect(await authenticate(requestWith('Bearer a'))).toMatchObject({ subject: 'cus_1' });
  expect(verified()).toBe(1);
  jest.advanceTimersByTime(200);
  await authenticate(requestWith('Bearer a'));
  expect(verified()).toBe(2);
});

test('it is verified again as soon as it is good no more, be it by exp or by its age', async () => {
  const { authenticate, verified } = verifying(() => inMs(1_000));
  await authenticate(requestWith('Bearer a'));
  jest.advanceTimersByTime(1_000);
  await authenticate(requestWith('Bearer a'));
  expect(verified()).toBe(2);
});

test('what is refused is refused each time, and two tokens are never one that is known', async () => {
  let isGood = true;
  const { authenticate, verified } = verifying(() => {
    if (!isGood) throw new Error('refused');
    return inMs(60_000);
  });
  await authenticate(requestWith('Bearer a'));
  isGood = false;
  await expect(authenticate(requestWith('Bearer a', 'Bearer b'))).rejects.toThrow('refused');
  for (let i = 0; i < 2; i++) await expect(authenticate(requestWith('Bearer b'))).rejects.toThrow('refused');
  await expect(authenticate(requestWith())).rejects.toThrow('refused');
  expect(verified()).toBe(5);
});
