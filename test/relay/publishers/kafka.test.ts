import { expect, test } from '@jest/globals';
import { Admin, compatibilityPartitioner, ConfigResourceTypes, Producer } from '@platformatic/kafka';
import { readAll } from '../../../testbed/brokers/readers.js';
import { startBroker } from '../../../testbed/brokers/start.js';
import { createKafkaPublisher } from '../../../relay/publishers/kafka.js';
import { describeWithBroker } from '../../support/brokers.js';
import { manyOrders, publishUntilTaken } from './contract.js';
import { destinationTests } from './destinations.js';

const client = { Admin, compatibilityPartitioner, Producer };

await describeWithBroker('kafka', () =>
  destinationTests({
    start: () => startBroker('kafka', { 'message.max.bytes': '20000' }),
    publisher: (address, create) => createKafkaPublisher(client, { brokers: [address], tls: false, create }),
    provide: async (address) => {
      const admin = new Admin({ clientId: 'test', bootstrapBrokers: [address] });
      await admin.createTopics({ topics: ['orders'], partitions: 4, replicas: 1 });
      await admin.close();
    },
    tooLarge: 20_000,
    expectForm: ({ message }, event) => {
      expect(message.key).toBe(event.subject);
      expect(message.headers).toEqual({
        'content-type': 'application/json',
        ce_specversion: '1.0',
        ce_id: event.id,
        ce_source: event.source,
        ce_type: event.type,
        ce_subject: event.subject,
        ce_time: event.time,
        ce_dataschema: event.dataschema,
        ce_sequence: `${event.sequence}`,
        ce_correlationid: event.correlationid,
        ce_traceparent: event.traceparent,
      });
      expect(JSON.parse(message.body)).toEqual(event.data);
    },
    more: (broker) => {
      test('the topic that it makes keeps events for as long as the outbox does', async () => {
        const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker().address] });
        await admin.deleteTopics({ topics: ['orders'] });
        const publisher = createKafkaPublisher(client, { brokers: [broker().address], tls: false, create: true });
        await publishUntilTaken(publisher, manyOrders(1));
        await publisher.close();
        const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: 'orders' };
        const [topic] = await admin.describeConfigs({ resources: [resource] });
        await admin.close();
        expect(topic?.configs.find(({ name }) => name === 'retention.ms')?.value).toBe(`${30 * 86_400_000}`);
      }, 30_000);

      test.each([
        ['gzip', 'all'],
        ['snappy', 'all'],
        ['lz4', 'leader'],
      ] as const)(
        'what is sent with %s, acknowledged by %s, in small batches, arrives as it was',
        async (compression, acks) => {
          const events = manyOrders(20);
          const options = {
            brokers: [broker().address],
            tls: false,
            create: true,
            batchBytesMax: 16_384,
            timeoutMs: 5_000,
          };
          const publisher = createKafkaPublisher(client, { ...options, compression, acks });
          await publishUntilTaken(publisher, events);
          await publisher.close();
          const arrived = new Map((await readAll(broker())).map(({ event }) => [event.id, event]));
          expect(events.map(({ id }) => arrived.get(id))).toEqual(events);
        },
      );
    },
  }),
);
