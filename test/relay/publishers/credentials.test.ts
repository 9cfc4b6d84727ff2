/**
 * Brokers that ask for a password, and speak TLS under an authority of our own. Each relay is a process of its own, configured
 * by its environment only: Node reads NODE_EXTRA_CA_CERTS once, when it starts. Wrong credentials are a transient failure,
 * since an operator may mend them; the error must not contain the password.
 */
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { alterUserScramCredentialsV0, Connection, ScramMechanisms } from '@platformatic/kafka';
import type { BrokerName } from '../../../testbed/brokers/programs.js';
import { type Broker, startBroker } from '../../../testbed/brokers/start.js';
import { runToEnd } from '../../../local/processes/command.js';
import { freePort } from '../../../local/processes/ports.js';
import { type Authority, createAuthority } from '../../support/authority.js';
import { describeWithBroker } from '../../support/brokers.js';
import { eventually } from '../../support/conditions.js';

type Secured = {
  /** @returns the broker, and host:port at which it speaks TLS and knows `relay`, whose password is `secret` */
  start(authority: Authority): Promise<{ broker: Broker; address: string }>;
  /** A relay's settings. */
  ways: Record<string, (address: string, password: string) => Record<string, string>>;
};

const SECURED: Record<BrokerName, Secured> = {
  nats: {
    start: async ({ certificate, key }) => {
      const broker = await startBroker('nats', {
        authorization: '{ user: relay, password: secret }',
        tls: `{ cert_file: "${certificate}", key_file: "${key}" }`,
      });
      return { broker, address: new URL(broker.address).host };
    },
    ways: { 'tls://': (address, password) => ({ NATS_URL: `tls://relay:${password}@${address}` }) },
  },
  rabbitmq: {
    start: async ({ ca, certificate, key }) => {
      const address = `127.0.0.1:${await freePort()}`;
      const broker = await startBroker('rabbitmq', {
        default_user: 'relay',
        default_pass: 'secret',
        'listeners.ssl.default': address,
        'ssl_options.cacertfile': ca,
        'ssl_options.certfile': certificate,
        'ssl_options.keyfile': key,
      });
      return { broker, address };
    },
    ways: { 'amqps://': (address, password) => ({ RABBITMQ_URL: `amqps://relay:${password}@${address}` }) },
  },
  kafka: {
    start: async (authority) => {
      const broker = await startBroker('kafka', {
        'listener.security.protocol.map': 'CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': authority.keyAndCertificate,
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': authority.ca,
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
        'sasl.mechanism.inter.broker.protocol': 'PLAIN',
        'listener.name.clients.plain.sasl.jaas.config':
          'org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="own" user_broker="own" user_relay="secret";',
        'listener.name.clients.scram-sha-512.sasl.jaas.config':
          'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      });
      await addScramUser(broker.address, authority);
      return { broker, address: broker.address };
    },
    ways: {
      'SASL_SSL and PLAIN': kafkaSettings,
      'SASL_SSL and SCRAM-SHA-512': (address, password) => ({
        ...kafkaSettings(address, password),
        KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
        KAFKA_USERNAME: SCRAM_USER,
      }),
    },
  },
};

/** Unknown to PLAIN. */
const SCRAM_USER = 'relay-by-scram';

function kafkaSettings(address: string, password: string) {
  return { KAFKA_BROKERS: address, KAFKA_TLS: 'true', KAFKA_USERNAME: 'relay', KAFKA_PASSWORD: password };
}

/** Kafka keeps such users in its own log; the client that makes them has no method for it. */
async function addScramUser(address: string, { ca }: Authority): Promise<void> {
  const [host = '', port] = address.split(':');
  const sasl = { mechanism: 'PLAIN', username: 'broker', password: 'own' } as const;
  const connection = new Connection('test', { tls: { ca: readFileSync(ca) }, sasl });
  await connection.connect(host, Number(port));
  const [salt, iterations] = [randomBytes(16), 4_096];
  const saltedPassword = pbkdf2Sync('secret', salt, iterations, 64, 'sha512');
  const user = { name: SCRAM_USER, mechanism: ScramMechanisms.SCRAM_SHA_512, iterations, salt, saltedPassword };
  await alterUserScramCredentialsV0.api.async(connection, [], [user]);
  await connection.close();
}

/** What ships, as a relay uses it. */
const PUBLISH_ONE = `
  const { inspect } = await import('node:util');
  const { createPublishers } = await import('./dist/relay/publishers/configured.js');
  const { readConfig } = await import('./dist/runtime/config.js');
  const { settings } = await import('./dist/runtime/settings.js');
  const { toCloudEvent } = await import('./dist/contracts/events.js');
  const [publisher] = await createPublishers(readConfig(settings, process.env));
  const event = { orderId: '01a1fc4b-2622-70f0-8b6b-725674f9c1d0', sequence: 1, type: 'order.created', data: {},
    correlationId: 'c', traceparent: null, occurredAt: new Date() };
  const start = performance.now();
  const [{ outcome, error }] = await publisher.publish([toCloudEvent(event)]);
  const ms = performance.now() - start;
  await publisher.close();
  process.stdout.write(JSON.stringify({ outcome, ms, ...(error && { message: error.message, inspected: inspect(error) }) }));
`;
type Report = { outcome: string; ms: number; message?: string; inspected?: string };

for (const name of ['nats', 'rabbitmq', 'kafka'] as const) {
  await describeWithBroker(name, () => {
    const { start, ways } = SECURED[name];
    let authority: Authority;
    let secured: Awaited<ReturnType<Secured['start']>>;
    beforeAll(async () => {
      authority = await createAuthority();
      secured = await start(authority);
    }, 120_000);
    afterAll(async () => {
      await secured?.broker.stop();
      authority?.remove();
    });

    describe.each(Object.entries(ways))('over %s', (_, tell) => {
      const publish = async (password: string, env = { NODE_EXTRA_CA_CERTS: authority.ca }): Promise<Report> => {
        const environment = {
          DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing',
          ...tell(secured.address, password),
          ...env,
        };
        const { failure, output } = await runToEnd(process.execPath, ['--input-type=module', '-e', PUBLISH_ONE], {
          env: environment,
        });
        if (failure !== undefined) throw new Error(output);
        return JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? output);
      };

      test('takes events from a relay that trusts its authority and has the password', async () => {
        // A Kafka that has just started is still loading.
        await eventually('it is taken', async () => (await publish('secret')).outcome === 'taken');
      }, 60_000);

      test('with a wrong password is unavailable at once, and the error says why but not the password', async () => {
        const { outcome, ms, message, inspected } = await publish('hunter2');
        expect({ outcome, message }).toEqual({
          outcome: 'unavailable',
          message: expect.stringMatching(/authoriz|authentic|login was refused/i),
        });
        expect(ms).toBeLessThan(5_000);
        expect(inspected).not.toContain('hunter2');
      }, 60_000);

      test('is unavailable to a relay that does not know its authority, and the error says so', async () => {
        const { outcome, message } = await publish('secret', { NODE_EXTRA_CA_CERTS: '' });
        expect({ outcome, message }).toEqual({
          outcome: 'unavailable',
          message: expect.stringMatching(/certificate/i),
        });
      }, 60_000);
    });
  });
}
