/** The tests of contract.ts, as a suite for one broker. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../../contracts/events.js';
import { type Arrival, firstArrivals, readAll } from '../../../testbed/brokers/readers.js';
import type { Broker } from '../../../testbed/brokers/start.js';
import type { Publisher } from '../../../relay/publishers/publisher.js';
import { eventually } from '../../support/conditions.js';
import { eventsOf, expectUnavailable, kinds, manyOrders, publishUntilTaken } from './contract.js';

export type Destination = {
  start: () => Promise<Broker>;
  publisher: (address: string, create: boolean) => Publisher;
  /** Makes by hand what `create: false` wants to find. */
  provide: (address: string) => Promise<void>;
  /** More characters than the broker, as these tests start it, takes in one message. */
  tooLarge: number;
  /** The form of an event on the wire, beside what the reader has made of it. */
  expectForm: (arrival: Arrival, event: CloudEvent) => void;
  /** What only this broker has; run last. */
  more?: (broker: () => Broker) => void;
};

/** What a client waits before it gives a silent broker up, connection and request together, and some for a busy machine. */
const SILENCE_LIMIT_MS = 15_000;
const FULL = process.env['FULL'] === '1';
const ORDERS = FULL ? 2_000 : 150;

export function destinationTests({ start, publisher, provide, tooLarge, expectForm, more }: Destination): void {
  let broker: Broker;
  const open: Publisher[] = [];
  const connect = (create = true) => {
    const made = publisher(broker.address, create);
    open.push(made);
    return made;
  };
  beforeAll(async () => {
    broker = await start();
  }, 120_000);
  afterAll(async () => {
    await Promise.all(open.map((each) => each.close()));
    await broker?.stop();
  }, 30_000);

  test('forbidden to make anything, it says what is missing, and goes on once that is there', async () => {
    const events = eventsOf();
    const strict = connect(false);
    expectUnavailable(await strict.publish(events), /no (topic|stream|exchange) "orders".*BROKER_CREATE=false/);
    await provide(broker.address);
    await publishUntilTaken(strict, events);
    expect(firstArrivals(await readAll(broker))).toEqual(new Map([[events[0]?.subject, [1, 2, 3]]]));
  }, 60_000);

  test('a batch of many orders arrives whole, each order in sequence, each event as CloudEvents has it', async () => {
    const events = manyOrders(60);
    await publishUntilTaken(connect(), events);
    const arrivals = await readAll(broker);
    const orders = firstArrivals(arrivals);
    for (const { subject } of events) expect(orders.get(subject)).toEqual([1, 2, 3]);
    for (const event of events.slice(0, 5)) {
      const arrival = arrivals.find((each) => each.event.id === event.id) as Arrival;
      expect(arrival.event).toEqual(event);
      expectForm(arrival, event);
    }
  }, 60_000);

  test('an event that is too large is rejected, alone: its order stops, the others go on', async () => {
    const [first, large, third] = eventsOf().map((event, index) =>
      index === 1 ? { ...event, data: { padding: 'x'.repeat(tooLarge) } } : event,
    ) as [CloudEvent, CloudEvent, CloudEvent];
    const others = manyOrders(20);
    const outcomes = await connect().publish([first, ...others.slice(0, 30), large, ...others.slice(30), third]);
    const [mine, theirs] = [
      outcomes.filter((_, i) => i === 0 || i === 31 || i === outcomes.length - 1),
      outcomes.slice(1, 31),
    ];
    expect(kinds(mine)).toEqual(['taken', 'rejected', 'not-sent']);
    expect(new Set(kinds([...theirs, ...outcomes.slice(32, -1)]))).toEqual(new Set(['taken']));
    const orders = firstArrivals(await readAll(broker));
    expect(orders.get(first.subject)).toEqual([1]);
    for (const { subject } of others) expect(orders.get(subject)).toEqual([1, 2, 3]);
  }, 60_000);

  test('a broker that is silent is given up in time, and served when it speaks again', async () => {
    const patient = connect();
    await publishUntilTaken(patient, eventsOf());
    const events = manyOrders(100);
    broker.pause();
    const start = performance.now();
    try {
      const outcomes = kinds(await patient.publish(events)); // it may have taken some before it fell silent
      expect(outcomes).toContain('unavailable');
      expect(outcomes).not.toContain('rejected');
      expect(performance.now() - start).toBeLessThan(SILENCE_LIMIT_MS);
    } finally {
      broker.resume();
    }
    await publishUntilTaken(patient, events);
  }, 90_000);

  test(
    'killed and restarted three times amid a stream of events, it has every one, each order in sequence',
    async () => {
      const events = manyOrders(ORDERS, 4);
      let takenCount = 0;
      const publishing = publishUntilTaken(connect(), events, {
        withinMs: 300_000,
        onTaken: (count) => {
          takenCount = count;
        },
      });
      for (const part of [1, 2, 3]) {
        await eventually('some more are taken', () => takenCount >= (events.length * part) / 4, 60_000);
        await broker.kill();
        await broker.start();
      }
      expect(takenCount).toBeLessThan(events.length);
      await publishing;
      const orders = firstArrivals(await readAll(broker));
      for (const { subject } of events.slice(0, ORDERS)) expect(orders.get(subject)).toEqual([1, 2, 3, 4]);
    },
    FULL ? 600_000 : 180_000,
  );

  test('a broker that is away leaves events unavailable at once, lets the publisher close, and is found when it is back', async () => {
    await broker.kill();
    const [events, patient] = [manyOrders(50), connect()];
    const start = performance.now();
    expectUnavailable(await patient.publish(events), /connect|closed|refused|ECONN/i);
    const leaving = connect();
    const publishing = leaving.publish(events);
    await leaving.close();
    expect(kinds(await publishing)).not.toContain('taken');
    expect(performance.now() - start).toBeLessThan(5_000);
    await broker.start();
    await publishUntilTaken(patient, events);
  }, 120_000);

  more?.(() => broker);
}
