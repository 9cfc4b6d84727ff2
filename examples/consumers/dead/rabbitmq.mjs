/**
 * Dead letters of RabbitMQ: exchange and quorum queue `orders.dead`. They are published there, with their cause, rather than rejected:
 * RabbitMQ itself would say no more than "rejected". Give the queue `orders` the same exchange by a policy, for what the broker drops.
 */
import { Connection } from 'rabbitmq-client';
import { text } from '../kit/settings.mjs';
import { toHeaders, toLetter } from './letter.mjs';

export const RABBIT_SETTINGS = { RABBITMQ_URL: text('amqp://guest:guest@127.0.0.1:5672') };

const PLACE = 'orders.dead';
const KEEP_MS = 30 * 86_400_000;
const CONFIRM_LIMIT_MS = 5_000;
const QUEUE = { queue: PLACE, durable: true, arguments: { 'x-queue-type': 'quorum', 'x-message-ttl': KEEP_MS } };

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
    const made = await connection.acquire();
    await made.exchangeDeclare({ exchange: PLACE, type: 'fanout', durable: true });
    await made.queueDeclare(QUEUE);
    await made.queueBind({ exchange: PLACE, queue: PLACE });
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
    async list(limit) {
      const own = await get();
      const letters = [];
      for (let read = 0; read < limit; read++) {
        const message = await own.basicGet({ queue: PLACE });
        if (message === undefined) break;
        const letter = toLetter(message.headers ?? {}, `${message.body}`, consumer);
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

async function within(limitMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('RabbitMQ does not confirm')), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
