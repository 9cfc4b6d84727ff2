/** NATS' example, run as its readers run it: every effect is had exactly once. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import type { CloudEvent } from '../../contracts/events.js';
import { eventually } from '../support/conditions.js';
import { provenWithBroker } from './brokers.js';
import { hasSold, knows, sold } from './consumer.js';
import { eventOf, expectInSequence, orderEvents, publish } from './proof.js';

async function withConnection(address: string, work: (connection: NatsConnection) => Promise<unknown>): Promise<void> {
  const connection = await connect({ servers: new URL(address).host });
  await work(connection).finally(() => connection.close());
}

await provenWithBroker(
  'nats',
  '',
  (address, { event, body }) =>
    withConnection(address, async (connection) => {
      const manager = await jetstreamManager(connection);
      await manager.jetstream().publish(`orders.${event.type}`, body, { msgID: event.id });
    }),
  // The stream itself drops what is published twice within 2 min; here, only the inbox may.
  (address) =>
    withConnection(address, async (connection) =>
      (await jetstreamManager(connection)).streams.update('orders', { duplicate_window: 100 * 1e6 }),
    ),
  (parts) => {
    test('started with another BATCH, it reads on', async () => {
      const { broker, consumer } = parts();
      const { orders } = await sold(consumer);
      for (const [index, BATCH] of ['30', '10'].entries()) {
        consumer.start({ BATCH });
        await publish(broker.settings, orderEvents(uuidv7()));
        await hasSold(consumer, orders + 1 + index);
        await consumer.terminate();
      }
    }, 60_000);

    test('a message as large as its broker takes is a dead letter without its body, and others go on', async () => {
      const { broker, consumer } = parts();
      const { orders } = await sold(consumer);
      const large = eventOf(uuidv7(), 1, 'order.confirmed', {});
      await withConnection(broker.address, async (connection) => {
        const body = 'x'.repeat((connection.info?.max_payload ?? 0) - 100); // beside the id
        const manager = await jetstreamManager(connection);
        await manager.jetstream().publish(`orders.${large.type}`, body, { msgID: large.id });
      });
      await publish(broker.settings, orderEvents(uuidv7()));
      consumer.start();
      await hasSold(consumer, orders + 1);
      const { letters } = await eventually('it is laid aside', () => {
        const listed = consumer.deadLetters('discard', '--subject', large.subject);
        return listed.letters.length > 0 && listed;
      });
      expect(letters).toMatchObject([{ id: large.id, cause: expect.stringMatching(/^unreadable.*too large/) }]);
    }, 60_000);

    test('a place for dead letters that its operator has made otherwise is used as it is', async () => {
      const { broker, consumer } = parts();
      await withConnection(broker.address, async (connection) =>
        (await jetstreamManager(connection)).streams.update('orders_dead', { max_age: 86_400 * 1e9 }),
      );
      const poor = eventOf(uuidv7(), 1, 'order.confirmed', {});
      consumer.start();
      await publish(broker.settings, [poor]);
      await eventually('it is laid aside', () =>
        consumer.lines.some(({ msg, eventId }) => msg === 'dead' && eventId === poor.id),
      );
      expect(consumer.deadLetters('discard', '--all').letters).toMatchObject([{ id: poor.id }]);
    }, 60_000);

    test('durable, stream and place for dead letters are removed while it reads: it says so, and goes on when they are there again', async () => {
      const { broker, consumer } = parts();
      const { orders } = await sold(consumer);
      const remove = (what: (manager: JetStreamManager) => Promise<unknown>) =>
        withConnection(broker.address, async (connection) => what(await jetstreamManager(connection)));
      const [poor, another] = [1, 2].map(() => eventOf(uuidv7(), 1, 'order.confirmed', {})) as [CloudEvent, CloudEvent];
      const isLaidAside = ({ id }: CloudEvent) =>
        eventually('it is laid aside', () =>
          consumer.lines.some(({ msg, eventId }) => msg === 'dead' && eventId === id),
        );
      consumer.start();
      await publish(broker.settings, [another, ...orderEvents(uuidv7())]);
      await hasSold(consumer, orders + 1);
      await isLaidAside(another);

      await remove((manager) => manager.consumers.delete('orders', 'sales'));
      await publish(broker.settings, orderEvents(uuidv7()));
      await hasSold(consumer, orders + 2);

      await remove((manager) => manager.streams.delete('orders'));
      await eventually('it says that it is cut off', async () => (await consumer.figure('consumer_cut_off')) === 1);
      await remove((manager) => manager.streams.delete('orders_dead'));
      await publish(broker.settings, [poor, ...orderEvents(uuidv7())]);
      await hasSold(consumer, orders + 3);
      expect(await consumer.figure('consumer_cut_off')).toBe(0);
      await isLaidAside(poor);
      expect(consumer.deadLetters('discard', '--all').letters).toMatchObject([{ id: poor.id }]);
    }, 60_000);

    test('a second one stands by, and goes on when the first is killed, each order in sequence', async () => {
      const { broker, consumer } = parts();
      const before = await sold(consumer);
      consumer.start({ BATCH: '30' });
      await publish(broker.settings, orderEvents(uuidv7()));
      await hasSold(consumer, before.orders + 1);
      const second = consumer.beside({ BATCH: '30' });
      // Confirmed and then cancelled: in another order, what was sold would stay.
      const taken = Array.from({ length: 40 }, () => {
        const events = orderEvents(uuidv7());
        return [...events, eventOf(events[0]?.subject ?? '', 4, 'order.cancelled', {})];
      });
      const delivering = publish(broker.settings, taken.flat());
      await eventually('it is amid them', () => consumer.lines.some((line) => line.orderId === taken[5]?.[0]?.subject));
      expect(second.lines.filter(({ orderId }) => orderId)).toEqual([]);
      await consumer.kill();
      await delivering;
      const last = orderEvents(uuidv7());
      await publish(broker.settings, last);
      await eventually('all are had', () => knows(consumer, [...taken.flat(), ...last]), 60_000);
      expect((await sold(consumer)).orders).toBe(before.orders + 2);
      expectInSequence(consumer);
      await second.kill();
    }, 90_000);
  },
);
