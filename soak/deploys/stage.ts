/** What the acts of a run play on: the installation, its customers, the crowd, and the notes that are taken of each act. */
import { join } from 'node:path';
import { freePort } from '../../local/processes/ports.js';
import type { Call, OperationLog } from '../operation-log.js';
import type { Installation } from '../world/installation.js';
import { type Part, startPart } from '../world/part.js';
import { serviceProgramOf } from '../world/programs.js';
import { until } from '../world/waiting.js';
import { countInFlight } from './crowd.js';
import { ops, type Told } from './operator.js';

/** What customers noticed of an act. */
export type Act = {
  name: string;
  seconds: number;
  /** Sagas that were running when it ended, and those of them that were parked. */
  inFlight: { running: number; parked: number };
  orders: number;
  retried: number;
  /** No answer at the second try either. */
  failed: number;
  p99Ms: number;
  slowestMs: number;
  /** For the builds that sagas of it began on. */
  fromMs: number;
  toMs: number;
};

export type Stage = {
  around: Installation;
  /** Plays it, with customers ordering all the while. */
  act: <T>(name: string, play: () => Promise<T>) => Promise<T>;
  acts: () => Act[];
  /** What should not have been. */
  violations: string[];
  /** A worker beside the others, of another build. */
  engage: (build: string, settings?: NodeJS.ProcessEnv) => Promise<Part>;
  ops: (...args: string[]) => Promise<Told>;
};

const READY_LIMIT_MS = 120_000;

type StageOptions = {
  around: Installation;
  log: OperationLog;
  settings: NodeJS.ProcessEnv;
  stops: (() => Promise<unknown>)[];
  say: (text: string) => void;
};

export function createStage({ around, log, settings, stops, say }: StageOptions): Stage {
  const acts: Act[] = [];
  return {
    around,
    acts: () => acts,
    violations: [],
    act: async (name, play) => {
      say(name);
      const [fromMs, logFromMs] = [Date.now(), log.nowMs()];
      const result = await play();
      const calls = log.calls().filter(({ beganMs }) => beganMs >= logFromMs);
      const inFlight = await countInFlight(around);
      const toMs = Date.now();
      acts.push({ name, seconds: Math.round((toMs - fromMs) / 1_000), inFlight, ...noticed(calls), fromMs, toMs });
      return result;
    },
    engage: async (build, more = {}) => {
      const name = `worker-${build}`;
      const place = {
        port: undefined,
        metricsPort: await freePort(),
        database: around.direct.database,
        links: around.links,
        consumer: around.consumer,
        logFile: join(around.folder, 'logs', `${name}.log`),
        settings: { ...settings, ...more, TEMPORAL_WORKER_BUILD_ID: build },
      };
      const part = startPart({
        name,
        program: () => serviceProgramOf('worker', place),
        surprised: (says) => around.surprises.push(says),
      });
      stops.push(() => part.retire());
      await until(`${name} is ready`, READY_LIMIT_MS, () => part.isReady());
      return part;
    },
    ops: (...args) => ops(around, ...args),
  };
}

/** Of orders: by the number of tries that each has taken. */
function noticed(calls: readonly Call[]): Pick<Act, 'orders' | 'retried' | 'failed' | 'p99Ms' | 'slowestMs'> {
  const tries = new Map<number, Call[]>();
  for (const call of calls) tries.set(call.operation, [...(tries.get(call.operation) ?? []), call]);
  const all = [...tries.values()];
  const took = calls.map(({ beganMs, endedMs }) => endedMs - beganMs).sort((one, other) => one - other);
  return {
    orders: all.length,
    retried: all.filter(({ length }) => length > 1).length,
    failed: all.filter((of) => of.every(({ outcome }) => outcome === 'unknown')).length,
    p99Ms: took[Math.ceil(took.length * 0.99) - 1] ?? 0,
    slowestMs: took.at(-1) ?? 0,
  };
}
