/**
 * Kafka: topic `orders`, CloudEvents' binary mode, key = order id, so that an order's events share a partition and keep
 * their order. Sent in batches, `acks=all` unless KAFKA_ACKS says otherwise.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
 */
import type { BaseOptions, Producer } from '@platformatic/kafka';
import type { CloudEvent } from '../../contracts/events.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { binaryMode } from './cloudevents.js';
import { createLink } from './link.js';
import { publishOneByOne } from './one-by-one.js';
import type { OnMade, Publisher, PublishOutcome } from './publisher.js';

export const TOPIC = 'orders';

/** Beyond any number of consumers that an order service has; more can be added, but then keys move (docs/destinations.md). */
const PARTITIONS = 12;
/** As long as the outbox keeps what was published; Kafka's own default is a week. */
const KEEP_MS = 30 * 86_400_000;
/** What survives the loss of one broker, where there are enough of them. */
const REPLICAS_MAX = 3;
/** Each for itself; together they stay below the relay's lease and what a stopping process may take. */
const CONNECT_LIMIT_MS = 3_000;
/** The broker's own limit for its replicas is shorter than ours for its answer: it says then what is missing. */
const REQUEST_BEYOND_ACK_MS = 1_000;
const ACK_LIMIT_MS = 5_000;
/** Kafka limits batches, not messages (1 MB by default): what is small enough alone must not be too large together. */
const BATCH_BYTES_MAX = 256 * 1024;
const ACKS_OF_LEADER = 1;

/** MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP, INVALID_RECORD: the messages are at fault, not the broker. */
const REJECTION_CODES = [10, 18, 32, 87];

export type KafkaClient = Pick<typeof import('@platformatic/kafka'), 'Admin' | 'Producer' | 'compatibilityPartitioner'>;

export type KafkaOptions = {
  /** host:port */
  brokers: string[];
  tls: boolean;
  /** The password is asked for with each connection. */
  sasl?: { mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; username: string; password: () => string };
  /** Whether to make the topic where there is none. */
  create: boolean;
  /** How long it may take to acknowledge a batch. */
  timeoutMs?: number;
  batchBytesMax?: number;
  compression?: 'none' | 'gzip' | 'snappy' | 'lz4';
  /** `leader`: what only it has is lost with it; and without all replicas Kafka knows no repetition by the producer's numbers. */
  acks?: 'all' | 'leader';
  onMade?: OnMade;
};

type Message = { topic: string; key: Buffer; value: Buffer; headers: Map<Buffer, Buffer> };

export function createKafkaPublisher(client: KafkaClient, options: KafkaOptions): Publisher {
  const { batchBytesMax = BATCH_BYTES_MAX } = options;
  const common = commonOptions(options);
  const link = createLink(
    async () => {
      const producer = new client.Producer({
        ...common,
        ...(options.acks === 'leader' ? { acks: ACKS_OF_LEADER } : { idempotent: true }), // and with it acks=all
        compression: options.compression ?? 'none',
        partitioner: client.compatibilityPartitioner, // as Java's, so that other topics with this key can be joined
      });
      try {
        await requireTopic(client, producer, common, options);
        return producer;
      } catch (err) {
        await producer.close().catch(() => undefined);
        throw err;
      }
    },
    (producer) => producer.close(),
  );

  /** @throws what Kafka says of the batch, or that it says nothing */
  const send = async (events: readonly CloudEvent[]): Promise<void> => {
    // A producer whose request failed must be forgotten, as a link does: it does not count what that request may have
    // written, gives the same sequence numbers to the next batch, and Kafka takes that batch for a repetition of the first,
    // acknowledges it and throws it away.
    await link.use((producer) => producer.send({ messages: events.map(toMessage) }));
  };
  const sendAlone = (event: CloudEvent) => send([event]).then(taken, outcomeOf);

  let previous: Promise<unknown> = Promise.resolve();
  return {
    destination: 'kafka',
    publish: (events) => {
      // A second request in flight would have the sequence numbers of the first.
      const publishing = previous.then(() =>
        publishInBatches(inBatches(events, batchBytesMax), events, send, sendAlone),
      );
      previous = publishing.catch(() => undefined);
      return publishing;
    },
    close: async () => {
      await previous; // the client throws into the void when it is closed amid a request
      await link.close();
    },
  };
}

async function publishInBatches(
  batches: Iterable<CloudEvent[]>,
  events: readonly CloudEvent[],
  send: (events: readonly CloudEvent[]) => Promise<void>,
  sendAlone: (event: CloudEvent) => Promise<SendOutcome>,
): Promise<PublishOutcome[]> {
  const outcomes: PublishOutcome[] = [];
  const stopped = new Set<string>();
  for (const batch of batches) {
    const due = batch.filter((event) => !stopped.has(event.subject));
    const sent = await (due.length === 0 ? [] : sendBatchOrSingly(due, send, sendAlone));
    const outage = sent.find(({ outcome }) => outcome === 'unavailable');
    const rest = sent.values();
    for (const event of batch) outcomes.push(stopped.has(event.subject) ? { outcome: 'not-sent' } : next(rest));
    due.forEach((event, index) => {
      if (sent[index]?.outcome !== 'taken') stopped.add(event.subject);
    });
    if (outage) return [...outcomes, ...events.slice(outcomes.length).map(() => outage)];
  }
  return outcomes;
}

