import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { createPublishers } from '../../../relay/publishers/configured.js';
import { ConfigError, readConfig } from '../../../runtime/config.js';
import { settings } from '../../../runtime/settings.js';
import { closedPort } from '../../support/api.js';
import { eventsOf } from './contract.js';

const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing';
const configured = async (env: NodeJS.ProcessEnv) => createPublishers(readConfig(settings, { DATABASE_URL, ...env }));

describe('the destinations', () => {
  test('are those that are configured, several at once, and none of them need be there', async () => {
    const port = await closedPort();
    const publishers = await configured({
      WEBHOOK_URL: `http://127.0.0.1:${port}`,
      WEBHOOK_SECRET: `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`,
      WEBHOOK_ALLOW_PRIVATE: 'true',
      KAFKA_BROKERS: `127.0.0.1:${port}, localhost:${port}`,
      NATS_URL: `nats://127.0.0.1:${port}`,
      RABBITMQ_URL: `amqp://127.0.0.1:${port}`,
    });
    expect(publishers.map(({ destination }) => destination)).toEqual(['webhook', 'kafka', 'nats', 'rabbitmq']);
    const outcomes = await Promise.all(publishers.map((publisher) => publisher.publish(eventsOf(undefined, 1))));
    for (const [outcome] of outcomes) expect(outcome?.outcome).toBe('unavailable');
    await Promise.all(publishers.map((publisher) => publisher.close()));
    expect(await configured({})).toEqual([]);
  });

  test.each([
    ['KAFKA_BROKERS', 'kafka://me:hunter2@host:9092'],
    ['NATS_URL', 'http://me:hunter2@host'],
    ['NATS_URL', 'nats://me:hunter2@host,hunter2'],
    ['RABBITMQ_URL', 'me:hunter2@host'],
  ])('are refused where %s is wrong, without repeating the password in it', async (variable, value) => {
    const refusal = await configured({ [variable]: value }).catch((err: unknown) => err);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as Error).message).toContain(variable);
    expect((refusal as Error).message).not.toContain('hunter2');
  });

  test.each([
    [
      'both its address and its secret',
      { WEBHOOK_URL: 'http://127.0.0.1:4000' },
      'WEBHOOK_URL must be https, or WEBHOOK_ALLOW_PRIVATE=true.\nWEBHOOK_SECRET is not set, but WEBHOOK_URL is.',
    ],
    [
      'one of two secrets',
      { WEBHOOK_URL: 'https://receiver.example', WEBHOOK_SECRET: 'whsec_YWJj whsec_!' },
      'WEBHOOK_SECRET is wrong: it must be whsec_… (base64), or several of them separated by spaces.',
    ],
  ])('are refused where %s of the webhook is wrong, all at once', async (_what, env, sentences) => {
    const refusal = await configured(env).catch((err: unknown) => err);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as Error).message).toBe(sentences);
  });

  test('whose client is not installed are refused by the name of its package', () => {
    // Node's own answer, from what ships: Jest's would be another.
    const script = `const { load } = await import('./dist/relay/publishers/configured.js');
      await load('KAFKA_BROKERS', '@none/such', () => import('@none/such')).catch((err) => process.stdout.write(String(err)));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({
      stdout: 'ConfigError: KAFKA_BROKERS is set, but the package @none/such is not installed: npm install @none/such',
      stderr: '',
    });
  });
});
