/**
 * Real brokers, each on free ports with its data in a folder of its own; gone with whoever started them, however that ends.
 * A broker that this machine lacks is skipped by name, or fails the run where REQUIRE_BROKERS=1.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { type BrokerName, findBroker } from '../../local/broker-programs.js';
import { type Program, type Running, run, untilReady } from '../../local/program.js';
import { kafkaPrograms } from './broker-kafka.js';
import { natsPrograms } from './broker-nats.js';
import { rabbitPrograms } from './broker-rabbitmq.js';

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

/** What a broker's test begins with, at the top level of its file: whether it can be had is asked before tests are listed. */
export async function describeWithBroker(
  name: BrokerName,
  tests: (start: () => Promise<Broker>) => void,
): Promise<void> {
  const missing = await whyMissing(name);
  if (missing === undefined) describe(name, () => tests(() => startBroker(name)));
  else describe.skip(`${name} (skipped; ${missing})`, () => tests(() => startBroker(name)));
}

/** @returns those of them that this machine has */
export async function brokersHere(names: readonly BrokerName[]): Promise<BrokerName[]> {
  const missing = await Promise.all(names.map(whyMissing));
  return names.filter((_, index) => missing[index] === undefined);
}

/** Says so where everybody sees it. @throws where REQUIRE_BROKERS=1 */
async function whyMissing(name: BrokerName): Promise<string | undefined> {
  const finding = await findBroker(name, process.env);
  if ('programs' in finding) return undefined;
  if (process.env['REQUIRE_BROKERS'] === '1') throw new Error(`REQUIRE_BROKERS=1, but ${finding.missing}`);
  process.stderr.write(`Skipped: ${finding.missing}\n`);
  return finding.missing;
}

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
