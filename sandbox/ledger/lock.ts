/**
 * Lock: one process at a time may own a ledger; two would each answer from half of the facts. The lock is a file naming
 * its owner by process id and start time, so that a process that merely inherited a dead owner's id does not count as it.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/** Two starters may find the same stale lock; one of them wins each round, so a few rounds decide. */
const ROUNDS = 5;

export class LockedError extends Error {
  override name = 'LockedError';
}

/** @returns releases the lock. @throws LockedError while its owner lives */
export function acquireLock(path: string): () => void {
  const mine = JSON.stringify({ pid: process.pid, birth: startTimeOf(process.pid) });
  for (let round = 0; round < ROUNDS; round += 1) {
    if (claim(path, mine)) return () => release(path, mine);
    const theirs = read(path);
    if (theirs === undefined) continue;
    const owner = livingOwner(theirs);
    if (owner !== undefined) throw new LockedError(`another sandbox (process ${owner}) owns ${path}`);
    discard(path, theirs);
  }
  throw new LockedError(`several sandboxes are starting on ${path} at once`);
}

/** The file appears complete or not at all: a reader never sees half a lock. */
function claim(path: string, content: string): boolean {
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, content);
  try {
    linkSync(draft, path);
    return true;
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err;
    return false;
  } finally {
    unlinkSync(draft);
  }
}

/** Takes a dead owner's lock away; gives it back if someone else took over between our look and our grasp. */
function discard(path: string, stale: string): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== stale) linkSync(aside, path);
    unlinkSync(aside);
  } catch (err) {
    if (!['ENOENT', 'EEXIST'].includes((err as NodeJS.ErrnoException).code ?? '')) throw err;
  }
}

function release(path: string, mine: string): void {
  if (read(path) === mine) unlinkSync(path);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw err;
  }
}

function livingOwner(content: string): number | undefined {
  try {
    const { pid, birth } = JSON.parse(content) as { pid: number; birth?: string };
    return birth !== undefined && birth === startTimeOf(pid) ? pid : undefined;
  } catch {
    return undefined; // not written by us, or by a disk that lost it: it has no owner
  }
}

/** When the process started, as text to compare; undefined if there is none (a zombie is none: it has let go of its files). */
function startTimeOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return startTimeByPs(pid);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before it may contain anything
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

function startTimeByPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
