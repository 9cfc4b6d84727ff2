/** RabbitMQ's example, run as its readers run it: every effect is had exactly once. */
import { Connection } from 'rabbitmq-client';
import { provenWithBroker } from './brokers.js';

await provenWithBroker('rabbitmq', 'cloudEvents:', async (address, { event, headers, body }) => {
  const connection = new Connection(address);
  const publisher = connection.createPublisher({ confirm: true });
  const about = { messageId: event.id, contentType: 'application/json', durable: true };
  await publisher.send({ exchange: 'orders', routingKey: event.type, ...about, headers }, Buffer.from(body));
  await publisher.close();
  await connection.close();
});
