/** The webhook's example, run as its readers run it: every effect is had exactly once. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { freePort } from '../../local/processes/ports.js';
import { type Link, startLink } from '../../testbed/link.js';
import { eventually } from '../support/conditions.js';
import { createConsumer, type TestConsumer } from './consumer.js';
import { pause, proveExactlyOnce, publish } from './proof.js';

const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, say').toString('base64')}`;
let consumer: TestConsumer;
let link: Link;
let url: string;
beforeAll(async () => {
  const port = await freePort();
  consumer = await createConsumer('webhook', { PORT: `${port}`, WEBHOOK_SECRET });
  link = await startLink(`127.0.0.1:${port}`);
  url = `http://${link.address}`;
});
afterAll(async () => {
  await consumer?.drop();
  await link?.stop();
});

async function post(id: string, body: string, secret = WEBHOOK_SECRET): Promise<number> {
  const now = new Date();
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': `${Math.floor(now.getTime() / 1_000)}`,
    'webhook-signature': new Webhook(secret).sign(id, now, body),
  };
  return (await fetch(url, { method: 'POST', headers, body })).status;
}

test('killed, told everything twice, poisoned, cut off from its sender and its database, it has every effect exactly once', async () => {
  const env = { WEBHOOK_URL: url, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' };
  await proveExactlyOnce({
    name: 'webhook',
    consumer,
    deliver: (events) => publish(env, events),
    deliverBroken: async ({ id }) => {
      await eventually('it is taken', async () => (await post(id, '{"half')) === 204, 60_000);
    },
    outage: async (ms) => {
      link.fail('reset');
      await pause(ms);
      link.heal();
    },
  });
}, 240_000);

test('what is signed with another secret is refused, and leaves nothing behind', async () => {
  consumer.start();
  const other = `whsec_${Buffer.from('another secret of so many bytes.').toString('base64')}`;
  expect(await eventually('it answers', () => post('someone-1', '{}', other))).toBe(401);
  const { rows } = await consumer.query("SELECT FROM inbox WHERE subject = 'someone'");
  expect(rows).toEqual([]);
});
