/** Every secret may come from a file, `<VARIABLE>_FILE`; what is wrong with it is said by variable and path, never with what is in it. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Logger } from 'pino';
import { prisma } from '../../prisma/cli.mjs';
import { readSettings } from '../../local/settings.js';
import { readOpsConfig } from '../../ops/connections.js';
import { ConfigError, fileSecretsOf, readConfig, secretNamesOf } from '../../runtime/config.js';
import { withoutSecrets } from '../../runtime/errors/scrub.js';
import { reportSecretFiles } from '../../runtime/secret-files.js';
import { settings } from '../../runtime/settings.js';
import { readTemporalConfig } from '../../runtime/temporal-config.js';
import { read as readText, variablesOf } from '../deploy/text.js';

const folder = mkdtempSync(join(tmpdir(), 'secret-files-'));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;
const file = (content: string): string => {
  const path = join(folder, `secret-${++made}`);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};
/** As Kubernetes and careful scripts do it: another file takes its place. */
const replace = (path: string, content: string): void => renameSync(file(content), path);

const DATABASE_URL = 'postgresql://nobody:hidden@127.0.0.1:1/nothing';
const read = (env: Record<string, string>) => readConfig(settings, { DATABASE_URL, ...env });
const refusalOf = (env: Record<string, string>): string => {
  try {
    read(env);
    return 'taken';
  } catch (err) {
    expect(err).toBeInstanceOf(ConfigError);
    return (err as Error).message;
  }
};

const WHSEC = `whsec_${Buffer.from('hidden'.repeat(6)).toString('base64')}`;
const SIGNING_KEY = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'der' })
  .toString('base64');
const SAMPLES: Record<string, string> = {
  DATABASE_URL: 'postgresql://app:hidden@127.0.0.1:5432/order_saga',
  REDIS_URL: 'rediss://:hidden@redis.example:6379',
  AUDIT_ANCHOR_URL: 'https://anchor:hidden@anchor.example/newest',
  STRIPE_API_KEY: 'rk_test_hidden',
  STRIPE_WEBHOOK_SECRET: 'whsec_hidden',
  WEBHOOK_URL: 'https://receiver:hidden@receiver.example/x',
  WEBHOOK_SECRET: WHSEC,
  KAFKA_PASSWORD: 'hidden with blanks, too',
  NATS_URL: 'tls://u:hidden@nats.example',
  RABBITMQ_URL: 'amqps://u:hidden@rabbit.example',
  ERASURE_JOURNAL: 'postgresql://journal:hidden@127.0.0.1:5432/erasures',
  ERASURE_SIGNING_KEY: SIGNING_KEY,
  VAULT_TOKEN: 'hvs.hidden',
  OTEL_EXPORTER_OTLP_HEADERS: 'authorization=hidden',
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'authorization=hidden',
};

test('these are the secrets that may come from a file; AUDIT_KEY has its own, of several lines', () => {
  expect(fileSecretsOf(settings).sort()).toEqual(Object.keys(SAMPLES).sort());
  expect(secretNamesOf(settings)).toEqual(expect.arrayContaining([...Object.keys(SAMPLES), 'AUDIT_KEY']));
  const explained = /^# From a file instead: (.*(?:\n# .*)*?)\.$/m.exec(readText('.env.example'))?.[1] ?? '';
  const named = [...explained.matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g)].map(([name]) => name);
  expect(named.filter((name) => !name.endsWith('_FILE')).sort()).toEqual(
    [...Object.keys(SAMPLES), 'TEMPORAL_API_KEY'].sort(),
  );
  expect([...variablesOf('.env.example').keys()]).toContain('AUDIT_KEY_FILE');
});

describe.each(Object.keys(SAMPLES))('%s', (name) => {
  const variable = `${name}_FILE`;
  const sample = SAMPLES[name] as string;
  const given = (path: string, more = {}) => ({ [name]: '', [variable]: path, ...more });

  test.each(['', '\n', '\r\n'])('is taken from a file that ends with %j', (ending) => {
    expect(read(given(file(`${sample}${ending}`)))).toMatchObject({ [name]: sample });
    expect(withoutSecrets(`x ${sample}`)).not.toContain('rk_test_hidden');
  });

  test('is refused by name and path, and without what is in it', () => {
    const spoilt = file(`hidden\n${sample}\n\n`);
    for (const [path, why] of [
      [join(folder, 'nowhere'), 'cannot be read (ENOENT)'],
      [folder, 'is not a file'],
      [file(''), 'is empty'],
      [file('\n'), 'is empty'],
      [file('x'.repeat(65 * 1024)), 'has more than 64 KB'],
      [spoilt, 'is wrong: '],
    ] as const) {
      const refusal = refusalOf(given(path));
      expect(refusal).toContain(`${variable} ${path} ${why}`);
      expect(refusal.split('\n')).toHaveLength(1);
      expect(refusal).not.toContain('hidden');
    }
    expect(refusalOf({ ...given(file(sample)), [name]: sample })).toBe(
      `${name} and ${variable} are both set: set one.`,
    );
  });
});

