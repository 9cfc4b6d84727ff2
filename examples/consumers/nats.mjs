/**
 * NATS JetStream → effects, exactly once. NATS_URL=nats://127.0.0.1:4222 DATABASE_URL=… node examples/consumers/nats.mjs
 * One reads, and others stand by: the server hands the next message of an order to whoever asks, also while another has the one before.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connectTo, NATS_SETTINGS, openNatsPlace } from './dead/nats.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { wordsOf } from './kit/log.mjs';

const STREAM = 'orders';
const CONSUMER = 'sales';
/** After this a message that is neither acknowledged nor said to be in work comes again. */
const ACK_WAIT_MS = 5_000;
const WORKING_EVERY_MS = 1_500;
const AGAIN_MS = 1_000;
const CONSUMER_NOT_FOUND = 10014;

const kit = await startConsumer('nats', NATS_SETTINGS, openNatsPlace);
const running = run();
kit.leave = () => running; // with what is had acknowledged

async function run() {
  while (!kit.stopping.aborted) {
    await alone().catch(complain);
    if (!kit.stopping.aborted) await pause(AGAIN_MS);
  }
}

function complain(err) {
  if (kit.stopping.aborted) return;
  kit.metrics.cutOff.set(1);
  kit.log.warn('NATS does not answer', { error: wordsOf(err) });
}

/** A lock in this consumer's database says who reads. Whoever loses it stops, and lets go of what was in hand, which then comes to the next. */
async function alone() {
  await kit.untilDatabase();
  const turn = await kit.db.haveAlone(kit.consumer, kit.stopping).catch((err) => {
    if (!kit.stopping.aborted) kit.log.warn('its database does not say whose turn it is', { error: wordsOf(err) });
  });
  if (turn === undefined) return;
  const losing = new AbortController();
  void turn.lost.then(() => losing.abort());
  await session(losing.signal).finally(turn.release);
}

/** A connection's life: reads until it breaks, or until this program ends. */
async function session(lost) {
  const connection = await connectTo(kit.settings.NATS_URL);
  const inHand = new Set();
  const upkeep = setInterval(() => void keepUp(inHand), WORKING_EVERY_MS);
  try {
    const manager = await jetstreamManager(connection);
    await requireConsumer(manager);
    const consumer = await manager.jetstream().consumers.get(STREAM, CONSUMER);
    await untilRedelivered(consumer);
    // Else the client would ask for ever, without a word, for a durable or a stream that someone has removed.
    const messages = await consumer.consume({ max_messages: kit.settings.BATCH, abort_on_missing_resource: true });
    kit.metrics.cutOff.set(0);
    const leave = () => messages.stop();
    const ending = AbortSignal.any([kit.stopping, lost]);
    ending.addEventListener('abort', leave);
    if (ending.aborted) leave();
    lost.addEventListener('abort', () => inHand.clear());
    void connection.closed().then(leave);
    try {
      for await (const message of messages) {
        await kit.lanes.room();
        if (ending.aborted || connection.isClosed()) break;
        inHand.add(message);
        kit
          .take(toMessage(message))
          .then(() => message.ack(), kit.failed) // after the effect; lost, it only brings the message again
          .finally(() => inHand.delete(message));
        kit.metrics.lag.set(message.info.pending);
      }
    } finally {
      ending.removeEventListener('abort', leave);
      await kit.lanes.idle();
    }
  } finally {
    clearInterval(upkeep);
    await connection.drain().catch(() => undefined);
  }
}

/** Makes it, or gives it the limit of today: what is there with another one would be refused. */
async function requireConsumer(manager) {
  const max_ack_pending = kit.settings.BATCH; // back-pressure: with so many in hand the server sends no more
  const limits = { ack_wait: ACK_WAIT_MS * 1e6, max_ack_pending }; // nanoseconds
  const isThere = await manager.consumers.info(STREAM, CONSUMER).then(
    () => true,
    (err) => {
      if (err.code === CONSUMER_NOT_FOUND) return false;
      throw err;
    },
  );
  if (isThere) await manager.consumers.update(STREAM, CONSUMER, limits);
  else await manager.consumers.add(STREAM, { durable_name: CONSUMER, ack_policy: 'explicit', ...limits });
}

/**
 * What a predecessor had in hand when it was killed comes again after ACK_WAIT_MS, and then before anything new. Who reads on sooner
 * gets an order's later events before those.
 */
async function untilRedelivered(consumer) {
  const { num_ack_pending } = await consumer.info();
  if (num_ack_pending > 0)
    await pause(ACK_WAIT_MS + AGAIN_MS, undefined, { signal: kit.stopping }).catch(() => undefined);
}

/** Long tries, and a database that is away: the server need not send again what is here. */
async function keepUp(inHand) {
  for (const message of inHand) message.working();
}

/** CloudEvents' structured mode: the message is the event; its id is the message's, too. */
function toMessage(message) {
  return { id: message.headers?.get('Nats-Msg-Id'), headers: {}, body: message.string() };
}
