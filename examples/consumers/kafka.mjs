/**
 * Kafka → effects, exactly once. KAFKA_BROKERS=127.0.0.1:9092 DATABASE_URL=… node examples/consumers/kafka.mjs
 * A partition's messages are had side by side, each order's one after another; committed is up to the first that is not had yet.
 * Several of these share the topic's partitions.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka';
import { KAFKA_SETTINGS, openKafkaPlace } from './dead/kafka.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { wordsOf } from './kit/log.mjs';

const TOPIC = 'orders';
const COMMIT_EVERY_MS = 500;
const AGAIN_MS = 1_000;

const kit = await startConsumer('kafka', KAFKA_SETTINGS, openKafkaPlace);
const running = run();
kit.leave = () => running; // with what is had acknowledged

async function run() {
  while (!kit.stopping.aborted) {
    await session().catch(complain);
    if (!kit.stopping.aborted) await pause(AGAIN_MS);
  }
}

function complain(err) {
  kit.metrics.cutOff.set(1);
  kit.log.warn('Kafka does not answer', { error: wordsOf(err) });
}

/** A connection's life: reads until it breaks, or until this program ends. */
async function session() {
  const consumer = new Consumer({
    clientId: 'sales',
    groupId: 'sales',
    sessionTimeout: 6_000, // how long one that was killed keeps its partitions
    heartbeatInterval: 1_000,
    bootstrapBrokers: kit.settings.KAFKA_BROKERS.split(','),
    deserializers: stringDeserializers,
    retries: 1,
    requestTimeout: 15_000, // longer than the group waits for one that was killed
  });
  const had = createHad();
  try {
    const messages = await consumer.consume({
      topics: [TOPIC],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
      autocommit: false,
      highWaterMark: kit.settings.BATCH,
      maxWaitTime: 500,
    });
    kit.metrics.cutOff.set(0);
    const ending = new AbortController();
    const upkeep = keepUp(consumer, had, ending.signal).catch((err) => messages.destroy(err));
    const leave = () => messages.destroy();
    kit.stopping.addEventListener('abort', leave);
    try {
      for await (const message of messages) {
        await kit.lanes.room(); // back-pressure: while it waits, the stream fetches no further
        if (kit.stopping.aborted) break;
        had.began(message);
        kit.take(toMessage(message)).then(() => had.ended(message), kit.failed);
      }
    } catch (err) {
      if (!kit.stopping.aborted) throw err; // else it is only that the stream was closed
    } finally {
      ending.abort();
      kit.stopping.removeEventListener('abort', leave);
    }
    await Promise.all([upkeep, kit.lanes.idle()]);
    await had.commit();
  } finally {
    await consumer.close(true).catch(() => undefined);
  }
}

/** Per partition, the messages in hand, in their order, and the last one before the first of them that is not had yet. */
function createHad() {
  const inHand = new Map();
  const isHad = new WeakSet();
  const due = new Map();
  return {
    began: (message) =>
      void (inHand.get(message.partition) ?? inHand.set(message.partition, []).get(message.partition)).push(message),
    ended(message) {
      isHad.add(message);
      const own = inHand.get(message.partition);
      while (own.length > 0 && isHad.has(own[0])) due.set(message.partition, own.shift());
    },
    /** One after the other, and never two of these at a time: an older commit that came later would take a newer one back. */
    async commit() {
      const last = [...due.values()];
      due.clear();
      for (const message of last) await message.commit(); // lost, it only brings the messages again
    },
  };
}

async function keepUp(consumer, had, signal) {
  while (!signal.aborted) {
    await pause(COMMIT_EVERY_MS, undefined, { signal }).catch(() => undefined);
    await had.commit();
    const lag = await consumer.getLag({ topics: [TOPIC] });
    const own = (lag.get(TOPIC) ?? []).filter((each) => each > 0n); // -1: another one's partition
    kit.metrics.lag.set(Number(own.reduce((sum, each) => sum + each, 0n)));
  }
}

/** CloudEvents' binary mode: attributes in headers that begin with `ce_`, data in the value. */
function toMessage({ headers, value }) {
  const names = Object.fromEntries(headers);
  return { id: names.ce_id, headers: names, body: value ?? '' };
}
