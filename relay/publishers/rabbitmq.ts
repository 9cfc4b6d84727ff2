/**
 * RabbitMQ: topic exchange `orders`, routing key = event type, CloudEvents' binary mode, persistent messages, publisher
 * confirms. A quorum queue `orders` takes everything, so that nothing is lost before the first consumer comes.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md
 */
import { setImmediate as afterReturns } from 'node:timers/promises';
import type { Channel, Connection } from 'rabbitmq-client';
import type { CloudEvent } from '../../contracts/events.js';
import { binaryMode } from './cloudevents.js';
import { createLink, withinMs } from './link.js';
import { publishOneByOne } from './one-by-one.js';
import type { Publisher, PublishOutcome } from './publisher.js';

export const EXCHANGE = 'orders';
export const QUEUE = 'orders';

const PARALLEL_MAX = 64;
const CONNECT_LIMIT_MS = 3_000;
/** A broker that has run out of disk or memory says nothing at all. */
const CONFIRM_LIMIT_MS = 5_000;
const HEARTBEAT_SECONDS = 10;

export type RabbitClient = Pick<typeof import('rabbitmq-client'), 'Connection'>;

export type RabbitOptions = {
  /** amqp:// or amqps:// with user:password@host/vhost */
  url: string | (() => string);
  /** Whether to make exchange and queue where there are none. */
  create: boolean;
  /** How long it may take to confirm an event. */
  timeoutMs?: number;
  parallelMax?: number;
};

type SendOutcome = Exclude<PublishOutcome, { outcome: 'not-sent' }>;
/** Ids of messages that no queue wanted. */
type Session = { connection: Connection; channel: Channel; returned: Set<string> };

export function createRabbitPublisher(client: RabbitClient, options: RabbitOptions): Publisher {
  const { timeoutMs = CONFIRM_LIMIT_MS, parallelMax = PARALLEL_MAX } = options;
  const link = createLink((lost) => open(client, options, lost), disconnect);
  const round = (events: readonly CloudEvent[], atATime: number) => {
    let outage: SendOutcome | undefined;
    const send = async (event: CloudEvent): Promise<SendOutcome> => {
      if (outage) return outage; // the others would only wait for the same answer
      return await link
        .use((session) => put(session, event, timeoutMs))
        .then((): SendOutcome => ({ outcome: 'taken' }))
        .catch((error: Error): SendOutcome => {
          if (isRejection(error)) return { outcome: 'rejected', error };
          outage = { outcome: 'unavailable', error };
          return outage;
        });
    };
    return publishOneByOne(events, send, atATime);
  };
  return {
    destination: 'rabbitmq',
    publish: async (events) => {
      const outcomes = await round(events, parallelMax);
      if (!outcomes.some(({ outcome }) => outcome === 'rejected')) return outcomes;
      // RabbitMQ closes the channel over a message without saying over which: sent one by one, the message shows.
      const again = events.filter((_, index) => outcomes[index]?.outcome !== 'taken');
      const alone = (await round(again, 1)).values();
      return outcomes.map((outcome) => (outcome.outcome === 'taken' ? outcome : (alone.next().value ?? outcome)));
    },
    close: () => link.close(),
  };
}

async function disconnect({ connection, channel }: Session): Promise<void> {
  const closing = channel.close().then(() => connection.close());
  await withinMs(DISCONNECT_LIMIT_MS, 'closing the connection', closing).catch(() => undefined);
  connection.unsafeDestroy();
}

/** Less than a link allows, since what then happens at once must still happen. */
const DISCONNECT_LIMIT_MS = 500;

async function open(client: RabbitClient, { url, create }: RabbitOptions, lost: () => void): Promise<Session> {
  const target = new URL(typeof url === 'string' ? url : url());
  if (target.username === '') Object.assign(target, { username: 'guest', password: 'guest' }); // what a bare URL means
  const connection = new client.Connection({
    url: target.href,
    connectionName: 'order-saga-relay',
    heartbeat: HEARTBEAT_SECONDS,
    connectionTimeout: CONNECT_LIMIT_MS,
    acquireTimeout: CONNECT_LIMIT_MS,
  });
  try {
    // A connection reports its failure by an event; waiting for a channel would only end in a timeout.
    const failed = new Promise<never>((_, reject) => connection.on('error', reject));
    const session = await Promise.race([failed, prepare(connection, create)]);
    connection.on('error', lost);
    return session;
  } catch (err) {
    connection.unsafeDestroy();
    throw err;
  }
}

async function prepare(connection: Connection, create: boolean): Promise<Session> {
  await requireExchange(connection, create);
  const channel = await connection.acquire();
  await channel.confirmSelect();
  const returned = new Set<string>();
  channel.on('basic.return', ({ messageId }) => returned.add(`${messageId}`));
  return { connection, channel, returned };
}

async function put({ channel, returned }: Session, event: CloudEvent, timeoutMs: number): Promise<void> {
  const { contentType, attributes, body } = binaryMode(event, 'cloudEvents:');
  const envelope = {
    exchange: EXCHANGE,
    routingKey: event.type,
    mandatory: true, // RabbitMQ confirms what it has thrown away because no queue wanted it
    durable: true,
    messageId: event.id,
    type: event.type,
    contentType,
    headers: attributes,
  };
  await withinMs(timeoutMs, 'RabbitMQ’s confirmation', channel.basicPublish(envelope, body));
  await afterReturns(); // the return comes before the confirmation, but the client emits it a moment later
  if (returned.delete(event.id)) throw new Error(`no queue is bound to RabbitMQ’s exchange "${EXCHANGE}"`);
}

/** Too large: the one rejection of a message that this publisher can cause. */
const isRejection = (error: Error & { code?: string }): boolean =>
  error.code === 'PRECONDITION_FAILED' && error.message.includes('message size');

async function requireExchange(connection: Connection, create: boolean): Promise<void> {
  const hasExchange = await exists(connection, (channel) =>
    channel.exchangeDeclare({ exchange: EXCHANGE, type: 'topic', passive: true }),
  );
  if (!create) {
    // Queues are then made by the broker's operator; whether there is one shows when a message comes back.
    if (!hasExchange)
      throw new Error(`RabbitMQ has no exchange "${EXCHANGE}", and BROKER_CREATE=false forbids making it`);
    return;
  }
  const hasQueue = await exists(connection, (channel) => channel.queueDeclare({ queue: QUEUE, passive: true }));
  const channel = await connection.acquire();
  try {
    if (!hasExchange) await channel.exchangeDeclare({ exchange: EXCHANGE, type: 'topic', durable: true });
    if (!hasQueue) await channel.queueDeclare({ queue: QUEUE, durable: true, arguments: QUEUE_ARGUMENTS });
    await channel.queueBind({ exchange: EXCHANGE, queue: QUEUE, routingKey: '#' });
  } finally {
    await channel.close();
  }
}

const QUEUE_ARGUMENTS = {
  'x-queue-type': 'quorum', // a confirmation means that a majority has it on disk
  'x-single-active-consumer': true, // two at a time would overtake each other
} as const;

/** Asking costs the channel if the answer is no; declaring anew would complain of every difference. */
async function exists(connection: Connection, ask: (channel: Channel) => Promise<unknown>): Promise<boolean> {
  const channel = await connection.acquire();
  try {
    await ask(channel);
    return true;
  } catch (err) {
    if ((err as { code?: string }).code === 'NOT_FOUND') return false;
    throw err;
  } finally {
    await channel.close();
  }
}
