import { expect } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, headers } from '@nats-io/transport-node';
import { startBroker } from '../../../testbed/brokers/start.js';
import { createNatsPublisher } from '../../../relay/publishers/nats.js';
import { describeWithBroker } from '../../support/brokers.js';
import { destinationTests } from './destinations.js';

const client = { connect, credsAuthenticator, headers, jetstreamManager };

await describeWithBroker('nats', () =>
  destinationTests({
    start: () => startBroker('nats', { max_payload: '20000' }),
    publisher: (url, create) => createNatsPublisher(client, { url, create }),
    provide: async (url) => {
      const connection = await connect({ servers: new URL(url).host });
      const manager = await jetstreamManager(connection);
      await manager.streams.add({ name: 'orders', subjects: ['orders.>'] });
      await connection.close();
    },
    tooLarge: 20_000,
    expectForm: ({ message }, event) => {
      expect(message.key).toBe(`orders.${event.type}`);
      expect(message.headers).toMatchObject({
        'content-type': 'application/cloudevents+json; charset=UTF-8',
        'Nats-Msg-Id': event.id,
      });
      expect(JSON.parse(message.body)).toEqual(event);
    },
  }),
);
