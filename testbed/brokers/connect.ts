/**
 * Kafka Connect with Debezium's connector on our outbox, as deploy/cdc configures it: one worker on a free port, its
 * offsets in a file of its own, which a worker that was killed finds again.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findConnect } from './programs.js';
import { freePort } from '../../local/processes/ports.js';
import { type Program, type Running, run, untilReady } from '../../local/processes/program.js';

/** It lives for a minute or two. */
const JVM = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
const STOP_LIMIT_MS = 5_000;
const CONNECTOR = 'order-saga-outbox';

export type ConnectorState = { state: string; trace?: string };
export type Connect = {
  /** How its task stands; undefined = there is none, or the worker does not answer. */
  state(): Promise<ConnectorState | undefined>;
  /** kill -9. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same offsets. @param more properties of the connector from now on */
  start(more?: Record<string, string>): Promise<void>;
  /** Whatever place it had come to: the next start begins at its slot's. */
  forget(): void;
  /** What it has logged. */
  log(): string;
  stop(): Promise<void>;
};

/** Where the outbox is: as a role with REPLICATION sees it. */
export type OutboxSource = { host: string; port: number; database: string; user: string; password: string };

/** As operators are given it, with a place of its own for the database. */
function connectorConfig({ host, port, database, user, password }: OutboxSource): Record<string, string> {
  const given = JSON.parse(readFileSync(join('deploy', 'cdc', 'connector.json'), 'utf8')) as Record<string, string>;
  return {
    ...given,
    'database.hostname': host,
    'database.port': `${port}`,
    'database.dbname': database,
    'database.user': user,
    'database.password': password,
    'database.sslmode': 'disable', // loopback
  };
}

/**
 * @param brokers KAFKA_BROKERS; the topic `orders` must be there
 * @param more    properties of the connector, beside those of `connectorConfig`
 */
export async function startConnect(
  brokers: string,
  source: OutboxSource,
  more: Record<string, string> = {},
): Promise<Connect> {
  const finding = await findConnect(process.env);
  if (!('programs' in finding)) throw new Error(finding.missing);
  const { java = '', jars = '', plugins = '' } = finding.programs;
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-connect-'));
  const port = await freePort();
  const properties = (name: string, values: Record<string, string>) => {
    const file = join(folder, name);
    const lines = Object.entries(values).map(([key, value]) => `${key}=${value.replaceAll('\\', '\\\\')}\n`);
    writeFileSync(file, lines.join(''), { mode: 0o600 });
    return file;
  };
  const worker = properties('worker.properties', {
    'bootstrap.servers': brokers,
    'plugin.path': plugins,
    'plugin.discovery': 'service_load', // scanning all jars takes longer than all else
    listeners: `http://127.0.0.1:${port}`,
    'offset.storage.file.filename': join(folder, 'offsets'),
    'offset.flush.interval.ms': '1000',
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
  });
  const configure = (changed: Record<string, string>) =>
    properties('connector.properties', { name: CONNECTOR, ...connectorConfig(source), ...more, ...changed });
  const connector = configure({});
  const state = async (): Promise<ConnectorState | undefined> => {
    const address = `http://127.0.0.1:${port}/connectors/${CONNECTOR}/status`;
    const answer = await fetch(address, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    if (!answer?.ok) return undefined;
    return ((await answer.json()) as { tasks: ConnectorState[] }).tasks[0];
  };
  const logFile = join(folder, 'log');
  const program: Program = {
    name: 'Kafka Connect',
    command: java,
    args: [...JVM, '-cp', `${jars}/*`, 'org.apache.kafka.connect.cli.ConnectStandalone', worker, connector],
    env: { PATH: process.env['PATH'] },
    cwd: folder,
    logFile,
    stopSignal: 'SIGTERM' as const,
    scratch: folder,
    isReady: async () => (await state())?.state === 'RUNNING',
    readyLimitMs: 120_000,
  };
  let running: Running | undefined;
  const start = async (changed = {}) => {
    configure(changed);
    running = run(program);
    await untilReady(program, running);
  };
  const kill = async () => {
    running?.kill();
    await running?.exited;
    running = undefined;
  };
  await start();
  return {
    state,
    start,
    kill,
    forget: () => rmSync(join(folder, 'offsets'), { force: true }),
    log: () => readFileSync(logFile, 'utf8'),
    stop: async () => {
      running?.kill();
      await running?.stop(STOP_LIMIT_MS);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
