/**
 * Kafka → effects, exactly once. KAFKA_BROKERS=127.0.0.1:9092 DATABASE_URL=… node examples/consumers/kafka.mjs
 * A partition's messages are had side by side, each order's one after another; committed is up to the first that is not had yet.
 * Several of these share the topic's partitions.
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  Consumer,
  ListOffsetTimestamps,
  MessagesStreamFallbackModes,
  MessagesStreamModes,
  stringDeserializers,
} from '@platformatic/kafka';
import { KAFKA_SETTINGS, openKafkaPlace } from './dead/kafka.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { wordsOf } from './kit/log.mjs';
import { text } from './kit/settings.mjs';

const TOPIC = 'orders';
const COMMIT_EVERY_MS = 500;
const AGAIN_MS = 1_000;

const kit = await startConsumer(
  'kafka',
  { ...KAFKA_SETTINGS, KAFKA_GAP: text('stop') }, // `oldest`: go on with the oldest there is, should what comes next have left the topic
  openKafkaPlace,
);
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
    const partitions = await countPartitions(consumer);
    const gaps = await findGaps(consumer, partitions);
    const messages = await consumer.consume({
      topics: [TOPIC],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
      autocommit: false,
      highWaterMark: kit.settings.BATCH,
      maxWaitTime: 500,
    });
    if (gaps.length > 0) return await passOver(consumer, gaps); // and the next session reads on
    kit.metrics.cutOff.set(0);
    const ending = new AbortController();
    const regrouping = new AbortController();
    const over = AbortSignal.any([kit.stopping, regrouping.signal]);
    const upkeep = keepUp(consumer, had, ending.signal, async () => {
      if ((await countPartitions(consumer)) !== partitions) regrouping.abort();
    }).catch((err) => messages.destroy(err));
    const leave = () => messages.destroy();
    over.addEventListener('abort', leave);
    try {
      for await (const message of messages) {
        await kit.lanes.room(); // back-pressure: while it waits, the stream fetches no further
        if (over.aborted) break;
        had.began(message);
        kit.take(toMessage(message)).then(() => had.ended(message), kit.failed);
      }
    } catch (err) {
      if (!over.aborted) throw err; // else it is only that the stream was closed
    } finally {
      ending.abort();
      over.removeEventListener('abort', leave);
    }
    await Promise.all([upkeep, kit.lanes.idle()]);
    await had.commit();
  } finally {
    await consumer.close(true).catch(() => undefined);
  }
}

/** A group shares out its partitions when somebody joins it: those that are added later are nobody's until then, so their number ends a session. */
async function countPartitions(consumer) {
  return (await consumer.metadata({ topics: [TOPIC] })).topics.get(TOPIC).partitionsCount;
}

/**
 * Where messages have left that this group has not read: it was away for longer than they are kept, or the log was cut. Kafka itself
 * refuses to go on there or, with the group's own offsets gone as well, says nothing.
 * @returns the offsets to go on with. @throws a sentence, unless its operator has said to, or it has never read
 */
async function findGaps(consumer, count) {
  const all = Array.from({ length: count }, (_, partition) => partition);
  const offsetsAt = async (timestamp) => (await consumer.listOffsets({ topics: [TOPIC], timestamp })).get(TOPIC);
  const committed = (await consumer.listCommittedOffsets({ topics: [{ topic: TOPIC, partitions: all }] })).get(TOPIC);
  const earliest = await offsetsAt(ListOffsetTimestamps.EARLIEST);
  const latest = await offsetsAt(ListOffsetTimestamps.LATEST);
  const next = (each) => (committed[each] < 0n ? 0n : committed[each]); // -1: nothing is committed
  const lost = all.filter((each) => next(each) < earliest[each] || next(each) > latest[each]);
  const isNew = lost.length > 0 && (await kit.whenBack(() => kit.inbox.isEmpty()));
  if (lost.length === 0 || isNew || kit.settings.KAFKA_GAP === 'oldest')
    return lost.map((partition) => ({ topic: TOPIC, partition, offset: earliest[partition], leaderEpoch: -1 }));
  const places = lost.map((each) => `${each} (at ${next(each)}, there are ${earliest[each]} to ${latest[each]})`);
  throw new Error(
    `messages have left that it has not read. Make up for them, then start with KAFKA_GAP=oldest. Partitions: ${places.join(', ')}`,
  );
}

/** As a member of the group: from anybody else it takes nothing while it has some. */
async function passOver(consumer, gaps) {
  await consumer.commit({ offsets: gaps });
  kit.log.warn('goes on with the oldest messages there are', { partitions: gaps.map(({ partition }) => partition) });
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

/** @param look is done each time, too */
async function keepUp(consumer, had, signal, look) {
  while (!signal.aborted) {
    await pause(COMMIT_EVERY_MS, undefined, { signal }).catch(() => undefined);
    await had.commit();
    await look();
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