describe('whoever reads settings takes them from files:', () => {
  const databaseUrl = file(`${SAMPLES['DATABASE_URL']}\n`);
  const url = SAMPLES['DATABASE_URL'];

  test('the operators’ CLI', () => {
    expect(readOpsConfig({ DATABASE_URL_FILE: databaseUrl })).toMatchObject({ DATABASE_URL: url });
    expect(() => readOpsConfig({ DATABASE_URL_FILE: folder })).toThrow(`DATABASE_URL_FILE ${folder} is not a file`);
  });

  test('`npm start`', () => {
    expect(readSettings({ DATABASE_URL_FILE: databaseUrl })).toMatchObject({ DATABASE_URL: url });
  });

  test('Temporal’s link, its API key', () => {
    const env = { TEMPORAL_ADDRESS: 'ns.example:7233', TEMPORAL_API_KEY_FILE: file('hidden-key-of-temporal\n') };
    expect(readTemporalConfig(env).connectionOptions).toMatchObject({ apiKey: 'hidden-key-of-temporal', tls: {} });
    expect(withoutSecrets('hidden-key-of-temporal')).toBe('[withheld]');
    expect(() => readTemporalConfig({ ...env, TEMPORAL_API_KEY: 'x' })).toThrow('are both set');
    expect(() => readTemporalConfig({ ...env, TEMPORAL_API_KEY_FILE: '/none' })).toThrow('TEMPORAL_API_KEY_FILE /none');
  });

  test('migrations', () => {
    const migrate = (env: NodeJS.ProcessEnv) => () => prisma(['migrate', 'status'], { env, quiet: true });
    expect(migrate({ DATABASE_URL_FILE: '/none' })).toThrow('DATABASE_URL_FILE /none cannot be read (ENOENT).');
    expect(migrate({ DATABASE_URL_FILE: databaseUrl, DATABASE_URL: 'x' })).toThrow('are both set');
    // It was read: it is judged by its content.
    const beyond = file('postgresql://owner:hidden@db.example/order_saga');
    expect(migrate({ DATABASE_URL_FILE: beyond })).toThrow(
      'DATABASE_URL is refused: it leads to db.example in plain text',
    );
  });
});

describe('a file that changes while the process runs', () => {
  const said: [string, Record<string, unknown>, string][] = [];
  const logger = {
    info: (facts: Record<string, unknown>, sentence: string) => said.push(['info', facts, sentence]),
    warn: (facts: Record<string, unknown>, sentence: string) => said.push(['warn', facts, sentence]),
  } as unknown as Logger;

  test('gives the new value wherever it is used, whether it was replaced, rewritten or linked anew', () => {
    const path = file('rk_test_first\n');
    const linked = join(folder, 'linked');
    symlinkSync(path, linked);
    const [direct, byLink] = [read({ STRIPE_API_KEY_FILE: path }), read({ STRIPE_API_KEY_FILE: linked })];
    const present = () => [direct.STRIPE_API_KEY, byLink.STRIPE_API_KEY];
    expect(present()).toEqual(['rk_test_first', 'rk_test_first']);
    replace(path, 'rk_test_second\n');
    expect(present()).toEqual(['rk_test_second', 'rk_test_second']);
    writeFileSync(path, 'rk_test_rewritten');
    expect(present()).toEqual(['rk_test_rewritten', 'rk_test_rewritten']);
    const other = join(folder, 'link-to-be');
    symlinkSync(file('rk_test_linked'), other);
    renameSync(other, linked);
    expect(present()).toEqual(['rk_test_rewritten', 'rk_test_linked']);
    expect(withoutSecrets('x rk_test_linked x')).toBe('x [withheld] x');
  });

  test('leaves the last good value where it is away, empty, wrong or unreadable, and the log says why', () => {
    const path = file('rk_test_good');
    const config = read({ STRIPE_API_KEY_FILE: path });
    const stop = reportSecretFiles(logger);
    said.length = 0;
    const spoil: [() => void, string][] = [
      [() => replace(path, ''), 'is empty'],
      [() => replace(path, 'rk test hidden'), 'is wrong'],
      [() => replace(path, 'rk_test_hidden\n\n'), 'is wrong'],
      [() => unlinkSync(path), 'ENOENT'],
      [() => mkdirSync(path), 'is not a file'],
    ];
    for (const [act, why] of spoil) {
      act();
      expect([config.STRIPE_API_KEY, config.STRIPE_API_KEY]).toEqual(['rk_test_good', 'rk_test_good']);
      expect(said.splice(0)).toEqual([
        [
          'warn',
          expect.objectContaining({ variable: 'STRIPE_API_KEY_FILE', path, reason: expect.stringContaining(why) }),
          expect.stringContaining('the one before stays'),
        ],
      ]);
    }
    rmSync(path, { recursive: true });
    writeFileSync(path, 'rk_test_better');
    expect(config.STRIPE_API_KEY).toBe('rk_test_better');
    expect(said).toEqual([['info', { variable: 'STRIPE_API_KEY_FILE', path }, expect.any(String)]]);
    expect(JSON.stringify(said)).not.toContain('hidden');
    stop();
  });

  test('keeps to the rules of the start: a database in plain text is not spoken to', () => {
    const path = file(DATABASE_URL);
    const config = read({ DATABASE_URL: '', DATABASE_URL_FILE: path });
    replace(path, 'postgresql://app:hidden@db.example/order_saga');
    expect(config.DATABASE_URL).toBe(DATABASE_URL);
    replace(path, 'postgresql://app:hidden@db.example/order_saga?sslmode=verify-full');
    expect(config.DATABASE_URL).toContain('db.example');
  });

  test('is warned about where every user of the machine may read it', () => {
    const path = file('rk_test_open');
    chmodSync(path, 0o644);
    read({ STRIPE_API_KEY_FILE: path });
    said.length = 0;
    reportSecretFiles(logger)();
    expect(said.filter(([, facts]) => facts['path'] === path)).toEqual([
      ['warn', { variable: 'STRIPE_API_KEY_FILE', path }, expect.stringContaining('chmod 600')],
    ]);
  });
});
