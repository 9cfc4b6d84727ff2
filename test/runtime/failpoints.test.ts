import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openFailpoints } from '../../runtime/failpoints.js';

const OURS = `postgresql://u:p@127.0.0.1:5432/test_${'0'.repeat(32)}`;
const SANDBOX = 'http://127.0.0.1:12111';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'order-saga-failpoints-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('failpoints are refused', () => {
  test.each([
    ['on a database that no test has made', 'postgresql://u:p@127.0.0.1:5432/orders', SANDBOX, 'DATABASE_URL'],
    [
      'on a database that is only called like one',
      'postgresql://u:p@127.0.0.1:5432/test_orders',
      SANDBOX,
      'DATABASE_URL',
    ],
    ['on another machine’s database', OURS.replace('127.0.0.1', 'db.example.com'), SANDBOX, 'DATABASE_URL'],
    ['on another machine’s database that a query names', `${OURS}?host=db.example.com`, SANDBOX, 'DATABASE_URL'],
    ['beside a gateway on another machine', OURS, 'https://api.stripe.com', 'PAYMENTS_URL'],
    ['beside Stripe itself', OURS, undefined, 'PAYMENTS_URL'],
  ])('%s', (_, databaseUrl, paymentsUrl, variable) => {
    expect(() => openFailpoints(folder, { databaseUrl, paymentsUrl })).toThrow(variable);
  });

  test.each(['api', 'worker', 'relay', 'all'])(
    'by a real process with ROLE=%s, which says so and does not start',
    async (ROLE) => {
      const env = {
        PATH: process.env['PATH'],
        ROLE,
        FAILPOINTS: folder,
        DATABASE_URL: 'postgresql://u:p@127.0.0.1:1/orders',
      };
      const started = promisify(execFile)(process.execPath, ['dist/service/main.js'], { env });
      await expect(started).rejects.toMatchObject({
        code: 78,
        stderr: expect.stringContaining('FAILPOINTS is set, but DATABASE_URL is not a database that a test has made'),
      });
    },
  );
});

describe('a failpoint', () => {
  const open = () => openFailpoints(folder, { databaseUrl: OURS, paymentsUrl: SANDBOX });

  test('is met once, by the first process that comes, and records which it was and that it is over', () => {
    const [one, other] = [open(), open()];
    writeFileSync(join(folder, 'order-1.step.moment'), 'throw');
    expect(() => one.at('step.moment', 'order-2')).not.toThrow();
    expect(() => one.at('step.moment', 'order-1')).toThrow('planned failure');
    expect(() => other.at('step.moment', 'order-1')).not.toThrow();
    expect(readdirSync(folder)).toEqual(['order-1.step.moment.hit']);
    other.end('order-1');
    one.end('order-1');
    expect(readdirSync(folder)).toEqual(['order-1.step.moment.over']);
  });

  test('with an unknown action is a bug', () => {
    writeFileSync(join(folder, 'order-3.step.moment'), 'explode');
    expect(() => open().at('step.moment', 'order-3')).toThrow('Unhandled action "explode"');
  });
});
