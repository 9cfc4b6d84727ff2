/** What would be sent in plain text beyond this machine: which settings are refused at a start, by which word each is permitted. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { readTemporalConfig, temporalRefusals } from '../../runtime/temporal-config.js';

const LOCAL = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing' };
/** @returns 'taken', or what the refusal says */
function start(env: Record<string, string>): string {
  try {
    readConfig(settings, { ...LOCAL, ...env }, temporalRefusals);
    return 'taken';
  } catch (err) {
    return (err as Error).message;
  }
}
const LIVE = { STRIPE_API_KEY: 'sk_live_hidden' };

/** variable, word, value in plain text, value with TLS, what else is set */
const LINES: [string, string, string, string, Record<string, string>?][] = [
  ['DATABASE_URL', 'postgres', 'postgresql://u:hidden@HOST/d', 'postgresql://u:hidden@HOST/d?sslmode=verify-full'],
  [
    'DATABASE_URL',
    'postgres',
    'postgres://u:hidden@HOST:5432/d?sslmode=disable',
    'postgres://u@HOST/d?sslmode=require',
  ],
  [
    'DATABASE_URL',
    'postgres',
    'postgresql://u:hidden@HOST/d?sslmode=prefer',
    'postgresql://u@HOST/d?sslmode=verify-ca',
  ],
  ['DATABASE_URL', 'postgres', 'postgresql://u:hidden@HOST/d?sslmode=allow', 'postgresql://u@HOST/d?ssl=true'],
  [
    'DATABASE_URL',
    'postgres',
    'postgresql://localhost/d?host=HOST',
    'postgresql://localhost/d?host=HOST&sslmode=verify-full',
  ],
  [
    'DATABASE_URL',
    'postgres',
    'postgresql://HOST/d?sslmode=verify-full&sslmode=disable',
    'postgresql://HOST/d?sslmode=disable&sslmode=verify-full',
  ],
  [
    'ERASURE_JOURNAL',
    'postgres',
    'postgresql://u:hidden@HOST/journal',
    'postgresql://u:hidden@HOST/journal?sslmode=verify-full',
  ],
  ['REDIS_URL', 'redis', 'redis://:hidden@HOST:6379', 'rediss://:hidden@HOST:6379'],
  ['NATS_URL', 'nats', 'nats://u:hidden@HOST:4222', 'tls://u:hidden@HOST:4222'],
  ['NATS_URL', 'nats', 'nats://127.0.0.1:4222,nats://HOST:4222', 'nats://HOST:4222,tls://127.0.0.1:4222'],
  ['RABBITMQ_URL', 'rabbitmq', 'amqp://u:hidden@HOST', 'amqps://u:hidden@HOST'],
  ['KAFKA_BROKERS', 'kafka', '127.0.0.1:9092,HOST:9092', '127.0.0.1:9092'],
  ['AUTH_ISSUER', 'issuer', 'http://HOST/', 'https://HOST/'],
  ['AUTH_ISSUER', 'issuer', 'HTTP://HOST/realms/shop', 'https://HOST/realms/shop'],
  ['AUTH_JWKS_URL', 'issuer', 'http://HOST/jwks', 'https://HOST/jwks'],
  ['PAYMENTS_URL', 'payments', 'http://HOST/', 'https://HOST/', LIVE],
  ['PAYMENTS_URL', 'payments', 'http://HOST:8080', 'https://HOST', { STRIPE_API_KEY: 'rk_live_hidden' }],
  ['AUDIT_ANCHOR_URL', 'anchor', 'http://HOST/', 'https://HOST/'],
  ['TEMPORAL_ADDRESS', 'temporal', 'HOST:7233', '127.0.0.1:7233'],
  ['TEMPORAL_ADDRESS', 'temporal', 'HOST', '[::1]:7233', { TEMPORAL_TLS: 'false', TEMPORAL_API_KEY: 'hidden' }],
];

describe.each(LINES)('%s', (variable, word, plain, safe, more = {}) => {
  const at = (host: string, text = plain) => ({ ...more, [variable]: text.replace('HOST', host) });

  test.each(['neighbour.example', '10.0.0.7', '127.0.0.1.example', 'localhost.example', '128.0.0.1', '[2001:db8::1]'])(
    `as ${plain}, at %s, is refused by name, with the word ${word} that would permit it`,
    (host) => {
      const refusal = start(at(host));
      expect(refusal).toMatch(new RegExp(`^${variable} is refused: `));
      expect(refusal).toContain(`add ${word} to ALLOW_PLAINTEXT`);
      expect(refusal).not.toContain('hidden');
      expect(start({ ...at(host), ALLOW_PLAINTEXT: word })).toBe('taken');
      expect(start({ ...at(host), ALLOW_PLAINTEXT: `${word.toUpperCase()} , ${word}` })).toBe('taken');
      const others = ['postgres', 'temporal', 'kafka', 'nats', 'rabbitmq', 'redis', 'issuer', 'payments'];
      const allBut = others.filter((other) => other !== word).join(',');
      expect(start({ ...at(host), ALLOW_PLAINTEXT: allBut })).toBe(refusal);
    },
  );

  test.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.10', '[::1]'])(`as ${plain}, at %s, is taken`, (host) => {
    expect(start(at(host))).toBe('taken');
  });

  test(`as ${safe} is taken`, () => {
    expect(start(at('neighbour.example', safe))).toBe('taken');
  });
});

