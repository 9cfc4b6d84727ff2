/** The feed's example, run as its readers run it: every effect is had exactly once. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { type Link, startLink } from '../../testbed/link.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { eventually } from '../support/conditions.js';
import { createConsumer, hasSold, sold, type TestConsumer } from './consumer.js';
import { orderEvents, pause, proveExactlyOnce } from './proof.js';

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

test('cut off from its database while it asks there how far it has read, it asks again, and goes on from there', async () => {
  const { orders } = await sold(consumer);
  const told = consumer.lines.length;
  const others = await consumer.lock('cursors');
  try {
    consumer.start();
    await eventually('it asks', async () => {
      const { rowCount } = await consumer.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rowCount === 1;
    });
    consumer.link.fail('reset');
    await eventually('it waits', async () => (await consumer.figure('consumer_paused')) === 1);
  } finally {
    await others.unlock();
  }
  consumer.link.heal();
  const events = orderEvents((await accept(api.db, { A: 1 })).id);
  for (const event of events) await write(event);
  await hasSold(consumer, orders + 1);
  const toldOf = consumer.lines.slice(told).flatMap(({ orderId }) => orderId ?? []);
  expect(new Set(toldOf)).toEqual(new Set([events[0]?.subject]));
  expect(await consumer.terminate()).toBe(0);
}, 60_000);

test('told to end while its database is away from its start on, it ends well', async () => {
  consumer.link.fail('reset');
  consumer.start();
  await eventually('it waits', async () => (await consumer.figure('consumer_paused')) === 1);
  expect(await consumer.terminate()).toBe(0);
  consumer.link.heal();
});
