/**
 * Leftovers: programs whose launcher was killed before it could stop them. The watchdogs of program.ts are about to stop
 * them, or were killed, too; the next launcher must not find them on its ports and files.
 */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTimeOf } from './start-time.mjs';
import { writePrivate } from '../data-dir.js';
import { say } from '../say.mjs';

/** `birth`, its start time, tells the program from another one that was given the same id later. */
type Entry = { name: string; pid: number; birth: string; stopSignal: NodeJS.Signals };

export type Register = {
  add: (name: string, pid: number, stopSignal: NodeJS.Signals) => void;
  remove: (pid: number) => void;
};

/** The list of what runs now, kept in a file for the launcher that comes after a crash. */
export function openRegister(file: string): Register {
  let entries: Entry[] = [];
  const save = () => writePrivate(file, JSON.stringify(entries, null, 2));
  save();
  return {
    add: (name, pid, stopSignal) => {
      const startTime = startTimeOf(pid);
      if (startTime === undefined) return; // gone already
      entries.push({ name, pid, birth: startTime, stopSignal });
      save();
    },
    remove: (pid) => {
      entries = entries.filter((entry) => entry.pid !== pid);
      save();
    },
  };
}

const STOP_LIMIT_MS = 5_000;
const POLL_MS = 50;

/** Stops what an earlier launcher's register lists and still lives. @returns how many that were */
export async function reapLeftovers(file: string, limitMs = STOP_LIMIT_MS): Promise<number> {
  const alive = readEntries(file).filter(isAlive);
  await Promise.all(alive.map((entry) => reap(entry, limitMs)));
  return alive.length;
}

async function reap(entry: Entry, limitMs: number): Promise<void> {
  say(`Stopping ${entry.name} (process ${entry.pid}), left behind by an earlier run.`);
  signal(entry.pid, entry.stopSignal);
  const deadline = performance.now() + limitMs;
  while (isAlive(entry)) {
    if (performance.now() > deadline) signal(-entry.pid, 'SIGKILL'); // its whole group
    await sleep(POLL_MS);
  }
}

const isAlive = ({ pid, birth: startTime }: Entry): boolean => startTimeOf(pid) === startTime;

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}

function readEntries(file: string): Entry[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Entry[]) : [];
}