test.each<[string, Record<string, string>]>([
  ['Kafka with KAFKA_TLS', { KAFKA_BROKERS: 'kafka.example:9092', KAFKA_TLS: 'true' }],
  ['Temporal with TEMPORAL_TLS', { TEMPORAL_ADDRESS: 'temporal.example:7233', TEMPORAL_TLS: 'true' }],
  ['Temporal with an API key', { TEMPORAL_ADDRESS: 'eu.api.temporal.io:7233', TEMPORAL_API_KEY: 'k' }],
  [
    'Temporal with a name to verify',
    { TEMPORAL_ADDRESS: 'temporal.example', TEMPORAL_TLS_SERVER_NAME: 'other.example' },
  ],
  ['a payment API with a test key', { PAYMENTS_URL: 'http://sandbox:12111', STRIPE_API_KEY: 'sk_test_x' }],
  ['a payment API with a restricted test key', { PAYMENTS_URL: 'http://sandbox:12111', STRIPE_API_KEY: 'rk_test_x' }],
  ['an erasure journal in a file', { ERASURE_JOURNAL: '/var/lib/order-saga/erasures.jsonl' }],
  ['Postgres at a socket', { DATABASE_URL: 'postgresql:///orders?host=/var/run/postgresql' }],
  ['a Web UI, to which links lead', { TEMPORAL_UI_URL: 'http://temporal.example:8233' }],
])('what is taken: %s', (_, env) => {
  expect(start(env)).toBe('taken');
});

test.each([
  ['require', 'taken'],
  ['verify-full', 'taken'],
  ['prefer', 'DATABASE_URL is refused'],
  ['disable', 'DATABASE_URL is refused'],
])('PGSSLMODE=%s speaks for a DATABASE_URL that leaves it open: %s', (PGSSLMODE, outcome) => {
  expect(start({ PGSSLMODE, DATABASE_URL: 'postgresql://db.example/d' })).toContain(outcome);
  expect(start({ PGSSLMODE, DATABASE_URL: 'postgresql://db.example/d?sslmode=disable' })).toContain('is refused');
});

test.each(['rediss://HOST?tls=', 'redis:///0?host=localhost&host=HOST', 'redis://localhost?sentinels=HOST'])(
  'a Redis that would be found, or spoken to, otherwise than its URL says is refused: %s',
  (url) => {
    expect(start({ REDIS_URL: url.replace('HOST', 'redis.example') })).toMatch(/^REDIS_URL is wrong: its host/);
    expect(start({ REDIS_URL: 'rediss://redis.example?family=6' })).toBe('taken');
  },
);

test('a profile of Temporal’s is judged as its variables are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-profile-'));
  const file = join(folder, 'temporal.toml');
  writeFileSync(
    file,
    '[profile.cloud]\naddress = "t.example:7233"\n[profile.safe]\naddress = "t.example"\n[profile.safe.tls]\n',
  );
  const env = { TEMPORAL_CONFIG_FILE: file };
  expect(start({ ...env, TEMPORAL_PROFILE: 'cloud' })).toMatch(/TEMPORAL_ADDRESS is refused: it leads to t\.example /);
  expect(start({ ...env, TEMPORAL_PROFILE: 'safe' })).toBe('taken');
  expect(start({ ...env, TEMPORAL_PROFILE: 'none' })).toMatch(/TEMPORAL_…\) cannot be read/);
  writeFileSync(file, '[profile.default]\napi_key = "hidden"\naddress = t.example:7233\n');
  expect(start(env)).toMatch(/TEMPORAL_…\) cannot be read: Invalid TOML document.* \(line 3, column \d+\)\.$/);
  writeFileSync(file, '[profile.cloud]\naddress = "t.example:7233"\n');
  expect(() => readTemporalConfig({ ...env, TEMPORAL_PROFILE: 'cloud' })).toThrow('TEMPORAL_ADDRESS is refused');
  rmSync(folder, { recursive: true });
});

