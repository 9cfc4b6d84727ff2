/** A process with all that descends from it: Postgres' sessions lead sessions of their own, which a signal to its group does not reach. */
import { readFileSync } from 'node:fs';

/** The parent first. */
export function processTree(pid: number): number[] {
  const all = [pid];
  for (let at = 0; at < all.length; at++) all.push(...childrenOf(all[at] as number));
  return all;
}

/** One that has ended meanwhile is passed over. */
export function signalTree(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  for (const one of processTree(pid)) {
    try {
      process.kill(one, signal);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
