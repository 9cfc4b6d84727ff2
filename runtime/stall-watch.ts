/**
 * The stall watch: a thread of its own that ends this process if, and only if, its event loop stands still. Such a process answers nobody,
 * its own shutdown included, and Docker restarts what has died but not what is unhealthy; so it has to die. What is in work is tried again
 * elsewhere, as after any kill. A process that is frozen as a whole (SIGSTOP, a machine that sleeps) is none: its watch stands still as well.
 */
import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { BEATS, type Guarded, IS_DEBUGGED } from './stall-watch-thread.js';

/** A small share of any limit worth setting, and nothing to pay for. */
const BEAT_EVERY_MS = 1_000;

/** @param stallMaxMs how long the event loop may stand still; 0 = for ever, without a watch */
export function startStallWatch(name: string, stallMaxMs: number): void {
  if (stallMaxMs === 0) return;
  const shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  const beat = () => {
    Atomics.add(shared, BEATS, 1);
    // A breakpoint is a standstill that somebody wants.
    Atomics.store(shared, IS_DEBUGGED, inspector.url() === undefined ? 0 : 1);
  };
  const workerData: Guarded = { shared, name, pid: process.pid, stallMaxMs };
  const thread = new Worker(new URL('./stall-watch-thread.js', import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
  });
  thread.unref();
  setInterval(beat, Math.min(BEAT_EVERY_MS, stallMaxMs / 4)).unref();
}
