/** Kafka's example, run as its readers run it: every effect is had exactly once. */
import { expect, test } from '@jest/globals';
import { Admin, compatibilityPartitioner, Consumer, Producer, stringSerializers } from '@platformatic/kafka';
import { v7 as uuidv7 } from 'uuid';
import { eventually } from '../support/conditions.js';
import { type Message, provenWithBroker } from './brokers.js';
import { hasSold, sold } from './consumer.js';
import { eventOf, orderEvents, publish } from './proof.js';

async function send(address: string, { event, headers, body }: Message): Promise<void> {
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [address],
    serializers: stringSerializers,
    partitioner: compatibilityPartitioner, // the relay's, so that it is in its order's partition
  });
  await producer.send({ messages: [{ topic: 'orders', key: event.subject, value: body, headers }] });
  await producer.close();
}

async function doubleTopic(address: string): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [address] });
  const { brokers, topics } = await admin.metadata({ topics: ['orders'] });
  const count = topics.get('orders')?.partitionsCount ?? 0;
  const assignments = Array.from({ length: count }, () => ({ brokerIds: [...brokers.keys()].slice(0, 1) }));
  await admin
    .createPartitions({ topics: [{ name: 'orders', count: 2 * count, assignments }] })
    .finally(() => admin.close());
}

/** As retention does, sooner or later. */
async function removeAll(address: string): Promise<void> {
  const common = { clientId: 'test', bootstrapBrokers: [address] };
  const reader = new Consumer({ ...common, groupId: 'test' });
  const ends = (await reader.listOffsets({ topics: ['orders'] })).get('orders') ?? [];
  await reader.close(true);
  const admin = new Admin(common);
  const partitions = ends.map((offset, partition) => ({ partition, offset }));
  await admin.deleteRecords({ topics: [{ name: 'orders', partitions }] }).finally(() => admin.close());
}

/** What a broker takes by default, less some 100 bytes around it. */
const JUST_FITS = 1_048_588 - 100;
const confirmed = (data: object = { total: { amount: 7, currency: 'USD' } }) =>
  eventOf(uuidv7(), 1, 'order.confirmed', data);

await provenWithBroker('kafka', 'ce_', send, undefined, (parts) => {
  test('a message as large as its broker takes is a dead letter without its body, and what comes behind it goes on', async () => {
    const { broker, consumer } = parts();
    const [large, next] = [confirmed(), confirmed()];
    const { orders } = await sold(consumer);
    const headers = { ce_id: large.id };
    await send(broker.address, { event: large, headers, body: 'x'.repeat(JUST_FITS - 2 * large.id.length) });
    await publish(broker.settings, [next]);
    consumer.start();
    await hasSold(consumer, orders + 1);
    await eventually('it is laid aside', () =>
      consumer.lines.some(({ msg, eventId }) => msg === 'dead' && eventId === large.id),
    );
    const { letters } = consumer.deadLetters('list', '--subject', large.subject);
    expect(letters).toMatchObject([{ id: large.id, cause: expect.stringMatching(/^unreadable.*too large/) }]);
    expect(consumer.deadLetters('discard', '--all').code).toBe(0);
  }, 60_000);

  test('letters that were settled stay in the topic, and are in nobody’s way who looks for open ones', async () => {
    const { broker, consumer } = parts();
    const poor = [1, 2, 3].map(() => confirmed({}));
    consumer.start();
    await publish(broker.settings, poor);
    const died = (id: string) => consumer.lines.some(({ msg, eventId }) => msg === 'dead' && eventId === id);
    await eventually('all are laid aside', () => poor.every(({ id }) => died(id)));
    const seen = poor.flatMap(() => consumer.deadLetters('discard', '--all', '--limit', '1').letters);
    expect(new Set(seen.map(({ id }) => id))).toEqual(new Set(poor.map(({ id }) => id)));
    expect(consumer.deadLetters('list').letters).toEqual([]);
  }, 60_000);

  test('partitions that are added while it runs are read by it, too', async () => {
    const { broker, consumer } = parts();
    const { orders } = await sold(consumer);
    consumer.start();
    await publish(broker.settings, orderEvents(uuidv7()));
    await hasSold(consumer, orders + 1);
    await doubleTopic(broker.address);
    await publish(broker.settings, Array.from({ length: 40 }, () => orderEvents(uuidv7())).flat());
    await hasSold(consumer, orders + 41);
  }, 60_000);

  test('what has left the topic unread stops it, with a sentence, until its operator says to go on', async () => {
    const { broker, consumer } = parts();
    const { orders } = await sold(consumer);
    consumer.start();
    await publish(broker.settings, orderEvents(uuidv7()));
    await hasSold(consumer, orders + 1);
    expect(await consumer.terminate()).toBe(0);
    await publish(broker.settings, Array.from({ length: 20 }, () => orderEvents(uuidv7())).flat());
    await removeAll(broker.address);

    const told = consumer.lines.length;
    consumer.start();
    await eventually('it says so', () =>
      consumer.lines.slice(told).some(({ error }) => `${error}`.includes('have left that it has not read')),
    );
    expect(await consumer.figure('consumer_cut_off')).toBe(1);
    await consumer.terminate();
    consumer.start({ KAFKA_GAP: 'oldest' });
    await publish(broker.settings, orderEvents(uuidv7()));
    await hasSold(consumer, orders + 2);
    await consumer.terminate();
    consumer.start(); // it was passed over for good
    await publish(broker.settings, orderEvents(uuidv7()));
    await hasSold(consumer, orders + 3);
    expect((await sold(consumer)).orders).toBe(orders + 3);
  }, 90_000);

  test('two share the partitions, and one that is killed leaves nothing undone', async () => {
    const { broker, consumer } = parts();
    const { orders } = await sold(consumer);
    consumer.start();
    const second = consumer.beside();
    try {
      const events = Array.from({ length: 60 }, () => orderEvents(uuidv7())).flat();
      const delivering = publish(broker.settings, events);
      await hasSold(consumer, orders + 10);
      await consumer.kill();
      await delivering;
      await hasSold(consumer, orders + 60);
      expect((await sold(consumer)).orders).toBe(orders + 60);
    } finally {
      await second.kill();
    }
  }, 90_000);
});
