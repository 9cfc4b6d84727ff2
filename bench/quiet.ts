/** Quiet: whether this machine has anything else to do. Figures from a busy machine compare nothing. */
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuByName, machineCpu } from './processes.js';
import { sum } from './statistics.js';

const FIRST_LOOK_MS = 2_000;
/** Of one core. */
const NOISE_MAX = 0.1;

export type QuietWatch = {
  /** Cores' worth of CPU that others have used, or the host has taken, since the watch began. */
  others: () => number;
  describe: () => string;
  isQuiet: () => boolean;
};

/** Everything that this process has started, itself included, is ours. */
export async function watchQuiet(say: (text: string) => void): Promise<QuietWatch> {
  const first = readNoise();
  await sleep(FIRST_LOOK_MS);
  const noise = noiseSince(first);
  if (noise > NOISE_MAX) {
    say(
      `WARNING: something else keeps ${noise.toFixed(2)} of ${availableParallelism()} cores busy. What follows is of little worth.`,
    );
  }
  const load = loadavg()[0]?.toFixed(2);
  const others = () => noiseSince(first);
  return {
    others,
    describe: () => `load average ${load} before; others used ${others().toFixed(2)} cores during the run`,
    isQuiet: () => others() <= NOISE_MAX,
  };
}

type Noise = { atMs: number; othersMs: number };

function readNoise(): Noise {
  const ours = sum([...cpuByName(new Map([[process.pid, 'bench']])).values()]);
  const { busyMs, stolenMs } = machineCpu();
  return { atMs: performance.now(), othersMs: busyMs + stolenMs - ours };
}

function noiseSince(first: Noise): number {
  const now = readNoise();
  return Math.max(0, now.othersMs - first.othersMs) / (now.atMs - first.atMs);
}
