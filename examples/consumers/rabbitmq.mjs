/**
 * RabbitMQ → effects, exactly once. RABBITMQ_URL=amqp://guest:guest@127.0.0.1 DATABASE_URL=… node examples/consumers/rabbitmq.mjs
 * An error ends the program; what it had not acknowledged goes back to where it was in the queue.
 */
import { Connection } from 'rabbitmq-client';
import { openInbox } from './inbox.mjs';
import { processed } from './tracing.mjs';

const once = await openInbox('rabbitmq');
const connection = new Connection(process.env.RABBITMQ_URL);
connection.on('error', (err) => process.stderr.write(`${err.message}\n`)); // it reconnects by itself
const options = {
  queue: 'orders',
  queueOptions: { passive: true }, // it is there, with its own options
  qos: { prefetchCount: 1 }, // one at a time: a second one in flight could overtake the first
};
const consumer = connection.createConsumer(options, async (message) => {
  await processed(toEvent(message), once).catch(fail); // it is acknowledged when this function returns, after the effect
});
consumer.on('error', (err) => process.stderr.write(`${err.message}\n`)); // the queue may not be there yet

/** Giving the message back would send it behind its successors. */
function fail(err) {
  process.stderr.write(`${err.stack}\n`);
  process.exit(1);
}

/** CloudEvents' binary mode: attributes in headers that begin with `cloudEvents:`, data in the body. */
function toEvent({ headers, body }) {
  const attributes = Object.entries(headers).map(([name, value]) => [name.replace('cloudEvents:', ''), value]);
  return { ...Object.fromEntries(attributes), data: body };
}
