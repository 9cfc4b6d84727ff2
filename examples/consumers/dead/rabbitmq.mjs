/**
 * Dead letters of RabbitMQ: exchange and quorum queue `orders.dead`. They are published there, with their cause, rather than rejected:
 * RabbitMQ itself would say no more than "rejected". Give the queue `orders` the same exchange by a policy, for what the broker drops:
 * those are listed and replayed as well, but nobody holds what comes behind them.
 */
import { Connection } from 'rabbitmq-client';
import { text } from '../kit/settings.mjs';
import { bodyOf, identityOf } from '../kit/event.mjs';
import { toHeaders, toLetter } from './letter.mjs';

export const RABBIT_SETTINGS = { RABBITMQ_URL: text('amqp://guest:guest@127.0.0.1:5672') };

const PLACE = 'orders.dead';
const KEEP_MS = 30 * 86_400_000;
const CONFIRM_LIMIT_MS = 5_000;
/** From RabbitMQ 4 on a quorum queue drops what was delivered 20 times, unless another number is given; and each look at a letter is a delivery. */
const LOOKS_MAX = 1_000_000;
const QUEUE = {
  queue: PLACE,
  durable: true,
  arguments: { 'x-queue-type': 'quorum', 'x-message-ttl': KEEP_MS, 'x-delivery-limit': LOOKS_MAX },
};
const isTooLarge = (err) => err?.code === 'PRECONDITION_FAILED' && err.message.includes('message size');

export async function openRabbitPlace({ consumer, settings, log }) {
  const connection = new Connection({
    url: settings.RABBITMQ_URL,
    acquireTimeout: CONFIRM_LIMIT_MS,
    connectionTimeout: CONFIRM_LIMIT_MS,
  });
  connection.on('error', (err) => log.warn('RabbitMQ does not answer', { error: err.message })); // it reconnects by itself
  let channel;
  const get = async () => {
    if (channel?.active) return channel;
    const made = await openQueue(connection, QUEUE).catch((err) => {
      if (err.code !== 'PRECONDITION_FAILED') throw err;
      return openQueue(connection, { queue: PLACE, passive: true }); // its operator made it, with options of their own
    });
    await made.confirmSelect();
    channel = made;
    return channel;
  };
  return {
    /** @throws if no queue has it on disk */
    async put(letter) {
      const { headers, body } = { headers: toHeaders(letter, consumer), body: Buffer.from(letter.body) };
      const publishing = (await get()).basicPublish({ exchange: PLACE, durable: true, mandatory: true, headers }, body);
      await within(CONFIRM_LIMIT_MS, publishing);
    },
    isTooLarge,
    async list(limit) {
      const own = await get();
      const letters = [];
      for (let read = 0; read < limit; read++) {
        const message = await own.basicGet({ queue: PLACE });
        if (message === undefined) break;
        const letter = toLetter(message.headers ?? {}, textOf(message), consumer) ?? droppedBy(message);
        if (letter) letters.push({ ...letter, remove: async () => own.basicAck({ deliveryTag: message.deliveryTag }) });
      }
      return letters;
    },
    /** What was read and not removed goes back to the queue. */
    async close() {
      await channel?.close().catch(() => undefined);
      await connection.close();
    },
  };
}

async function openQueue(connection, queue) {
  const channel = await connection.acquire();
  await channel.exchangeDeclare({ exchange: PLACE, type: 'fanout', durable: true });
  await channel.queueDeclare(queue);
  await channel.queueBind({ exchange: PLACE, queue: PLACE });
  return channel;
}

const textOf = ({ body }) => (Buffer.isBuffer(body) || typeof body === 'string' ? `${body}` : bodyOf(body));

/** What RabbitMQ itself has laid here, as it was sent. @returns undefined if it is another consumer's */
function droppedBy({ messageId, headers, ...message }) {
  const [death] = headers?.['x-death'] ?? [];
  if (death === undefined || 'dead-consumer' in headers) return undefined;
  const cause = `dropped: RabbitMQ says ${death.reason}`;
  return { ...identityOf(messageId), cause, headers, body: textOf(message) };
}

async function within(limitMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('RabbitMQ does not confirm')), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
