import { expect, test } from '@jest/globals';
import { Connection } from 'rabbitmq-client';
import { startBroker } from '../../../testbed/brokers/start.js';
import { createRabbitPublisher } from '../../../relay/publishers/rabbitmq.js';
import { describeWithBroker } from '../../support/brokers.js';
import { eventsOf, expectUnavailable, publishUntilTaken } from './contract.js';
import { destinationTests } from './destinations.js';

await describeWithBroker('rabbitmq', () =>
  destinationTests({
    start: () => startBroker('rabbitmq', { max_message_size: '20000' }),
    publisher: (url, create) => createRabbitPublisher({ Connection }, { url, create }),
    provide: async (url) => {
      const connection = new Connection({ url });
      const channel = await connection.acquire();
      await channel.exchangeDeclare({ exchange: 'orders', type: 'topic', durable: true });
      await channel.queueDeclare({ queue: 'orders', durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await channel.queueBind({ exchange: 'orders', queue: 'orders', routingKey: '#' });
      await channel.close();
      await connection.close();
    },
    tooLarge: 20_000,
    expectForm: ({ message }, event) => {
      expect(message.key).toBe(event.type);
      expect(message.headers).toEqual({
        'content-type': 'application/json',
        'message-id': event.id,
        'cloudEvents:specversion': '1.0',
        'cloudEvents:id': event.id,
        'cloudEvents:source': event.source,
        'cloudEvents:type': event.type,
        'cloudEvents:subject': event.subject,
        'cloudEvents:time': event.time,
        'cloudEvents:dataschema': event.dataschema,
        'cloudEvents:sequence': event.sequence,
        'cloudEvents:correlationid': event.correlationid,
        'cloudEvents:traceparent': event.traceparent,
      });
      expect(JSON.parse(message.body)).toEqual(event.data);
    },
    more: (broker) => {
      test('an event that no queue wants is not taken, although RabbitMQ confirms it', async () => {
        const connection = new Connection({ url: broker().address });
        const strict = createRabbitPublisher({ Connection }, { url: broker().address, create: false });
        const [binding, events] = [{ exchange: 'orders', queue: 'orders', routingKey: '#' }, eventsOf()];
        try {
          await connection.queueUnbind(binding);
          expectUnavailable(await strict.publish(events), /no queue is bound/);
          await connection.queueBind(binding);
          await publishUntilTaken(strict, events);
        } finally {
          await Promise.all([strict.close(), connection.close()]);
        }
      }, 60_000);
    },
  }),
);
