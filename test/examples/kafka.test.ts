/** Kafka's example, run as its readers run it: every effect is had exactly once. */
import { compatibilityPartitioner, Producer, stringSerializers } from '@platformatic/kafka';
import { provenWithBroker } from './brokers.js';

await provenWithBroker('kafka', 'ce_', async (address, { event, headers, body }) => {
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [address],
    serializers: stringSerializers,
    partitioner: compatibilityPartitioner, // the relay's, so that it is in its order's partition
  });
  await producer.send({ messages: [{ topic: 'orders', key: event.subject, value: body, headers }] });
  await producer.close();
});
