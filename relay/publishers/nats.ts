/**
 * NATS JetStream: stream `orders`, subjects `orders.<type>`, CloudEvents' structured mode, one event per message. The
 * event's id is the message's, so that the stream itself drops what is repeated within its window.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
 */
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import type { CloudEvent } from '../../contracts/events.js';
import { STRUCTURED, structuredBody } from './cloudevents.js';
import { createLink } from './link.js';
import { publishOneByOne } from './one-by-one.js';
import type { OnMade, Publisher, PublishOutcome } from './publisher.js';

export const STREAM = 'orders';

const PARALLEL_MAX = 64;
const CONNECT_LIMIT_MS = 3_000;
const ANSWER_LIMIT_MS = 5_000;
/** As long as the outbox keeps what was published: a consumer that was away for longer starts from the feed. */
const KEEP_DAYS = 30;
/** What survives the loss of one server, where there is a cluster. */
const REPLICAS = 3;
/** JetStream's "message size exceeds maximum allowed". */
const MESSAGE_TOO_LARGE = 10054;

export type NatsClient = Pick<typeof import('@nats-io/transport-node'), 'connect' | 'headers' | 'credsAuthenticator'> &
  Pick<typeof import('@nats-io/jetstream'), 'jetstreamManager'>;

export type NatsOptions = {
  /** nats:// or tls://, several separated by commas, with user:password@ or token@ */
  url: string | (() => string);
  /** A file as `nsc` or Synadia Cloud give them out. */
  credentialsFile?: string;
  /** Whether to make the stream where there is none. */
  create: boolean;
  /** How long the stream may take to acknowledge an event. */
  timeoutMs?: number;
  parallelMax?: number;
  /** Of the stream on the server's disk, where it is made here. */
  compression?: 'none' | 's2';
  onMade?: OnMade;
};

type SendOutcome = Exclude<PublishOutcome, { outcome: 'not-sent' }>;

export function createNatsPublisher(client: NatsClient, options: NatsOptions): Publisher {
  const { timeoutMs = ANSWER_LIMIT_MS, parallelMax = PARALLEL_MAX } = options;
  const link = createLink(
    async (lost) => {
      const connection = await client.connect(await connectionOptions(client, options));
      void connection.closed().then(lost, lost);
      try {
        const manager = await client.jetstreamManager(connection, { timeout: timeoutMs, checkAPI: false });
        await requireStream(manager, connection, options);
        return { connection, jetstream: manager.jetstream() };
      } catch (err) {
        await connection.close();
        throw err;
      }
    },
    ({ connection }) => connection.close(),
  );
  /** @throws transient failures */
  const put = (event: CloudEvent): Promise<SendOutcome> =>
    link.use(async ({ jetstream }) => {
      const headers = client.headers();
      headers.set('content-type', STRUCTURED);
      const message = { msgID: event.id, expect: { streamName: STREAM }, timeout: timeoutMs, headers };
      try {
        await jetstream.publish(`${STREAM}.${event.type}`, structuredBody(event), message);
        return { outcome: 'taken' };
      } catch (err) {
        if (isRejection(err as Error)) return { outcome: 'rejected', error: err as Error };
        throw withExplanation(err as Error);
      }
    });
  return {
    destination: 'nats',
    publish: async (events) => {
      let outage: SendOutcome | undefined;
      const send = async (event: CloudEvent): Promise<SendOutcome> => {
        if (outage) return outage; // the others would only wait for the same answer
        return await put(event).catch((error: Error) => {
          outage = { outcome: 'unavailable', error };
          return outage;
        });
      };
      return await publishOneByOne(events, send, parallelMax);
    },
    close: () => link.close(),
  };
}

async function connectionOptions(
  client: NatsClient,
  { url, credentialsFile }: NatsOptions,
): Promise<ConnectionOptions> {
  const urls = (typeof url === 'string' ? url : url()).split(',').map((each) => new URL(each.trim()));
  const [user, pass] = [urls[0]?.username, urls[0]?.password].map((text) => decodeURIComponent(text ?? ''));
  return {
    name: 'order-saga-relay',
    servers: urls.map(({ host }) => host), // the client does not look for credentials in there
    timeout: CONNECT_LIMIT_MS,
    reconnect: false, // see link.ts
    ...(urls.some(({ protocol }) => protocol === 'tls:') && { tls: {} }),
    ...(user && (pass ? { user, pass } : { token: user })),
    ...(credentialsFile && { authenticator: client.credsAuthenticator(await readFile(credentialsFile)) }),
  };
}

async function requireStream(
  manager: Awaited<ReturnType<NatsClient['jetstreamManager']>>,
  connection: NatsConnection,
  { create, compression = 'none', onMade }: NatsOptions,
): Promise<void> {
  try {
    await manager.streams.info(STREAM);
    return;
  } catch (err) {
    if ((err as Error).name !== 'StreamNotFoundError') throw err;
    if (!create)
      throw new Error(`NATS has no stream "${STREAM}", and BROKER_CREATE=false forbids making it`, { cause: err });
  }
  await manager.streams.add({
    name: STREAM,
    subjects: [`${STREAM}.>`],
    storage: 'file',
    compression,
    max_age: KEEP_DAYS * 86_400 * 1e9, // nanoseconds
    num_replicas: connection.info?.cluster === undefined ? 1 : REPLICAS,
  });
  onMade?.(`stream "${STREAM}"`);
}

function isRejection({ name, message, code }: Error & { code?: unknown }): boolean {
  return code === MESSAGE_TOO_LARGE || (name === 'InvalidArgumentError' && message.includes('max_payload'));
}

/** The client calls a subject without a stream "jetstream is not enabled". */
function withExplanation(error: Error): Error {
  if (error.name !== 'JetStreamNotEnabled') return error;
  return new Error(`NATS has no JetStream, or no stream that takes the subjects ${STREAM}.>`, { cause: error });
}
