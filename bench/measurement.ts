/** Measurement: some work, how long it took, and what CPU time each program has spent because of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuByName, type Roots } from './processes.js';
import { sum } from './statistics.js';

export type Subject = {
  /** Asked each time: a program that died is another process now. */
  roots: () => Roots;
  /** Processes that are not to be counted. */
  except?: ReadonlySet<number>;
};

export type Measured<T> = { result: T; elapsedMs: number; cpuMs: Map<string, number>; totalCpuMs: number };

const LOOK_EVERY_MS = 250;
/** Below this share of a core, what still runs is what always runs: polls, timers, heartbeats. */
const IDLE_SHARE = 0.08;
const QUIET_LIMIT_MS = 10_000;

/** The time is until `work` ends; the CPU time is until no process works any more, so that nothing is left to the next one. */
export async function measure<T>({ roots, except }: Subject, work: () => Promise<T>): Promise<Measured<T>> {
  const before = cpuByName(roots(), except);
  const start = performance.now();
  const result = await work();
  const elapsedMs = performance.now() - start;
  const after = await untilSettled(() => cpuByName(roots(), except));
  const cpuMs = new Map([...after].map(([name, used]) => [name, used - (before.get(name) ?? 0)]));
  return { result, elapsedMs, cpuMs, totalCpuMs: sum([...cpuMs.values()]) };
}

/** Waits until the programs do next to nothing. @returns what they had used by then */
export async function untilSettled(read: () => Map<string, number>): Promise<Map<string, number>> {
  const deadline = performance.now() + QUIET_LIMIT_MS;
  for (let last = read(); ; ) {
    const from = performance.now();
    await sleep(LOOK_EVERY_MS);
    const now = read();
    const spentMs = sum([...now.values()]) - sum([...last.values()]);
    if (spentMs <= IDLE_SHARE * (performance.now() - from) || performance.now() > deadline) return now;
    last = now;
  }
}
