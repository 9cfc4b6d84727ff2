/**
 * Real brokers, each on free ports with its data in a folder of its own; gone with the process that started them, however that ends.
 * For tests and the bench: where one lacks the program, see broker-programs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaPrograms } from './kafka.js';
import { natsPrograms } from './nats.js';
import { type BrokerName, findBroker } from './programs.js';
import { rabbitPrograms } from './rabbitmq.js';
import { type Program, type Running, run, untilReady } from '../../local/processes/program.js';

export type Broker = {
  name: BrokerName;
  settings: Record<string, string>;
  /** The value of KAFKA_BROKERS, NATS_URL or RABBITMQ_URL. */
  address: string;
  /** kill -9. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data. Resolves when it answers. */
  start(): Promise<void>;
  /** Lets it neither answer nor hang up. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
};

const PLANS = { kafka: kafkaPrograms, nats: natsPrograms, rabbitmq: rabbitPrograms };
const STOP_LIMIT_MS = 2_000;

/** @throws where this machine lacks it */
export async function startBroker(name: BrokerName, extra: Record<string, string> = {}): Promise<Broker> {
  const finding = await findBroker(name, process.env);
  if (!('programs' in finding)) throw new Error(finding.missing);
  const folder = mkdtempSync(join(tmpdir(), `order-saga-${name}-`));
  const { programs, settings } = await PLANS[name](finding.programs, folder, extra);
  const running: Running[] = [];
  const launch = async (program: Program) => {
    const launched = run(program);
    running.push(launched);
    await untilReady(program, launched);
  };
  for (const program of programs) await launch(program);
  const server = () => running.at(-1) as Running;
  const signal = (kind: NodeJS.Signals) => process.kill(-(server().pid as number), kind); // its whole group
  return {
    name,
    settings,
    address: Object.values(settings)[0] as string,
    kill: async () => {
      server().kill();
      await server().exited;
      running.pop();
    },
    start: () => launch(programs.at(-1) as Program),
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    stop: async () => {
      for (const each of running.reverse()) {
        each.kill();
        await each.stop(STOP_LIMIT_MS);
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
