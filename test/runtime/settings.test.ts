/** What the service takes for a setting, and what it refuses by name. */
import { describe, expect, test } from '@jest/globals';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';

const read = (env: Record<string, string>) =>
  readConfig(settings, { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', ...env });

describe('a setting is taken:', () => {
  test.each([
    ['CORS_ORIGINS', 'https://shop.example, http://localhost:5173', 'https://shop.example,http://localhost:5173'],
    ['TRUST_PROXY', '10.0.0.0/8,127.0.0.1,::1,fd00::/8', '10.0.0.0/8,127.0.0.1,::1,fd00::/8'],
    ['REDIS_URL', 'rediss://:secret@redis:6380/1', 'rediss://:secret@redis:6380/1'],
    ['RATE_LIMIT_ORDERS_PER_MINUTE', '60', 60],
    ['EVENT_LOOP_DELAY_MAX', '250ms', 250],
  ])('%s=%s', (name, text, value) => {
    expect(read({ [name]: text })).toMatchObject({ [name]: value });
  });
});

describe('a setting is refused by name:', () => {
  test.each([
    ...[
      '*',
      'null',
      'shop.example',
      'https://shop.example/',
      'https://shop.example/x',
      'https://*.example',
      'ftp://a',
      'https://a,',
    ].map((text) => ['CORS_ORIGINS', text]),
    // Whom everybody could pretend to come through.
    ...[
      'true',
      '*',
      '1',
      'loopback',
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '0.0.0.0/0',
      '::/0',
      '10.0.0/8',
      '10.0.0.1/8/8',
      '::/129',
      'proxy',
      '10.0.0.1,',
    ].map((text) => ['TRUST_PROXY', text]),
    ['REDIS_URL', 'http://redis:6379'],
    ['RATE_LIMIT_ORDERS_PER_MINUTE', '0'],
    ['RATE_LIMIT_ORDERS_PER_MINUTE', '1e3x'],
    ['REQUESTS_MAX', '-1'],
    ['EVENT_LOOP_DELAY_MAX', '1'],
  ])('%s=%s', (name = '', text = '') => {
    expect(() => read({ [name]: text })).toThrow(`${name} is wrong`);
  });
});
