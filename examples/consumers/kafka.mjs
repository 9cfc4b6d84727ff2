/**
 * Kafka → effects, exactly once. KAFKA_BROKERS=127.0.0.1:9092 DATABASE_URL=… node examples/consumers/kafka.mjs
 * An error ends the program; whoever restarts it starts after the last committed offset, so nothing is skipped.
 */
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka';
import { openInbox } from './inbox.mjs';
import { processed } from './tracing.mjs';

const once = await openInbox('kafka');
const consumer = new Consumer({
  clientId: 'sales',
  groupId: 'sales',
  sessionTimeout: 6_000, // how long one that was killed keeps its partitions
  heartbeatInterval: 1_000,
  bootstrapBrokers: process.env.KAFKA_BROKERS.split(','),
  deserializers: stringDeserializers,
});
const messages = await consumer.consume({
  topics: ['orders'],
  mode: MessagesStreamModes.COMMITTED,
  fallbackMode: MessagesStreamFallbackModes.EARLIEST,
  autocommit: false,
});
for await (const message of messages) {
  await processed(toEvent(message), once);
  await message.commit(); // after the effect; lost, it only brings the message again
}

/** CloudEvents' binary mode: attributes in headers that begin with `ce_`, data in the value. */
function toEvent({ headers, value }) {
  const attributes = [...headers]
    .filter(([name]) => name.startsWith('ce_'))
    .map(([name, text]) => [name.slice(3), text]);
  return { ...Object.fromEntries(attributes), data: JSON.parse(value) };
}