/** Kafka takes or rejects a batch as a whole; which message it rejects shows when each is sent alone. */
async function sendBatchOrSingly(
  batch: readonly CloudEvent[],
  send: (events: readonly CloudEvent[]) => Promise<void>,
  sendAlone: (event: CloudEvent) => Promise<SendOutcome>,
): Promise<PublishOutcome[]> {
  const sent = await send(batch).then(taken, outcomeOf);
  if (sent.outcome !== 'rejected' || batch.length === 1) return batch.map(() => sent);
  let outage: SendOutcome | undefined;
  const sendSingly = async (event: CloudEvent) => {
    const outcome = outage ?? (await sendAlone(event));
    if (outcome.outcome === 'unavailable') outage = outcome;
    return outcome;
  };
  return await publishOneByOne(batch, sendSingly, 1);
}

function* inBatches(events: readonly CloudEvent[], bytesMax: number): Generator<CloudEvent[]> {
  let batch: CloudEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const { value, headers } = toMessage(event);
    const size = value.length + [...headers].reduce((sum, [name, text]) => sum + name.length + text.length, 0);
    if (batch.length > 0 && bytes + size > bytesMax) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(event);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

type SendOutcome = Exclude<PublishOutcome, { outcome: 'not-sent' }>;

const taken = (): SendOutcome => ({ outcome: 'taken' });

function outcomeOf(err: unknown): SendOutcome {
  const error = err as Error & { findBy?: (property: string, value: unknown) => unknown };
  const isRejected = REJECTION_CODES.some((code) => error.findBy?.('apiCode', code));
  return { outcome: isRejected ? 'rejected' : 'unavailable', error: withReason(error) };
}

/** The client says "Cannot connect to any broker" of a wrong password and of an unknown authority alike: why is deep inside. */
function withReason(error: Error): Error {
  return new Error(sentenceOf(error), { cause: error });
}

function next(outcomes: Iterator<PublishOutcome>): PublishOutcome {
  const { value, done } = outcomes.next();
  if (done) throw new Error('Bug! There are fewer outcomes than events.');
  return value;
}

function toMessage(event: CloudEvent): Message {
  const { contentType, attributes, body } = binaryMode(event, 'ce_');
  const headers = Object.entries({ 'content-type': contentType, ...attributes });
  return {
    topic: TOPIC,
    key: Buffer.from(event.subject),
    value: body,
    headers: new Map(headers.map(([name, value]) => [Buffer.from(name), Buffer.from(`${value}`)])),
  };
}

function commonOptions({ brokers, tls, sasl, timeoutMs = ACK_LIMIT_MS }: KafkaOptions): BaseOptions {
  return {
    clientId: 'order-saga-relay',
    bootstrapBrokers: brokers,
    autocreateTopics: false, // with whatever the broker's defaults are; see requireTopic
    retries: false, // the relay retries
    connectTimeout: CONNECT_LIMIT_MS,
    requestTimeout: timeoutMs + REQUEST_BEYOND_ACK_MS,
    timeout: timeoutMs,
    ...(tls && { tls: {}, tlsServerName: true }),
    ...(sasl && { sasl }),
  };
}

async function requireTopic(
  client: KafkaClient,
  producer: Producer<Buffer, Buffer, Buffer, Buffer>,
  common: BaseOptions,
  { create, onMade }: KafkaOptions,
): Promise<void> {
  const { brokers } = await producer.metadata({ topics: [] });
  try {
    await producer.metadata({ topics: [TOPIC] });
  } catch (err) {
    if (!(err as Error).message.startsWith('Unknown topic')) throw err;
    if (!create)
      throw new Error(`Kafka has no topic "${TOPIC}", and BROKER_CREATE=false forbids making it`, { cause: err });
    await createTopic(client, common, Math.min(REPLICAS_MAX, brokers.size));
    onMade?.(`topic "${TOPIC}"`);
    await producer.metadata({ topics: [TOPIC], forceUpdate: true });
  }
}

async function createTopic(client: KafkaClient, common: BaseOptions, replicas: number): Promise<void> {
  const admin = new client.Admin(common);
  // `acks=all` means all that are in sync, which may be one: a second one must have it before it counts.
  const inSync = replicas < REPLICAS_MAX ? [] : [{ name: 'min.insync.replicas', value: '2' }];
  const configs = [{ name: 'retention.ms', value: `${KEEP_MS}` }, ...inSync];
  try {
    await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas, configs });
  } finally {
    await admin.close().catch(() => undefined);
  }
}
