/**
 * What each example must do, whatever its destination: the same story for all of them. It is killed amid work, told everything twice,
 * given what it cannot read and what it cannot do, loses its destination and its database, and has every effect exactly once.
 */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { type CloudEvent, type EventType, toCloudEvent } from '../../contracts/events.js';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { createPublishers } from '../../relay/publishers/configured.js';
import { publishUntilTaken } from '../relay/publishers/contract.js';
import { eventually } from '../support/conditions.js';
import { hasSold, knows, sold, type TestConsumer } from './consumer.js';

const ORDERS = process.env['FULL'] === '1' ? 2_000 : 60;
/** Delivered last: where these have arrived, all before them has. Enough for each of Kafka's partitions to get some. */
const LAST = 60;
/** Delivered while its database is away. */
const MORE = 30;
const ALL = ORDERS + MORE + LAST;
const PRICE = 1_001;
/** Types are added: a consumer that does not know one takes the event, has no effect, and goes on. */
const TYPE_OF_TOMORROW = 'shipment.dispatched';
const OUTAGE_MS = 1_500;
/** What each is started with, so that it has to stop reading. */
const BATCH = 20;

export type Driver = {
  name: string;
  consumer: TestConsumer;
  /** @returns an order's id; the feed has orders only that were accepted */
  order?: () => Promise<string>;
  /** Hands them to the destination, each order's in the order given. */
  deliver: (events: CloudEvent[]) => Promise<void>;
  /** Hands it a message whose body no one can read, in the place of this event; a feed has none. */
  deliverBroken?: (event: CloudEvent) => Promise<void>;
  /** All that it was given, once more; unset: `deliver` again. */
  repeat?: () => Promise<void>;
  /** It goes away, and comes back when the time has passed. */
  outage: (duringMs: number) => Promise<void>;
};

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function eventOf(
  orderId: string,
  sequence: number,
  type: string,
  data: object | null,
  occurredAt = new Date(),
): CloudEvent {
  const traceparent = `00-${randomUUID().replaceAll('-', '')}-00f067aa0ba902b7-01`;
  const common = { correlationId: uuidv7(), traceparent, occurredAt };
  return toCloudEvent({ orderId, sequence, type: type as EventType, data, ...common });
}

/** Hands events to a destination by the relay's own publisher. */
export async function publish(env: Record<string, string>, events: CloudEvent[]): Promise<void> {
  const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing';
  const [publisher] = await createPublishers(readConfig(settings, { DATABASE_URL, ...env }));
  if (publisher === undefined) throw new Error('no destination is configured');
  await publishUntilTaken(publisher, events).finally(() => publisher.close());
}

export const orderEvents = (orderId: string, customerReference?: string, currency = 'USD'): CloudEvent[] => [
  eventOf(orderId, 1, 'order.created', {
    orderId,
    ...(customerReference && { customerReference }),
    customerId: 'cus_proof',
  }),
  eventOf(orderId, 2, TYPE_OF_TOMORROW, { orderId }),
  eventOf(orderId, 3, 'order.confirmed', { orderId, total: { amount: PRICE, currency } }),
];

/** Every order's first event, every order's second …: orders lie across each other, each in its own sequence. */
const across = (orders: CloudEvent[][]): CloudEvent[] =>
  [0, 1, 2, 3].flatMap((place) => orders.flatMap((events) => events[place] ?? []));

async function many(driver: Driver, count: number): Promise<CloudEvent[]> {
  const ids = await Promise.all(Array.from({ length: count }, () => newOrder(driver)));
  return across(ids.map((id) => orderEvents(id, randomUUID())));
}

const newOrder = async ({ order }: Driver) => (await order?.()) ?? uuidv7();

/** Orders of which one message is broken, one says too little, and one is in a currency that the consumer cannot book. */
async function poison(driver: Driver): Promise<{ broken: CloudEvent[]; poor: CloudEvent[]; odd: CloudEvent[] }> {
  const [a, b, c] = [await newOrder(driver), await newOrder(driver), await newOrder(driver)];
  const poor = orderEvents(b);
  poor[2] = eventOf(b, 3, 'order.confirmed', { orderId: b });
  const broken = orderEvents(a);
  if (!driver.deliverBroken) broken[1] = eventOf(a, 2, 'order.cancelled', null);
  return {
    broken,
    poor: [...poor, eventOf(b, 4, TYPE_OF_TOMORROW, {})],
    odd: [...orderEvents(c, undefined, 'XXX'), eventOf(c, 4, TYPE_OF_TOMORROW, {})],
  };
}

export async function proveExactlyOnce(driver: Driver): Promise<void> {
  const { consumer, deliver, name } = driver;
  const events = await many(driver, ORDERS);
  const { broken, poor, odd } = await poison(driver);
  const [first, second, ...rest] = broken as [CloudEvent, CloudEvent, CloudEvent];
  const deliverPoison = async () => {
    await deliver([first]);
    await (driver.deliverBroken ?? ((event) => deliver([event])))(second);
    await deliver([...rest, ...poor, ...odd]);
  };
  consumer.start({ BATCH: `${BATCH}` });
  const delivering = deliverPoison().then(() => deliver(events));
  await hasSold(consumer, ORDERS / 4);
  await consumer.kill();
  consumer.start({ BATCH: `${BATCH}` });
  await hasSold(consumer, ORDERS / 3);
  const more = await many(driver, MORE);
  await proveBackPressure(driver, more);
  await delivering;
  await hasSold(consumer, ORDERS / 2);
  await driver.outage(OUTAGE_MS);
  await consumer.kill();
  consumer.start({ BATCH: `${BATCH}` });
  if (driver.repeat) await driver.repeat();
  else await deliverPoison().then(() => deliver(events));
  const last = await many(driver, LAST);
  await deliver(last);
  const all = [...broken, ...poor, ...odd, ...events, ...more, ...last];
  await eventually(`${name} knows all of them`, () => knows(consumer, all), 120_000);
  expect(consumer.isRunning()).toBe(true);
  expect(await sold(consumer)).toEqual({ orders: ALL, amount: PRICE * ALL });
  expectInSequence(consumer);
  await proveReplay(driver, { broken, poor, odd });
  await proveLeave(driver);
  report(driver);
}

