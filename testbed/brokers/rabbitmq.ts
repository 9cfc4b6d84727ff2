import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, type BrokerPlan } from './launch-plan.js';
import type { BrokerPrograms } from './programs.js';
import { freePort } from '../../local/processes/ports.js';
import type { Program } from '../../local/processes/program.js';

/**
 * A node beside any other: with a name service (epmd) of its own, which it would otherwise start as a daemon that outlives it.
 * @param extra lines of its configuration
 */
export async function rabbitPrograms(
  { server = '', names = '' }: BrokerPrograms,
  folder: string,
  extra: Record<string, string>,
): Promise<BrokerPlan> {
  const [port, nodePort, namesPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const file = (name: string) => join(folder, name);
  const config = { 'listeners.tcp.default': `127.0.0.1:${port}`, 'log.console.level': 'warning', ...extra };
  writeFileSync(
    file('rabbitmq.conf'),
    Object.entries(config)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
  writeFileSync(file('enabled_plugins'), '[].\n');
  const env = {
    PATH: process.env['PATH'],
    LC_ALL: 'C.UTF-8',
    HOME: folder, // Erlang keeps a cookie there
    ERL_EPMD_PORT: `${namesPort}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: 'order-saga@localhost',
    RABBITMQ_DIST_PORT: `${nodePort}`,
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_LOG_BASE: file('logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: file('pid'),
    // One scheduler per core, as many as the machine says, but no busy waiting: other tests need the cores.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none +sbwtdcpu none +sbwtdio none',
  };
  const common = { env, cwd: folder, stopSignal: 'SIGTERM' as const };
  const epmd: Program = {
    ...common,
    name: 'epmd',
    command: names,
    args: ['-port', `${namesPort}`, '-address', '127.0.0.1'],
    logFile: file('epmd.log'),
    isReady: () => answers(namesPort),
    readyLimitMs: 10_000,
  };
  const rabbit: Program = {
    ...common,
    name: 'RabbitMQ',
    command: server,
    args: [],
    logFile: file('log'),
    scratch: folder,
    isReady: () => answers(port),
    readyLimitMs: 90_000,
  };
  return { programs: [epmd, rabbit], settings: { RABBITMQ_URL: `amqp://guest:guest@127.0.0.1:${port}` } };
}
