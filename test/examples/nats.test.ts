/** NATS' example, run as its readers run it: every effect is had exactly once. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { provenWithBroker } from './brokers.js';

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
);
