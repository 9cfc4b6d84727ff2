/**
 * NATS JetStream → effects, exactly once. NATS_URL=nats://127.0.0.1:4222 DATABASE_URL=… node examples/consumers/nats.mjs
 * An error ends the program; what it had not acknowledged comes again after `ack_wait`.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { openInbox } from './inbox.mjs';
import { processed } from './tracing.mjs';

const once = await openInbox('nats');
const connection = await connect({ servers: new URL(process.env.NATS_URL).host });
const manager = await jetstreamManager(connection);
await manager.consumers.add('orders', {
  durable_name: 'sales',
  ack_policy: 'explicit',
  ack_wait: 5_000 * 1e6, // nanoseconds; longer than an effect takes
  max_ack_pending: 1, // one at a time: a second one in flight could overtake the first
});
const consumer = await manager.jetstream().consumers.get('orders', 'sales');
for await (const message of await consumer.consume()) {
  await processed(message.json(), once); // CloudEvents' structured mode: the message is the event
  message.ack(); // after the effect; lost, it only brings the message again
}
