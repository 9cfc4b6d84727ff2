import { expect } from '@jest/globals';
import { Admin, compatibilityPartitioner, Producer } from '@platformatic/kafka';
import { startBroker } from '../../../testbed/brokers/start.js';
import { createKafkaPublisher } from '../../../relay/publishers/kafka.js';
import { describeWithBroker } from '../../support/brokers.js';
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
  }),
);
