import { describe, expect, test } from '@jest/globals';
import { readSettings } from '../../local/settings.js';

describe('LOCAL_PROCESSES', () => {
  test('is one process with every role unless configured otherwise', () => {
    expect(readSettings({}).roles).toEqual(['all']);
  });

  test('lists roles, some more than once', () => {
    expect(readSettings({ LOCAL_PROCESSES: 'api, worker,worker,relay' }).roles).toEqual([
      'api',
      'worker',
      'worker',
      'relay',
    ]);
  });

  test.each([
    ['api,wroker', 'is not a list of all, api, worker, relay'],
    ['all,api', 'two processes would listen on PORT'],
  ])('%s is refused: %s', (text, reason) => {
    expect(() => readSettings({ LOCAL_PROCESSES: text })).toThrow(reason);
  });
});

test('a live key never reaches the sandbox by mistake', () => {
  const env = { STRIPE_API_KEY: 'sk_live_x' };
  expect(() => readSettings(env)).toThrow('set PAYMENTS_URL=https://api.stripe.com');
  expect(readSettings({ ...env, PAYMENTS_URL: 'https://api.stripe.com/' }).PAYMENTS_URL).toBe('https://api.stripe.com');
});

test('every wrong variable is named', () => {
  expect(() => readSettings({ PORT: 'none', DATABASE_URL: 'mysql://x' })).toThrow(
    /PORT is wrong[\s\S]*DATABASE_URL is wrong|DATABASE_URL is wrong[\s\S]*PORT is wrong/,
  );
});
