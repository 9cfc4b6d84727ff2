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
    ['ALLOWED_HOSTS', 'Worker, orders.internal,10.0.0.7,[fd00::7]', 'worker,orders.internal,10.0.0.7,[fd00::7]'],
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
    // A range from which every client could come.
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
    ...['*', '*.example', 'worker:9464', 'http://worker', 'a b', '[fd00', 'worker,'].map((text) => [
      'ALLOWED_HOSTS',
      text,
    ]),
    ['METRICS_CONNECTIONS_MAX', '0'],
    ['CONNECTIONS_PER_ADDRESS_MAX', '0'],
    ['REDIS_URL', 'http://redis:6379'],
    ['RATE_LIMIT_ORDERS_PER_MINUTE', '0'],
    ['RATE_LIMIT_ORDERS_PER_MINUTE', '1e3x'],
    ['REQUESTS_MAX', '-1'],
    ['EVENT_LOOP_DELAY_MAX', '1'],
  ])('%s=%s', (name = '', text = '') => {
    expect(() => read({ [name]: text })).toThrow(`${name} is wrong`);
  });
});

describe('what came with a line break, as from a file, is refused at the start, by name and without its value:', () => {
  const SECRETS = ['STRIPE_API_KEY', 'STRIPE_WEBHOOK_SECRET', 'WEBHOOK_SECRET', 'KAFKA_PASSWORD', 'TEMPORAL_API_KEY'];
  const URLS = [
    'DATABASE_URL',
    'REDIS_URL',
    'PAYMENTS_URL',
    'WEBHOOK_URL',
    'AUTH_JWKS_URL',
    'NATS_URL',
    'RABBITMQ_URL',
  ];
  const OTHERS = ['AUTH_ISSUER', 'AUTH_AUDIENCE', 'HOST', 'KAFKA_BROKERS', 'TEMPORAL_ADDRESS', 'PORT'];
  const good: Record<string, string> = {
    DATABASE_URL: 'postgresql://nobody:hidden@127.0.0.1:1/nothing',
    REDIS_URL: 'rediss://:hidden@redis:6379',
    NATS_URL: 'tls://u:hidden@nats.example',
    RABBITMQ_URL: 'amqps://u:hidden@rabbit.example',
    KAFKA_BROKERS: 'localhost:9092',
    WEBHOOK_SECRET: `whsec_${Buffer.from('hidden'.repeat(6)).toString('base64')}`,
    PORT: '3000',
  };
  const sampleOf = (name: string) =>
    good[name] ?? (name.endsWith('_URL') ? 'https://u:hidden@example.com/x' : 'hidden');
  const refusalOf = (name: string, value: string): string => {
    try {
      read({ [name]: value });
      return 'taken';
    } catch (err) {
      return (err as Error).message;
    }
  };

  test.each([...SECRETS, ...URLS, ...OTHERS])('%s', (name) => {
    expect(refusalOf(name, sampleOf(name))).toBe('taken');
    for (const spoil of ['\n', '\r\n', '\t', '\0', '\u007f', ' ']) {
      for (const value of [`${sampleOf(name)}${spoil}`, `${spoil}${sampleOf(name)}`]) {
        const refusal = refusalOf(name, value);
        expect([name, JSON.stringify(spoil), refusal]).toEqual([
          name,
          JSON.stringify(spoil),
          expect.stringMatching(`^${name} is wrong: `),
        ]);
        expect(refusal).not.toContain('hidden');
      }
    }
  });

  test.each(['sk_test a', 'sk_test\u00e9', 'sk_\u2028test'])(
    'STRIPE_API_KEY=%j, of which no header can be made',
    (key) => {
      expect(refusalOf('STRIPE_API_KEY', key)).toMatch(/^STRIPE_API_KEY is wrong: /);
    },
  );

  test('but not the certificate that Temporal’s library is given whole', () => {
    expect(refusalOf('TEMPORAL_TLS_CLIENT_CERT_DATA', '-----BEGIN CERTIFICATE-----\nMII\n')).toBe('taken');
  });
});

describe('a DATABASE_URL that cannot be read is refused without its password:', () => {
  test.each([
    ['a host that is none', 'postgresql://u:hidden@[h/d'],
    ['a port that is none', 'postgresql://u:hidden@h:port/d'],
    ['no host at all', 'postgresql://'],
    ['a certificate that is not there', 'postgresql://u:hidden@h/d?sslrootcert=/none.pem'],
    ['another database', 'mysql://u:hidden@h/d'],
  ])('%s', (_, url) => {
    const refuse = () => read({ DATABASE_URL: url });
    expect(refuse).toThrow(/^DATABASE_URL is wrong: it /);
    expect(refuse).not.toThrow('hidden');
  });
});
