/** The destinations that the settings name, several at once. A broker's client is loaded only when it is asked for. */
import { ConfigError } from '../../runtime/config.js';
import { createKafkaPublisher } from './kafka.js';
import { createNatsPublisher } from './nats.js';
import type { OnMade, Publisher } from './publisher.js';
import { createRabbitPublisher } from './rabbitmq.js';
import { createWebhookPublisher } from './webhook.js';

/** Of runtime/settings. */
export type DestinationSettings = {
  WEBHOOK_URL?: string | undefined;
  WEBHOOK_SECRET: string;
  WEBHOOK_ALLOW_PRIVATE: boolean;
  KAFKA_BROKERS?: string | undefined;
  KAFKA_TLS: boolean;
  KAFKA_SASL_MECHANISM: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
  KAFKA_USERNAME: string;
  KAFKA_PASSWORD: string;
  NATS_URL?: string | undefined;
  NATS_CREDENTIALS_FILE?: string | undefined;
  RABBITMQ_URL?: string | undefined;
  BROKER_CREATE: boolean;
  WEBHOOK_PUBLISH_TIMEOUT: number;
  WEBHOOK_PARALLEL_MAX: number;
  KAFKA_PUBLISH_TIMEOUT: number;
  KAFKA_BATCH_BYTES_MAX: number;
  KAFKA_COMPRESSION: 'none' | 'gzip' | 'snappy' | 'lz4';
  KAFKA_ACKS: 'all' | 'leader';
  NATS_PUBLISH_TIMEOUT: number;
  NATS_PARALLEL_MAX: number;
  NATS_COMPRESSION: 'none' | 's2';
  RABBITMQ_PUBLISH_TIMEOUT: number;
  RABBITMQ_PARALLEL_MAX: number;
};

/** @param settings whose secrets may change: each is read when a connection, or a signature, is made
 * @param sayMade is told what was made where, because the broker had none
 * @throws ConfigError naming the variable, or the package that is missing; never a value, since that may be a password */
export async function createPublishers(
  settings: DestinationSettings,
  sayMade: (destination: string, what: string) => void = () => undefined,
): Promise<Publisher[]> {
  const made = await Promise.all([
    webhook(settings),
    kafka(settings, (what) => sayMade('kafka', what)),
    nats(settings, (what) => sayMade('nats', what)),
    rabbitmq(settings),
  ]);
  return made.filter((publisher) => publisher !== undefined);
}

function webhook(settings: DestinationSettings): Publisher | undefined {
  const { WEBHOOK_URL, WEBHOOK_ALLOW_PRIVATE } = settings;
  if (WEBHOOK_URL === undefined) return undefined;
  try {
    return createWebhookPublisher({
      url: WEBHOOK_URL,
      secret: () => settings.WEBHOOK_SECRET,
      allowPrivate: WEBHOOK_ALLOW_PRIVATE,
      timeoutMs: settings.WEBHOOK_PUBLISH_TIMEOUT,
      parallelMax: settings.WEBHOOK_PARALLEL_MAX,
    });
  } catch (err) {
    throw new ConfigError((err as Error).message);
  }
}

async function kafka(settings: DestinationSettings, onMade: OnMade): Promise<Publisher | undefined> {
  const { KAFKA_BROKERS, KAFKA_TLS, KAFKA_SASL_MECHANISM, KAFKA_USERNAME } = settings;
  if (KAFKA_BROKERS === undefined) return undefined;
  const brokers = KAFKA_BROKERS.split(',').map((each) => each.trim());
  const sasl = { mechanism: KAFKA_SASL_MECHANISM, username: KAFKA_USERNAME, password: () => settings.KAFKA_PASSWORD };
  const client = await load('KAFKA_BROKERS', '@platformatic/kafka', () => import('@platformatic/kafka'));
  return createKafkaPublisher(client, {
    brokers,
    tls: KAFKA_TLS,
    ...(KAFKA_USERNAME !== '' && { sasl }),
    create: settings.BROKER_CREATE,
    timeoutMs: settings.KAFKA_PUBLISH_TIMEOUT,
    batchBytesMax: settings.KAFKA_BATCH_BYTES_MAX,
    compression: settings.KAFKA_COMPRESSION,
    acks: settings.KAFKA_ACKS,
    onMade,
  });
}

async function nats(settings: DestinationSettings, onMade: OnMade): Promise<Publisher | undefined> {
  const { NATS_URL, NATS_CREDENTIALS_FILE, BROKER_CREATE } = settings;
  if (NATS_URL === undefined) return undefined;
  const [transport, jetstream] = await Promise.all([
    load('NATS_URL', '@nats-io/transport-node', () => import('@nats-io/transport-node')),
    load('NATS_URL', '@nats-io/jetstream', () => import('@nats-io/jetstream')),
  ]);
  const { connect, headers, credsAuthenticator } = transport;
  const client = { connect, headers, credsAuthenticator, jetstreamManager: jetstream.jetstreamManager };
  return createNatsPublisher(client, {
    url: () => settings.NATS_URL ?? NATS_URL,
    ...(NATS_CREDENTIALS_FILE !== undefined && { credentialsFile: NATS_CREDENTIALS_FILE }),
    create: BROKER_CREATE,
    timeoutMs: settings.NATS_PUBLISH_TIMEOUT,
    parallelMax: settings.NATS_PARALLEL_MAX,
    compression: settings.NATS_COMPRESSION,
    onMade,
  });
}

async function rabbitmq(settings: DestinationSettings): Promise<Publisher | undefined> {
  const { RABBITMQ_URL, BROKER_CREATE } = settings;
  if (RABBITMQ_URL === undefined) return undefined;
  const client = await load('RABBITMQ_URL', 'rabbitmq-client', () => import('rabbitmq-client'));
  return createRabbitPublisher(client, {
    url: () => settings.RABBITMQ_URL ?? RABBITMQ_URL,
    create: BROKER_CREATE,
    timeoutMs: settings.RABBITMQ_PUBLISH_TIMEOUT,
    parallelMax: settings.RABBITMQ_PARALLEL_MAX,
  });
}

/** Exported for its test: a package that is there cannot be missed. */
export async function load<T>(variable: string, name: string, importClient: () => Promise<T>): Promise<T> {
  try {
    return await importClient();
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw err;
    throw new ConfigError(`${variable} is set, but the package ${name} is not installed: npm install ${name}`);
  }
}
