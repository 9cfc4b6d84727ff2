/** What a broker holds, read by its own client as any consumer would, and put back into CloudEvents' structured form. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Admin, Consumer, ListOffsetTimestamps, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka';
import { type AsyncMessage, Connection } from 'rabbitmq-client';
import type { CloudEvent } from '../../contracts/events.js';
import type { BrokerName } from './programs.js';
import type { Broker } from './start.js';

/** A message as it lies there: for tests of the form. */
export type Message = {
  headers: Record<string, unknown>;
  key: string;
  body: string;
  /** Of Kafka: which partition it lies in, and the time that its topic keeps. */
  lies?: { partition: number; at: number };
};
export type Arrival = { event: CloudEvent; message: Message };

const READERS: Record<BrokerName, (address: string) => Promise<Message[]>> = {
  kafka: readKafka,
  nats: readNats,
  rabbitmq: readRabbit,
};

/** Everything that has ever arrived, in the order of arrival (of Kafka: per partition). RabbitMQ's queue is left as it was. */
export async function readAll(broker: Pick<Broker, 'name' | 'address'>): Promise<Arrival[]> {
  const messages = await READERS[broker.name](broker.address);
  return messages.map((message) => ({ event: toEvent(message), message }));
}

/** Per order, the sequence of each event's first arrival. */
export function firstArrivals(arrivals: Arrival[]): Map<string, number[]> {
  const orders = new Map<string, number[]>();
  for (const { event } of arrivals) {
    const sequences = orders.get(event.subject) ?? [];
    if (!sequences.includes(event.sequence)) sequences.push(event.sequence);
    orders.set(event.subject, sequences);
  }
  return orders;
}

function toEvent({ headers, body }: Message): CloudEvent {
  if (`${headers['content-type']}`.startsWith('application/cloudevents+json')) return JSON.parse(body) as CloudEvent;
  const attributes = Object.entries(headers).flatMap(([name, value]) => {
    const attribute = /^(?:ce_|cloudEvents:)(.*)$/.exec(name)?.[1];
    return attribute === undefined ? [] : [[attribute, value]];
  });
  const event = Object.fromEntries(attributes) as CloudEvent;
  return {
    ...event,
    sequence: Number(event.sequence),
    datacontenttype: headers['content-type'] as 'application/json',
    data: JSON.parse(body),
  };
}

async function readKafka(address: string): Promise<Message[]> {
  const common = { clientId: 'test', bootstrapBrokers: [address], retries: 10 };
  const admin = new Admin(common);
  const { topics } = await admin.metadata({ topics: ['orders'] });
  const partitions = Array.from({ length: topics.get('orders')?.partitionsCount ?? 0 }, (_, partitionIndex) => ({
    partitionIndex,
    timestamp: ListOffsetTimestamps.LATEST,
  }));
  const [ends] = await admin.listOffsets({ topics: [{ name: 'orders', partitions }] });
  await admin.close();
  let missing = ends?.partitions.reduce((sum, { offset }) => sum + Number(offset), 0) ?? 0;
  const messages: Message[] = [];
  if (missing === 0) return messages;
  const consumer = new Consumer({ ...common, groupId: `test-${Math.random()}`, deserializers: stringDeserializers });
  const stream = await consumer.consume({ topics: ['orders'], mode: MessagesStreamModes.EARLIEST, maxWaitTime: 100 });
  for await (const { headers, key, value, partition, timestamp } of stream) {
    const lies = { partition, at: Number(timestamp) };
    messages.push({ headers: Object.fromEntries(headers), key, body: value, lies });
    missing -= 1;
    if (missing === 0) break;
  }
  await consumer.close(true);
  return messages;
}

async function readNats(address: string): Promise<Message[]> {
  const { host, username, password } = new URL(address);
  const connection = await connect({ servers: host, ...(username && { user: username, pass: password }) });
  const messages: Message[] = [];
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info('orders');
  const consumer = await manager.jetstream().consumers.get('orders');
  while (messages.length < state.messages) {
    for await (const each of await consumer.fetch({ max_messages: 1_000, expires: 1_000 })) {
      const headers = Object.fromEntries(each.headers?.keys().map((name) => [name, each.headers?.get(name)]) ?? []);
      messages.push({ headers, key: each.subject, body: each.string() });
    }
  }
  await connection.close();
  return messages;
}

/** A quorum queue gives one consumer 2,000 messages at most that are not acknowledged: so one consumer after the other. */
const RABBIT_PAGE = 1_000;

async function readRabbit(address: string): Promise<Message[]> {
  const connection = new Connection({ url: address });
  const channel = await connection.acquire();
  const { messageCount } = await channel.queueDeclare({ queue: 'orders', passive: true });
  await channel.basicQos({ prefetchCount: RABBIT_PAGE });
  const messages: Message[] = [];
  while (messages.length < messageCount) {
    const pageEnd = Math.min(messages.length + RABBIT_PAGE, messageCount);
    const consumerTag = `test-${pageEnd}`;
    await new Promise<void>((resolve, reject) => {
      const take = (message: AsyncMessage) => {
        messages.push(toMessage(message));
        if (messages.length === pageEnd) resolve();
      };
      channel.basicConsume({ queue: 'orders', consumerTag }, take).catch(reject);
    });
    await channel.basicCancel({ consumerTag });
  }
  await channel.close(); // nothing was acknowledged: it all goes back
  await connection.close();
  return messages;
}

function toMessage({ headers, contentType, routingKey, messageId, body }: AsyncMessage): Message {
  const { 'x-delivery-count': _, ...attributes } = headers ?? {};
  const text = Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body);
  return {
    headers: { ...attributes, 'content-type': contentType, 'message-id': messageId },
    key: routingKey,
    body: text,
  };
}
