/** What the examples share, seen through the webhook's: what the inbox forgets, what is erased, and how a consumer behaves. */
import { randomUUID } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import type { CloudEvent } from '../../contracts/events.js';
import { eventually } from '../support/conditions.js';
import { hasSold, knows, sold, type TestConsumer } from './consumer.js';
import { eventOf, orderEvents, pause } from './proof.js';
import { aged, type Request, signed, startWebhookConsumer, type WebhookConsumer } from './webhook-consumer.js';

let webhook: WebhookConsumer;
let consumer: TestConsumer;
beforeAll(async () => {
  webhook = await startWebhookConsumer();
  consumer = webhook.consumer;
});
beforeEach(() => webhook.begin());
afterAll(() => consumer?.drop());

const deliver = (events: CloudEvent[]) => webhook.deliver(events);
const post = (request: Request | string) => webhook.post(request);
const rowsOf = async (subject: string) =>
  (await consumer.query('SELECT FROM inbox WHERE subject = $1', [subject])).rowCount;
/** It forgets when it starts, and every hour. */
async function forget(subject: string): Promise<void> {
  await deliver(orderEvents(uuidv7())); // its newest event says how late it is
  await consumer.terminate();
  consumer.start();
  await eventually('the inbox has forgotten it', async () => (await rowsOf(subject)) === 0);
}

test('what is sent again after the inbox has forgotten it has no second effect, and someone is asked', async () => {
  const old = aged(orderEvents(uuidv7()));
  await deliver(old);
  await forget(old[0]?.subject ?? '');
  const before = await sold(consumer);
  expect(before.orders).toBe(2);
  await deliver(old);
  expect(await sold(consumer)).toEqual(before);
  const { letters } = consumer.deadLetters('list');
  expect(letters.map(({ id, cause }) => [id, cause.split(':')[0]])).toEqual([
    [old[0]?.id, 'forgotten'],
    [old[1]?.id, 'behind'],
    [old[2]?.id, 'behind'],
  ]);
  expect(consumer.deadLetters('discard', '--all').code).toBe(0);
  await deliver(old);
  expect(await sold(consumer)).toEqual(before);
  expect(consumer.deadLetters('list').letters).toEqual([]);
});

test('an order that goes on after it was forgotten has its new events, and not its old ones again', async () => {
  const old = aged(orderEvents(uuidv7()));
  const { subject } = old[0] as CloudEvent;
  await deliver(old);
  await forget(subject);
  await deliver([eventOf(subject, 4, 'shipment.dispatched', {})]);
  const before = await sold(consumer);
  await deliver(old);
  expect(await sold(consumer)).toEqual(before);
});

test('a dead letter is replayed with its effect, once, however long ago it was', async () => {
  const old = aged(orderEvents(uuidv7(), undefined, 'XAU'));
  const other = aged(orderEvents(uuidv7()));
  await deliver([...old, ...other]);
  await forget(other[0]?.subject ?? '');
  expect(await rowsOf(old[0]?.subject ?? '')).toBe(1);
  await consumer.query("INSERT INTO currencies VALUES ('XAU')");
  for (const _ of [1, 2]) expect(consumer.deadLetters('replay', '--all').code).toBe(0);
  await deliver(old);
  expect(await sold(consumer, 'XAU')).toEqual({ orders: 1, amount: 1_001 });
});

test('an event that comes after a later one of its order is had, once', async () => {
  const [first, second, third] = orderEvents(uuidv7()) as [CloudEvent, CloudEvent, CloudEvent];
  const confirmed = { ...third, sequence: 2, id: `${first.subject}-2` };
  const late = { ...second, sequence: 3, id: `${first.subject}-3` };
  for (const event of [late, confirmed, first, confirmed, late]) await deliver([event]);
  expect(await sold(consumer)).toEqual({ orders: 1, amount: 1_001 });
  expect(await knows(consumer, [first, confirmed, late])).toBe(true);
});

test('a confirmed order that is cancelled has sold nothing, and its cancellation waits behind a dead letter of its own', async () => {
  const [a, b] = [orderEvents(uuidv7()), orderEvents(uuidv7())] as [CloudEvent[], CloudEvent[]];
  const poor = eventOf(b[0]?.subject ?? '', 3, 'order.confirmed', {});
  const cancelled = [a, b].map((events) => eventOf(events[0]?.subject ?? '', 4, 'order.cancelled', {}));
  await deliver([...a, ...b.slice(0, 2), poor, ...cancelled]);
  expect(await sold(consumer)).toEqual({ orders: 0, amount: 0 });
  expect(consumer.deadLetters('list').letters.map(({ sequence }) => sequence)).toEqual([3, 4]);
});

const erasedEvent = (reference: string, sequence = 1) =>
  eventOf(reference, sequence, 'customer.erased', {
    customerReference: reference,
    erasedAt: new Date().toISOString(),
  });
const kept = async () =>
  (
    await consumer.query(
      'SELECT customer_id FROM purchases WHERE customer_reference IS NOT NULL OR customer_id IS NOT NULL',
    )
  ).rowCount;

