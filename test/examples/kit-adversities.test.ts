/** What the examples share, in adversity, seen through the webhook's: nothing that is no event's fault is blamed on one. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { eventually } from '../support/conditions.js';
import { sold, type TestConsumer } from './consumer.js';
import { orderEvents } from './proof.js';
import { aged, signed, startWebhookConsumer, type WebhookConsumer } from './webhook-consumer.js';

let webhook: WebhookConsumer;
let consumer: TestConsumer;
beforeAll(async () => {
  webhook = await startWebhookConsumer();
  consumer = webhook.consumer;
});
beforeEach(() => webhook.begin());
afterAll(() => consumer?.drop());

test('a backlog from long ago is had, also where one of its messages cannot be read and does not say when it was sent', async () => {
  const [first, ...rest] = Array.from({ length: 3 }, () => aged(orderEvents(uuidv7())));
  await webhook.deliver(first ?? []);
  const broken = signed({ id: `${uuidv7()}-1`, body: '{"half' });
  expect(await webhook.post(broken)).toBe(204);
  await consumer.terminate();
  consumer.start(); // it forgets now
  await eventually('it has thought about what to forget', async () => {
    const { rowCount } = await consumer.query('SELECT FROM horizons');
    return (rowCount ?? 0) > 0;
  });
  await webhook.deliver(rest.flat());
  expect(consumer.deadLetters('list').letters.map(({ cause }) => cause.split(':')[0])).toEqual(['unreadable']);
  expect(await sold(consumer)).toEqual({ orders: 3, amount: 3_003 });
});

test('while a table or a right is missing, as amid a migration or a restore, it waits, and no event is blamed', async () => {
  await consumer.query('ALTER TABLE sales RENAME TO sold_elsewhere');
  const events = orderEvents(uuidv7());
  const delivering = webhook.deliver(events);
  try {
    await eventually('it waits', async () => (await consumer.figure('consumer_paused')) === 1);
    expect(await webhook.post(signed())).toBe(204); // what needs no such table goes on
  } finally {
    await consumer.query('ALTER TABLE sold_elsewhere RENAME TO sales');
  }
  await delivering;
  expect(consumer.deadLetters('list').letters).toEqual([]);
  expect(await sold(consumer)).toEqual({ orders: 1, amount: 1_001 });
}, 30_000);

test.each([
  ['gives up what the inbox asks', 'CREATE TRIGGER stall BEFORE'],
  ['says nothing of a COMMIT', 'CREATE CONSTRAINT TRIGGER stall AFTER'],
])(
  'while its database answers others, and %s, as its disk stands still, it waits, and no event is blamed',
  async (_, trigger) => {
    const told = consumer.lines.length;
    await consumer.query(`
      CREATE TABLE stalls (); INSERT INTO stalls DEFAULT VALUES;
      CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        WHILE EXISTS (SELECT FROM stalls) LOOP PERFORM pg_sleep(0.1); END LOOP;
        RETURN NEW;
      END$$;
      ${trigger} UPDATE ON inbox ${trigger.includes('CONSTRAINT') ? 'DEFERRABLE INITIALLY DEFERRED' : ''}
        FOR EACH ROW EXECUTE FUNCTION stall()`);
    const delivering = webhook.deliver(orderEvents(uuidv7()));
    try {
      await eventually('it waits', async () => (await consumer.figure('consumer_paused')) === 1, 30_000);
    } finally {
      await consumer.query('DELETE FROM stalls');
    }
    await delivering;
    await consumer.query('DROP TRIGGER stall ON inbox; DROP FUNCTION stall; DROP TABLE stalls');
    expect(consumer.lines.slice(told).filter(({ msg }) => msg === 'failed')).toEqual([]);
    expect(consumer.deadLetters('list').letters).toEqual([]);
    expect(await sold(consumer)).toEqual({ orders: 1, amount: 1_001 });
  },
  60_000,
);

test('what is signed an hour ago, as by a clock that is wrong, is refused, and the log says why', async () => {
  const told = consumer.lines.length;
  expect(await webhook.post(signed({ at: new Date(Date.now() - 3_600_000) }))).toBe(401);
  const line = await eventually('it is said', () => consumer.lines.slice(told).find(({ level }) => level === 'warn'));
  expect(line).toMatchObject({ msg: expect.stringContaining('WEBHOOK_SECRET'), error: expect.stringContaining('old') });
});
