/** Dead letters of Kafka: topic `orders.dead`, with the orders' keys. What is done with them stands in the inbox: a topic forgets nothing. */
import {
  Admin,
  Consumer,
  ListOffsetTimestamps,
  MessagesStreamModes,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { text } from '../kit/settings.mjs';
import { toHeaders, toLetter } from './letter.mjs';

export const KAFKA_SETTINGS = { KAFKA_BROKERS: text('127.0.0.1:9092') };

const TOPIC = 'orders.dead';
const PARTITIONS = 12;
const REPLICAS_MAX = 3;
const KEEP_MS = 30 * 86_400_000;
/** Kafka removes whole segments, a week each unless it is told otherwise: a letter leaves a day after KEEP_MS at the latest. */
const SEGMENT_MS = 86_400_000;
const ANSWER_LIMIT_MS = 5_000;
const MESSAGE_TOO_LARGE = 10; // of Kafka's protocol

export async function openKafkaPlace({ consumer, settings }) {
  const common = {
    clientId: `${consumer}-dead-letters`,
    bootstrapBrokers: settings.KAFKA_BROKERS.split(','),
    connectTimeout: ANSWER_LIMIT_MS,
    requestTimeout: ANSWER_LIMIT_MS,
    retries: 1,
  };
  let producer;
  const open = async () => {
    await requireTopic(common);
    return new Producer({ ...common, serializers: stringSerializers, acks: -1 });
  };
  return {
    /** @throws if Kafka does not have it on disk */
    async put(letter) {
      producer ??= open();
      try {
        const message = { topic: TOPIC, key: letter.subject, value: letter.body, headers: toHeaders(letter, consumer) };
        await (await producer).send({ messages: [message] });
      } catch (err) {
        void producer.then((each) => each.close()).catch(() => undefined);
        producer = undefined;
        throw err;
      }
    },
    isTooLarge: (err) => Boolean(err?.findBy?.('apiCode', MESSAGE_TOO_LARGE)),
    list: (limit, isOpen) => readTopic(common, consumer, limit, isOpen),
    close: async () => producer?.then((each) => each.close()).catch(() => undefined),
  };
}

async function requireTopic(common) {
  const admin = new Admin(common);
  try {
    const { brokers } = await admin.metadata({ topics: [] });
    const replicas = Math.min(REPLICAS_MAX, brokers.size);
    const configs = [
      { name: 'retention.ms', value: `${KEEP_MS}` },
      { name: 'segment.ms', value: `${SEGMENT_MS}` },
    ];
    await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas, configs }).catch((err) => {
      if (!err.findBy?.('apiCode', 36)) throw err; // TOPIC_ALREADY_EXISTS
    });
  } finally {
    await admin.close().catch(() => undefined);
  }
}

/** What is open of all that it has at this moment: what was settled stays there, too, and must not count. */
async function readTopic(common, name, limit, isOpen) {
  let missing = await countMessages(common);
  const letters = [];
  if (missing === 0) return letters;
  const consumer = new Consumer({
    ...common,
    groupId: `${name}-dead-${process.pid}`,
    deserializers: stringDeserializers,
  });
  try {
    const stream = await consumer.consume({ topics: [TOPIC], mode: MessagesStreamModes.EARLIEST, maxWaitTime: 100 });
    for await (const { headers, value } of stream) {
      const letter = toLetter(Object.fromEntries(headers), value ?? '', name);
      if (letter && (await isOpen(letter))) letters.push({ ...letter, remove: async () => undefined });
      missing -= 1;
      if (missing === 0 || letters.length === limit) break;
    }
  } finally {
    await consumer.close(true);
  }
  return letters;
}

async function countMessages(common) {
  const admin = new Admin(common);
  try {
    const { topics } = await admin.metadata({ topics: [TOPIC] });
    const indexes = Array.from({ length: topics.get(TOPIC).partitionsCount }, (_, index) => index);
    const at = async (timestamp) => {
      const partitions = indexes.map((partitionIndex) => ({ partitionIndex, timestamp }));
      const [{ partitions: found }] = await admin.listOffsets({ topics: [{ name: TOPIC, partitions }] });
      return found.reduce((sum, { offset }) => sum + Number(offset), 0);
    };
    return (await at(ListOffsetTimestamps.LATEST)) - (await at(ListOffsetTimestamps.EARLIEST));
  } catch (err) {
    if (`${err.message}`.startsWith('Unknown topic')) return 0; // nothing has died yet
    throw err;
  } finally {
    await admin.close().catch(() => undefined);
  }
}
