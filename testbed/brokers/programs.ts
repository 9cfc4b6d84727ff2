/**
 * Brokers on this machine, for tests: found, or obtained where that needs no more than a language's own tools. Whatever it
 * takes, it takes once per machine and version: the result is kept in the cache. RabbitMQ can only be found.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runToEnd } from '../../local/processes/command.js';
import { lock } from '../../local/processes/lock.mjs';
import { say } from '../../local/say.mjs';
import { cacheFolder } from '../../local/temporal/cli.js';
import { onPath } from '../../local/temporal/obtain.js';

export type BrokerName = 'kafka' | 'nats' | 'rabbitmq';
/** What is needed to run one; of Kafka, Java and the folder of its jars; of RabbitMQ, the server and Erlang's name service. */
export type BrokerPrograms = { [name: string]: string };
export type Finding = { programs: BrokerPrograms } | { missing: string };

const KAFKA_VERSION = '4.1.2';
const DEBEZIUM_VERSION = '3.6.1.Final';
const NATS_VERSION = '2.11.10';
const COPY_JARS = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
/** Some 50 MB over a slow line. */
const OBTAIN_LIMIT_MS = 10 * 60_000;

/** @returns what to run, or in one sentence why it cannot be had here */
export async function findBroker(name: BrokerName, env: NodeJS.ProcessEnv): Promise<Finding> {
  if (name === 'kafka') return await findKafka(env);
  return name === 'nats' ? await findNats(env) : findRabbit(env);
}

async function findNats(env: NodeJS.ProcessEnv): Promise<Finding> {
  const installed = onPath('nats-server', env);
  if (installed !== undefined) return { programs: { server: installed } };
  const folder = join(dirname(cacheFolder(env)), `nats-${NATS_VERSION}`);
  const go = onPath('go', env);
  const failure = await obtain(folder, (scratch) =>
    go === undefined
      ? 'there is no `go` to build it with'
      : command(go, ['install', `github.com/nats-io/nats-server/v2@v${NATS_VERSION}`], { ...env, GOBIN: scratch }),
  );
  if (failure === undefined) return { programs: { server: join(folder, 'nats-server') } };
  return { missing: `NATS: no \`nats-server\` on the PATH, and ${failure}` };
}

async function findKafka(env: NodeJS.ProcessEnv): Promise<Finding> {
  const java = onPath('java', env);
  if (java === undefined) return { missing: 'Kafka: no `java` (17 or newer) on the PATH' };
  const folder = join(dirname(cacheFolder(env)), `kafka-${KAFKA_VERSION}`);
  const failure = await obtain(folder, (scratch) =>
    jars([`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`], scratch, env),
  );
  if (failure === undefined) return { programs: { java, jars: folder } };
  return { missing: `Kafka ${KAFKA_VERSION}: not in ${folder}, and ${failure}` };
}

/** Kafka Connect with Debezium's connector for Postgres. Of Kafka's own jars, which it shares with the worker, the connector gets none. */
export async function findConnect(env: NodeJS.ProcessEnv): Promise<Finding> {
  const java = onPath('java', env);
  if (java === undefined) return { missing: 'Kafka Connect: no `java` (17 or newer) on the PATH' };
  const folder = join(dirname(cacheFolder(env)), `kafka-connect-${KAFKA_VERSION}-debezium-${DEBEZIUM_VERSION}`);
  const worker = ['connect-runtime', 'connect-json', 'connect-transforms'];
  const failure = await obtain(
    folder,
    async (scratch) =>
      (await jars(
        [...worker.map((name) => `org.apache.kafka:${name}:${KAFKA_VERSION}`), 'org.slf4j:slf4j-simple:1.7.36'],
        join(scratch, 'worker'),
        env,
      )) ??
      (await jars(
        [`io.debezium:debezium-connector-postgres:${DEBEZIUM_VERSION}`],
        join(scratch, 'plugins', 'debezium'),
        env,
        ['org.apache.kafka', 'org.slf4j'],
      )),
  );
  if (failure === undefined)
    return { programs: { java, jars: join(folder, 'worker'), plugins: join(folder, 'plugins') } };
  return { missing: `Kafka Connect with Debezium ${DEBEZIUM_VERSION}: not in ${folder}, and ${failure}` };
}

/**
 * Copies Maven's jars, and those that they need, into a folder.
 * @param artifacts group:name:version
 * @param without   groups of which none is copied
 * @returns why it failed
 */
function jars(artifacts: string[], folder: string, env: NodeJS.ProcessEnv, without: string[] = []) {
  const maven = onPath('mvn', env);
  if (maven === undefined) return 'there is no `mvn` to fetch its jars with';
  mkdirSync(folder, { recursive: true });
  const project = join(folder, 'pom.xml');
  writeFileSync(project, projectOf(artifacts));
  const options = [`-DoutputDirectory=${folder}`, `-DexcludeGroupIds=${without}`];
  return command(maven, ['-q', '-B', '-f', project, COPY_JARS, ...options], env);
}

const projectOf = (artifacts: string[]): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>order-saga</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <dependencies>
${artifacts
  .map((artifact) => artifact.split(':'))
  .map(
    ([group, name, version]) =>
      `    <dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>\n`,
  )
  .join('')}  </dependencies>
</project>
`;

/** Debian's program on the PATH insists on a user and a folder of its own; the one behind it does not. */
const DEBIANS_RABBIT = '/usr/lib/rabbitmq/bin/rabbitmq-server';

function findRabbit(env: NodeJS.ProcessEnv): Finding {
  const installed = onPath('rabbitmq-server', env);
  const server = existsSync(DEBIANS_RABBIT) ? DEBIANS_RABBIT : installed;
  const names = onPath('epmd', env);
  if (server === undefined) return { missing: 'RabbitMQ: no `rabbitmq-server` on the PATH' };
  if (names === undefined) return { missing: 'RabbitMQ: no `epmd` (Erlang) on the PATH' };
  return { programs: { server: realpathSync(server), names } };
}

/** One process at a time obtains; those that waited find the result. @returns why not */
export async function obtain(
  folder: string,
  fill: (scratch: string) => Promise<string | undefined> | string,
): Promise<string | undefined> {
  if (existsSync(folder)) return undefined;
  mkdirSync(dirname(folder), { recursive: true });
  const release = await lock(`${folder}.lock`, (owner) =>
    say(`Process ${owner} is obtaining ${folder}; waiting for it.`),
  );
  try {
    if (existsSync(folder)) return undefined;
    say(`Obtaining ${folder} …`);
    const scratch = mkdtempSync(`${folder}.new-`);
    const failure = await fill(scratch);
    if (failure === undefined) renameSync(scratch, folder);
    else rmSync(scratch, { recursive: true, force: true });
    return failure;
  } finally {
    release();
  }
}

/** @returns why it failed */
async function command(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { failure, output } = await runToEnd(file, args, { env, timeoutMs: OBTAIN_LIMIT_MS });
  return failure === undefined ? undefined : `\`${file}\` fails (${failure}): ${output.slice(0, 500)}`;
}