test('a customer who is erased is kept nowhere, and comes back with no event that is delivered later', async () => {
  const reference = randomUUID();
  const [before, after, dead] = [
    orderEvents(uuidv7(), reference),
    orderEvents(uuidv7(), reference),
    orderEvents(uuidv7(), reference),
  ];
  const poor = eventOf(dead[0]?.subject ?? '', 1, 'order.created', { customerReference: 'nobody' });
  const behind = { ...(dead[0] as CloudEvent), sequence: 2, id: `${poor.subject}-2` };
  await deliver([...before, poor, behind]);
  expect(await kept()).toBe(1);
  await deliver([erasedEvent(reference), erasedEvent(reference), erasedEvent(reference, 2)]);
  expect(await kept()).toBe(0);
  const third = { ...(dead[0] as CloudEvent), sequence: 3, id: `${poor.subject}-3` };
  await deliver([...after, ...before, third]); // the last of them lies down behind the others
  const { rows } = await consumer.query("SELECT FROM dead_letters WHERE body LIKE '%cus_proof%'");
  expect(rows).toEqual([]);
  consumer.deadLetters('discard', '--cause', 'unreadable');
  expect(consumer.deadLetters('replay', '--all').code).toBe(0);
  expect(await kept()).toBe(0);
  expect(await sold(consumer)).toEqual({ orders: 2, amount: 2_002 });
});

test('an order and the erasure of its customer, at the same moment, leave no customer behind', async () => {
  const references = Array.from({ length: 40 }, () => randomUUID());
  await deliver(references.flatMap((reference) => [...orderEvents(uuidv7(), reference), erasedEvent(reference)]));
  expect(await sold(consumer)).toEqual({ orders: 40, amount: 40 * 1_001 });
  expect(await kept()).toBe(0);
});

test('its log lines lead to the order’s story, and name no customer', async () => {
  const [created] = orderEvents(uuidv7(), randomUUID()) as [CloudEvent];
  await deliver([created]);
  const line = await eventually('it is logged', () => consumer.lines.find(({ eventId }) => eventId === created.id));
  const [, traceId, spanId] = created.traceparent?.split('-') ?? [];
  expect(line).toMatchObject({
    ...{ msg: 'processed', consumer: 'webhook', orderId: created.subject, sequence: 1, type: 'order.created' },
    ...{ correlationId: created.correlationid, traceId, spanId },
  });
  expect(JSON.stringify(consumer.lines)).not.toContain('cus_proof');
});

test('its metrics count what became of events', async () => {
  const outcome = (name: string) => consumer.figure(`consumer_events_total{outcome="${name}"`);
  const names = ['processed', 'ignored', 'duplicate', 'dead', 'behind'];
  const figures = () => Promise.all([...names.map(outcome), consumer.figure('consumer_failed_tries_total')]);
  const before = await figures();
  const odd = orderEvents(uuidv7(), undefined, 'XYZ');
  const good = orderEvents(uuidv7());
  await deliver([...good, ...odd, eventOf(odd[0]?.subject ?? '', 4, 'order.cancelled', {})]);
  await deliver(good);
  const after = await figures();
  expect(after.map((figure, index) => figure - (before[index] ?? 0))).toEqual([3, 2, 3, 1, 1, 3]);
  expect(await consumer.figure('consumer_lag_seconds')).toBe(0);
  expect(await consumer.figure('consumer_paused')).toBe(0);
});

test('told to end amid work, it finishes what it has begun, ends with 0, and its successor has the rest', async () => {
  const events = Array.from({ length: 100 }, () => orderEvents(uuidv7())).flat();
  const delivering = deliver(events);
  await hasSold(consumer, 10);
  expect(await consumer.terminate()).toBe(0);
  consumer.start();
  await delivering;
  expect(await sold(consumer)).toEqual({ orders: 100, amount: 100_100 });
}, 60_000);

test('with as much in hand as it may have, it asks its sender to wait; while its database is away, too', async () => {
  await consumer.terminate();
  consumer.start({ BATCH: '2' });
  await eventually('it listens', async () => (await post('{}')) === 401);
  const client = await consumer.lock('inbox');
  const first = [post(signed()), post(signed())];
  try {
    await eventually('both are in hand', async () => (await consumer.figure('consumer_in_hand')) === 2);
    expect(await Promise.race([post(signed()), pause(3_000)])).toBe(503);
  } finally {
    await client.unlock();
  }
  expect(await Promise.all(first)).toEqual([204, 204]);
  consumer.link.fail('reset');
  expect(await post(signed())).toBe(503);
  consumer.link.heal();
  await eventually('it is taken', async () => (await post(signed())) === 204);
  expect(consumer.deadLetters('list').letters).toEqual([]);
}, 30_000);

test('settings that make no sense end it at the start, each by its name', () => {
  const { status, stderr } = spawnSync(process.execPath, ['examples/consumers/kafka.mjs'], {
    env: { PATH: process.env['PATH'], CONCURRENCY: '65', BATCH: '0', RETRY_BACKOFF: '5', INBOX_RETENTION: '1h' },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([
    78,
    [
      'DATABASE_URL is not set.',
      'CONCURRENCY is wrong: it is a whole number from 1 to 64.',
      'BATCH is wrong: it is a whole number from 1 to 1000.',
      'RETRY_BACKOFF is wrong: it is a duration from 10ms to 1m, such as 200ms.',
      'INBOX_RETENTION is wrong: it is a duration from 1d to 3650d, such as 90d.\n',
    ].join('\n'),
  ]);
});
