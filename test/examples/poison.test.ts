/** What nobody should send: whatever it is, the program goes on, others' orders go on, and what cannot be had is found. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startCollector } from '../support/otlp.js';
import { eventually } from '../support/conditions.js';
import { createConsumer, sold, type TestConsumer } from './consumer.js';
import { created, event, NESTED, startFeed } from './poison.js';

const confirmed = (data: object) => event('order.confirmed', data);
const UNREADABLE = {
  'a day that the calendar does not have': created({}, { time: '2026-02-30T00:00:00Z' }),
  'a year that Postgres does not have': created({}, { time: '0000-01-01T00:00:00Z' }),
  'a year that an offset leads to': created({}, { time: '0001-01-01T00:00:00+10:00' }),
  'a list of times': created({}, { time: ['2026-01-01T00:00:00Z'] }),
  'a time of day alone': created({}, { time: '2026-01-01T' }),
  'a number as time': created({}, { time: 1e15 }),
  'a reference with what Postgres cannot store': created({ customerReference: '\0' }),
  'a reference of a megabyte': created({ customerReference: 'x'.repeat(1_000_000) }),
  'a list of references': created({ customerReference: [randomUUID()] }),
  'another version': created({}, { dataschema: 'urn:order-saga:schema:order.created:v2' }),
  'number 0': created({}, { sequence: 0 }),
  'a negative number': created({}, { sequence: -1 }),
  'a number that is too large': created({}, { sequence: 2_147_483_647 }),
  'a number as text': created({}, { sequence: '1' }),
  'an amount that is none': confirmed({ total: { amount: 1e21, currency: 'USD' } }),
  'half a cent': confirmed({ total: { amount: 0.5, currency: 'USD' } }),
  'more nesting than can be written': { ...confirmed({}), data: NESTED },
};
const TAKEN = {
  'an offset': created({}, { time: '2026-01-01T00:00:00+14:00' }),
  'half a character': created({ customerId: 'a\ud800', customerReference: randomUUID() }),
  'what is in every object, as type': event('constructor', {}),
  'what every object comes from, as type': event('__proto__', {}),
  'a trace that is a number': created({}, { traceparent: 5 }),
  'a trace that is none': created({}, { traceparent: '00-xyz-1-01' }),
  'a correlation id of a megabyte': created({}, { correlationid: 'x'.repeat(1_000_000) }),
  'a number far away': created({}, { sequence: 999_999_999 }),
  'a time to come': created({}, { time: '9999-12-31T23:59:59Z' }),
};
const FAILED = {
  'a currency that cannot be booked': confirmed({ total: { amount: 1, currency: 'XXX' } }),
};
const NOBODYS = [null, 5, [], 'text', { id: 'no number', time: 'bad' }, { id: 'a\0b-1' }];
/** Each in its own order: events of orders that none of the above may stop. */
const GOOD = Array.from({ length: 3 }, () => confirmed({ total: { amount: 100, currency: 'USD' } }));
const all = [UNREADABLE, FAILED, TAKEN].flatMap((each) => Object.values(each));

let feed: Awaited<ReturnType<typeof startFeed>>;
let traces: Awaited<ReturnType<typeof startCollector>>;
let consumer: TestConsumer;
beforeAll(async () => {
  feed = await startFeed([GOOD[0], ...all, GOOD[1], ...NOBODYS, GOOD[2]]);
  traces = await startCollector();
  consumer = await createConsumer('feed', {
    FEED_URL: `${feed.url}/events`,
    OTEL_EXPORTER_OTLP_ENDPOINT: traces.url, // what is not asked for is not tried
  });
  consumer.start();
});
afterAll(async () => {
  await consumer?.drop();
  feed?.stop();
  await traces?.stop();
});

const letters = async () =>
  (await consumer.query('SELECT subject, cause FROM dead_letters').catch(() => ({ rows: [] }))).rows as {
    subject: string | null;
    cause: string;
  }[];

test('poison of every kind is a dead letter or has no effect, and stops neither the program nor any other order', async () => {
  const wanted = Object.keys({ ...UNREADABLE, ...FAILED }).length + NOBODYS.length;
  await eventually(
    'all are laid aside',
    async () => !consumer.isRunning() || (await letters()).length === wanted,
    30_000,
  );
  expect(consumer.isRunning()).toBe(true);
  await eventually('good ones are had', async () => (await sold(consumer)).orders === GOOD.length);
  expect(await sold(consumer)).toEqual({ orders: 3, amount: 300 });
  const causes = new Map((await letters()).map(({ subject, cause }) => [subject, cause.split(':')[0]]));
  const became = (of: object) =>
    Object.fromEntries(Object.entries(of).map(([name, { subject }]) => [name, causes.get(subject) ?? 'had']));
  const each = (of: object, word: string) => Object.fromEntries(Object.keys(of).map((name) => [name, word]));
  expect(became(UNREADABLE)).toEqual(each(UNREADABLE, 'unreadable'));
  expect(became(FAILED)).toEqual(each(FAILED, 'failed'));
  expect(became(TAKEN)).toEqual(each(TAKEN, 'had'));
});

test('its log lines stay short, whatever an event says', () => {
  expect(Math.max(...consumer.lines.map((line) => JSON.stringify(line).length))).toBeLessThan(2_000);
});

test('what was laid aside can be listed and discarded', async () => {
  expect(consumer.deadLetters('replay', '--all').code).toBe(1);
  expect(consumer.deadLetters('discard', '--all').code).toBe(0);
  expect(await letters()).toEqual([]);
});

test('a feed that does not answer shows in its metrics', async () => {
  const cutOff = () => consumer.figure('consumer_cut_off');
  expect(await cutOff()).toBe(0);
  feed.stop();
  await eventually('it is said', async () => (await cutOff()) === 1);
  expect(consumer.isRunning()).toBe(true);
});
