/**
 * RabbitMQ → effects, exactly once. RABBITMQ_URL=amqp://guest:guest@127.0.0.1 DATABASE_URL=… node examples/consumers/rabbitmq.mjs
 * The queue `orders` has a single active consumer: a second one of these stands by.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import { openRabbitPlace, RABBIT_SETTINGS } from './dead/rabbitmq.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { bodyOf } from './kit/event.mjs';
import { wordsOf } from './kit/log.mjs';

const QUEUE = 'orders';
const LOOK_EVERY_MS = 5_000;
const FLUSH_MS = 200;

const kit = await startConsumer('rabbitmq', RABBIT_SETTINGS, openRabbitPlace);
const connection = new Connection({ url: kit.settings.RABBITMQ_URL, retryHigh: 5_000 });
const complain = (err) => {
  kit.metrics.cutOff.set(1);
  kit.log.warn('RabbitMQ does not answer', { error: wordsOf(err) });
};
connection.on('error', complain); // it reconnects by itself
const options = {
  queue: QUEUE,
  queueOptions: { passive: true }, // it is there, with its own options
  qos: { prefetchCount: kit.settings.BATCH }, // back-pressure: with so many in hand the broker sends no more
};
// What it returns is acknowledged: after the effect; lost, it only brings the message again. One that is not had when this ends is
// neither acknowledged nor given back, which would send it behind its successors: it goes back to its place when the connection ends.
const consumer = connection.createConsumer(options, (message) => kit.take(toMessage(message)).catch(neverAnswer));
consumer.on('error', complain); // the queue may not be there yet
consumer.on('ready', () => kit.metrics.cutOff.set(0));
kit.leave = async () => {
  await pause(FLUSH_MS); // for the last acknowledgements
  connection.unsafeDestroy();
};
void lookAtLag();

function neverAnswer(err) {
  kit.failed(err);
  return new Promise(() => undefined);
}

async function lookAtLag() {
  while (!kit.stopping.aborted) {
    await connection.queueDeclare({ queue: QUEUE, passive: true }).then(
      ({ messageCount }) => kit.metrics.lag.set(messageCount),
      () => undefined, // said already
    );
    await pause(LOOK_EVERY_MS, undefined, { ref: false });
  }
}

/**
 * CloudEvents' binary mode: attributes in headers that begin with `cloudEvents:`, data in the body, which the client has parsed if its
 * type is JSON's. This must not throw: the client would give the message back to the queue, at once and without an end.
 */
function toMessage({ headers, messageId, body }) {
  const isRaw = Buffer.isBuffer(body) || typeof body === 'string';
  return { id: messageId, headers: headers ?? {}, body: isRaw ? `${body}` : bodyOf(body) };
}
