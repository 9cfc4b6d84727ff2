/** Dead letters of NATS: stream `orders_dead`, one subject per consumer. Not below `orders.>`, which is the other stream's. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers as createHeaders } from '@nats-io/transport-node';
import { text } from '../kit/settings.mjs';
import { toHeaders, toLetter } from './letter.mjs';

export const NATS_SETTINGS = { NATS_URL: text('nats://127.0.0.1:4222') };

const STREAM = 'orders_dead';
const KEEP_DAYS = 30;
const READ_MAX = 500;
const IS_THERE_OTHERWISE = 10058;
/** So the client calls a subject that no stream takes. */
const NOBODY_TAKES_IT = 'JetStreamNotEnabled';
/** Of the client, whose server says what it takes, and of the stream. */
const TOO_LARGE = /max_payload|maximum allowed/;

export async function openNatsPlace({ consumer, settings }) {
  let link;
  const open = async () => {
    const connection = await connectTo(settings.NATS_URL);
    void connection.closed().then(() => {
      link = undefined;
    });
    const manager = await jetstreamManager(connection);
    await requireStream(manager);
    return { connection, manager };
  };
  const get = () => {
    link ??= open().catch((err) => {
      link = undefined;
      throw err;
    });
    return link;
  };
  return {
    /** @throws if the stream does not have it */
    async put(letter) {
      const { manager } = await get();
      const headers = createHeaders();
      for (const [name, value] of Object.entries(toHeaders(letter, consumer))) headers.set(name, value);
      try {
        await manager.jetstream().publish(`${STREAM}.${consumer}`, letter.body, { headers });
      } catch (err) {
        if (err.name === NOBODY_TAKES_IT) await requireStream(manager); // it was removed: the next try finds it
        throw err;
      }
    },
    isTooLarge: (err) => TOO_LARGE.test(err?.message),
    async list(limit) {
      const { manager } = await get();
      const { state } = await manager.streams.info(STREAM);
      const reader = await manager.jetstream().consumers.get(STREAM, { filter_subjects: `${STREAM}.${consumer}` });
      const letters = [];
      let pending = Math.min(limit, state.messages, (await reader.info()).num_pending);
      while (pending > 0) {
        for await (const message of await reader.fetch({ max_messages: Math.min(pending, READ_MAX), expires: 1_000 })) {
          const names = message.headers.keys().map((name) => [name, message.headers.get(name)]);
          const letter = toLetter(Object.fromEntries(names), message.string(), consumer);
          const { seq } = message;
          if (letter) letters.push({ ...letter, remove: () => manager.streams.deleteMessage(STREAM, seq) });
          pending -= 1;
        }
      }
      return letters;
    },
    close: async () => (await link)?.connection.close(),
  };
}

async function requireStream(manager) {
  const stream = { name: STREAM, subjects: [`${STREAM}.>`], storage: 'file', max_age: KEEP_DAYS * 86_400 * 1e9 };
  await manager.streams.add(stream).catch((err) => {
    if (err.code !== IS_THERE_OTHERWISE) throw err; // its operator made it, with options of their own
  });
}

/** Does not reconnect by itself: what was in flight would be sent at a time of its own. */
export function connectTo(url) {
  const { host, username, password } = new URL(url);
  const login = username && (password ? { user: username, pass: password } : { token: username });
  return connect({ servers: host, reconnect: false, timeout: 3_000, ...login });
}
