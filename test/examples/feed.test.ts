/** The feed's example, run as its readers run it: every effect is had exactly once. */
import { afterAll, beforeAll, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { type Link, startLink } from '../../testbed/link.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { createConsumer, type TestConsumer } from './consumer.js';
import { pause, proveExactlyOnce } from './proof.js';

let api: TestApi;
let link: Link;
let consumer: TestConsumer;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'A', 1_000_000, 1_001);
  link = await startLink(`127.0.0.1:${api.port}`);
  consumer = await createConsumer('feed', { FEED_URL: `http://${link.address}/events` });
});
afterAll(async () => {
  await consumer?.drop();
  await link?.stop();
  await api?.stop();
});

/** An order's first event is written when it is accepted; the others as its steps would. */
async function write({ subject, sequence, type, data, correlationid, traceparent }: CloudEvent): Promise<void> {
  if (sequence === 1) return;
  await api.db.$executeRaw`
    INSERT INTO outbox (order_id, sequence, type, data, correlation_id, traceparent, feed_xid)
    VALUES (${subject}::uuid, ${sequence}, ${type}, ${JSON.stringify(data)}::jsonb, ${correlationid}, ${traceparent ?? null},
      pg_current_xact_id()::text::bigint)`;
}

test('killed, told everything twice, poisoned, cut off from the feed and its database, it has every effect exactly once', async () => {
  await proveExactlyOnce({
    name: 'feed',
    consumer,
    order: async () => (await accept(api.db, { A: 1 })).id,
    deliver: async (events) => {
      for (const event of events) await write(event);
    },
    // The feed repeats itself to a consumer that starts over.
    repeat: async () => {
      await consumer.terminate();
      await consumer.query('DELETE FROM cursors');
      consumer.start();
    },
    outage: async (ms) => {
      link.fail('reset');
      await pause(ms);
      link.heal();
    },
  });
}, 240_000);
