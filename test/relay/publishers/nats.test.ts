import { expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, headers } from '@nats-io/transport-node';
import { startBroker } from '../../../testbed/brokers/start.js';
import { createNatsPublisher } from '../../../relay/publishers/nats.js';
import { describeWithBroker } from '../../support/brokers.js';
import { eventually } from '../../support/conditions.js';
import { eventsOf, publishUntilTaken } from './contract.js';
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
    more: (broker) =>
      test('the stream is made with the compression that is set, and a silent server is given up when it is set', async () => {
        const url = broker().address;
        const connection = await connect({ servers: new URL(url).host });
        const manager = await jetstreamManager(connection);
        await manager.streams.delete('orders');
        const publisher = createNatsPublisher(client, { url, create: true, compression: 's2', timeoutMs: 500 });
        await publishUntilTaken(publisher, eventsOf());
        expect((await manager.streams.info('orders')).config.compression).toBe('s2');
        await connection.close();
        broker().pause();
        let tookMs = 0;
        try {
          // The server is stopped a moment after it was told to.
          const outcomes = await eventually('the server is silent', async () => {
            const start = performance.now();
            const answered = await publisher.publish(eventsOf());
            tookMs = performance.now() - start;
            return answered.some(({ outcome }) => outcome === 'unavailable') && answered;
          });
          expect(outcomes.map(({ outcome }) => outcome)).not.toContain('rejected');
          expect(tookMs).toBeLessThan(3_000);
        } finally {
          broker().resume();
        }
        await publisher.close();
      }, 30_000),
  }),
);