test('all that is refused is said at once, with what is wrong otherwise', () => {
  const refusal = start({
    DATABASE_URL: 'postgresql://db.example/d',
    REDIS_URL: 'redis://redis.example',
    TEMPORAL_ADDRESS: 'temporal.example',
    AUTH_ISSUER: 'http://issuer.example',
    WEBHOOK_SECRET: 'whsec_c2hvcnQ=',
    PORT: 'none',
  });
  const names = refusal.split('\n').map((sentence) => sentence.split(' ')[0]);
  expect(names.sort()).toEqual([
    'AUTH_ISSUER',
    'DATABASE_URL',
    'PORT',
    'REDIS_URL',
    'TEMPORAL_ADDRESS',
    'WEBHOOK_SECRET',
  ]);
});

test.each(['postgres,amqp', 'all', '*', 'true', 'postgres temporal', 'postgres,'])(
  'ALLOW_PLAINTEXT=%s is refused: each is named by its word',
  (words) => {
    expect(start({ ALLOW_PLAINTEXT: words })).toMatch(
      /^ALLOW_PLAINTEXT is wrong: .*postgres, rabbitmq, redis, temporal/,
    );
  },
);

test('no setting that leads somewhere is forgotten', () => {
  const judged = Object.entries(settings).filter(([, kind]) => 'line' in kind);
  const addresses = Object.keys(settings).filter((name) =>
    /URL|ISSUER|BROKERS|JOURNAL|SERVERS?$|ENDPOINT|_ADDR(ESS)?$/.test(name),
  );
  // Links; WEBHOOK_ALLOW_PRIVATE; whom browsers ask, not we; loopback alone.
  const exempt = ['TEMPORAL_UI_URL', 'TRACES_UI_URL', 'WEBHOOK_URL', 'CONSOLE_OIDC_URL', 'LAUNCHER_URL'];
  expect(judged.map(([name]) => name).sort()).toEqual(addresses.filter((name) => !exempt.includes(name)).sort());
});

describe('a WEBHOOK_SECRET', () => {
  const secretOf = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
  test.each([
    secretOf(23),
    secretOf(0),
    `${secretOf(32)} ${secretOf(23)}`,
    `${secretOf(8)} ${secretOf(32)}`,
    'whsec_!',
    'whsec_',
  ])('%s is refused without being repeated', (WEBHOOK_SECRET) => {
    const refusal = start({ WEBHOOK_SECRET });
    expect(refusal).toMatch(/^WEBHOOK_SECRET is wrong: /);
    for (const secret of WEBHOOK_SECRET.split(' ')) if (secret.length > 8) expect(refusal).not.toContain(secret);
  });
  test.each([secretOf(24), secretOf(64), `${secretOf(24)} ${secretOf(32)}`, secretOf(32).replace('whsec_', '')])(
    'of 24 bytes or more is taken: %s',
    (WEBHOOK_SECRET) => {
      expect(start({ WEBHOOK_SECRET })).toBe('taken');
    },
  );
  test('is another thing than STRIPE_WEBHOOK_SECRET, whose form is Stripe’s', () => {
    expect(start({ STRIPE_WEBHOOK_SECRET: 'whsec_dev' })).toBe('taken');
  });
});

describe('each program refuses before it has connected anywhere:', () => {
  const DATABASE_URL = 'postgresql://app:hidden@db.example/orders';
  const TEMPORAL_ADDRESS = 'temporal.example:7233';
  test.each<[string, string[], number, string[]]>([
    ['the service', ['dist/service/main.js'], 78, ['DATABASE_URL is refused', 'TEMPORAL_ADDRESS is refused']],
    ['npm start', ['local/start.mjs'], 1, ['DATABASE_URL is refused', 'TEMPORAL_ADDRESS is refused']],
    ['migrate', ['prisma/cli.mjs', 'migrate', 'deploy'], 1, ['DATABASE_URL is refused']],
    ['the CLI', ['dist/ops/main.js', 'stuck'], 2, ['DATABASE_URL is refused']],
  ])('%s', (_, args, status, sentences) => {
    const { PATH, HOME } = process.env;
    const env = { PATH, HOME, DATABASE_URL, TEMPORAL_ADDRESS, STRIPE_API_KEY: 'sk_test_x' };
    const run = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    const said = run.stdout + run.stderr;
    for (const sentence of sentences) expect(said).toContain(sentence);
    expect(said).not.toContain('hidden');
    expect(said).not.toMatch(/^\s+at /m);
    expect(run.status).toBe(status);
  });

  test('the CLI, also a Temporal', () => {
    const { PATH, HOME } = process.env;
    const env = { PATH, HOME, ...LOCAL, TEMPORAL_ADDRESS };
    const run = spawnSync(process.execPath, ['dist/ops/main.js', 'stuck'], { env, encoding: 'utf8' });
    expect([run.status, run.stderr]).toEqual([2, expect.stringContaining('TEMPORAL_ADDRESS is refused')]);
  });
});
