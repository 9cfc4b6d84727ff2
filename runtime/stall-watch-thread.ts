/** The stall watch's thread. It counts its own ticks rather than time, so that what stands still with it is not held against the event loop. */
import { isMainThread, Worker, workerData } from 'node:worker_threads';

export type Guarded = { shared: Int32Array; name: string; pid: number; stallMaxMs: number };
/** Places in `shared`. */
export const BEATS = 0;
export const IS_DEBUGGED = 1;

const TICKS = 20;
/** For the line to be written, where its reader is slow, or nobody. */
const LAST_WORDS_MS = 5_000;

if (!isMainThread) watch(workerData as Guarded);

function watch({ shared, name, pid, stallMaxMs }: Guarded): void {
  let seen = -1;
  let ticks = 0;
  const timer = setInterval(() => {
    const beats = Atomics.load(shared, BEATS);
    ticks = beats === seen && Atomics.load(shared, IS_DEBUGGED) === 0 ? ticks + 1 : 0;
    seen = beats;
    if (ticks < TICKS) return;
    clearInterval(timer);
    const end = () => process.kill(pid, 'SIGKILL'); // no handler could run
    setTimeout(end, LAST_WORDS_MS);
    say({ name, pid, stallMaxMs }, end);
  }, stallMaxMs / TICKS);
}

/** By a thread of its own: standard error may be what the event loop waits for. */
function say({ name, pid, stallMaxMs }: Omit<Guarded, 'shared'>, then: () => void): void {
  const msg = `the event loop has stood still for ${stallMaxMs} ms (EVENT_LOOP_STALL_MAX): this process ends itself, to be started again`;
  const line = JSON.stringify({ level: 'fatal', time: new Date().toISOString(), pid, name, stallMaxMs, msg });
  new Worker("require('node:fs').writeSync(2, require('node:worker_threads').workerData)", {
    eval: true,
    workerData: `${line}\n`,
  })
    .on('error', () => undefined) // of a pipe that nobody reads: it would end this thread, and spare the process
    .on('exit', then);
}