/** Its database is away, and its destination has more for it: it waits, with no more in hand than it may have. */
async function proveBackPressure({ consumer, deliver }: Driver, more: CloudEvent[]): Promise<void> {
  await eventually('it has started', async () => (await consumer.figure('consumer_paused')) === 0);
  consumer.link.fail('reset');
  const delivering = deliver(more);
  await eventually('it waits', async () => (await consumer.figure('consumer_paused')) === 1);
  await pause(OUTAGE_MS);
  expect(await consumer.figure('consumer_in_hand')).toBeLessThanOrEqual(BATCH);
  consumer.link.heal();
  await delivering;
}

/** Told to end, it ends well, and what it had is acknowledged: its successor is told nothing of it. */
async function proveLeave(driver: Driver): Promise<void> {
  const { consumer, deliver } = driver;
  expect(await consumer.terminate()).toBe(0);
  const told = consumer.lines.length;
  consumer.start({ BATCH: `${BATCH}` });
  const { orders } = await sold(consumer);
  const events = orderEvents(await newOrder(driver));
  await deliver(events);
  await hasSold(consumer, orders + 1);
  const toldOf = consumer.lines.slice(told).flatMap(({ orderId }) => orderId ?? []);
  expect(new Set(toldOf)).toEqual(new Set([events[0]?.subject]));
  expect(await consumer.terminate()).toBe(0);
}

/** What is dead holds its order only, each letter says why, and a replay has what can be had, in sequence, once. */
async function proveReplay(
  { consumer }: Driver,
  { broken, poor, odd }: { broken: CloudEvent[]; poor: CloudEvent[]; odd: CloudEvent[] },
): Promise<void> {
  const causes = new Map(consumer.deadLetters('list').letters.map(({ id, cause }) => [id, cause.split(':')[0]]));
  const words = (events: CloudEvent[]) => events.map(({ id }) => causes.get(id));
  expect(words(broken)).toEqual([undefined, 'unreadable', 'behind']);
  expect(words(poor)).toEqual([undefined, undefined, 'unreadable', 'behind']);
  expect(words(odd)).toEqual([undefined, undefined, 'failed', 'behind']);
  expect(causes.size).toBe(6);
  // One try more changes nothing: what cannot be read stays, what cannot be done stays, and so does what is behind them.
  const again = consumer.deadLetters('replay', '--all');
  expect([
    again.code,
    again.letters.filter(({ became }) => /^(unreadable|failed|behind)/.test(became)).length >= 6,
  ]).toEqual([1, true]);
  await consumer.query("INSERT INTO currencies VALUES ('XXX')");
  expect(consumer.deadLetters('replay', '--subject', odd[0]?.subject ?? '').code).toBe(0);
  expect(await sold(consumer, 'XXX')).toEqual({ orders: 1, amount: PRICE });
  // Someone gives up what is broken: its order goes on.
  const { orders } = await sold(consumer);
  expect(consumer.deadLetters('discard', '--cause', 'unreadable').code).toBe(0);
  expect(consumer.deadLetters('replay', '--all').code).toBe(0);
  expect(consumer.deadLetters('list').letters).toEqual([]);
  expect((await sold(consumer)).orders).toBe(orders + 1);
  expect(await sold(consumer, 'XXX')).toEqual({ orders: 1, amount: PRICE });
  const { rows } = await consumer.query('SELECT count(*)::int AS held FROM inbox WHERE NOT isempty(held)');
  expect(rows[0].held).toBe(0);
}

/** What had an effect, in the order it had it. A killed one's last lines may be lost, so what is told again says nothing. */
export function expectInSequence({ lines }: TestConsumer): void {
  const seen = new Map<string, number[]>();
  for (const { msg, orderId, sequence } of lines) {
    if (!['processed', 'ignored'].includes(msg) || orderId === undefined || sequence === undefined) continue;
    const numbers = seen.get(orderId) ?? seen.set(orderId, []).get(orderId);
    if (!numbers?.includes(sequence)) numbers?.push(sequence);
  }
  const isAstray = (numbers: number[]) => numbers.some((number, index) => number < (numbers[index - 1] ?? 0));
  const astray = [...seen]
    .filter(([, numbers]) => isAstray(numbers))
    .map(([id]) => lines.filter((each) => each.orderId === id));
  expect(astray).toEqual([]);
}

/** The figures, for those who ask: SHOW_COUNTS=1. */
function report({ name, consumer: { lines, kills } }: Driver): void {
  if (!process.env['SHOW_COUNTS']) return;
  const count = (msg: string) => lines.filter((line) => line.msg === msg).length;
  const words = ['processed', 'ignored', 'duplicate', 'dead', 'behind', 'failed'].map(
    (word) => `${word} ${count(word)}`,
  );
  process.stderr.write(`${name}: ${ALL} orders, killed ${kills}: ${words.join(', ')}\n`);
}
