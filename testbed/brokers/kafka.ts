import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, type BrokerPlan } from './launch-plan.js';
import type { BrokerPrograms } from './programs.js';
import { runToEnd } from '../../local/processes/command.js';
import { freePort } from '../../local/processes/ports.js';

/** A single KRaft node. Its heap is small, and it compiles little: it lives for a minute. */
const JVM = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
const CLUSTER_ID = '5L6g3nShT-eMCtK--X86sw';

/** @param extra properties of the server */
export async function kafkaPrograms(
  { java = '', jars = '' }: BrokerPrograms,
  folder: string,
  extra: Record<string, string>,
): Promise<BrokerPlan> {
  const [port, controllerPort] = await Promise.all([freePort(), freePort()]);
  const config = join(folder, 'server.properties');
  const data = join(folder, 'data');
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `CLIENTS://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'listener.security.protocol.map': 'CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'CLIENTS',
    'log.dirs': data,
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    'auto.create.topics.enable': 'false',
    'initial.broker.registration.timeout.ms': '30000',
    'broker.session.timeout.ms': '3000', // a broker that was killed may register again after this
    ...extra,
  };
  writeFileSync(
    config,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const classPath = ['-cp', `${jars}/*`];
  if (!existsSync(data)) {
    const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', config];
    const { failure, output } = await runToEnd(java, [...JVM, ...classPath, ...format]);
    if (failure !== undefined) throw new Error(`Kafka's storage cannot be formatted (${failure}): ${output}`);
  }
  const program = {
    name: 'Kafka',
    command: java,
    args: [...JVM, ...classPath, 'kafka.Kafka', config],
    env: { PATH: process.env['PATH'] },
    cwd: folder,
    logFile: join(folder, 'log'),
    stopSignal: 'SIGTERM' as const,
    scratch: folder,
    isReady: () => answers(port),
    readyLimitMs: 90_000,
  };
  return { programs: [program], settings: { KAFKA_BROKERS: `127.0.0.1:${port}` } };
}
