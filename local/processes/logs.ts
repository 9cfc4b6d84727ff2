/**
 * Logs: each program writes to a file of its own, directly, so that logging costs the launcher nothing and survives it.
 * What a person at the console should see of it, warnings and worse, is read from there.
 */
import { closeSync, copyFileSync, existsSync, openSync, readSync, renameSync, statSync, truncateSync } from 'node:fs';
import { safely } from './guard.js';

/** Unattended for weeks, a log must not fill the disk: beyond this it starts over, and what was in it is kept as `.1`. */
const SIZE_MAX = 64 * 1024 * 1024;
/** Of each program. Somebody who starts it again and again must not push out the log of the crash that made him. */
const KEPT = 5;
const LOOK_MS = 250;
const CHUNK = 64 * 1024;

/** The previous run's log is kept as `.1`, the ones before it as `.2` to `.5`. */
export function rotate(file: string): void {
  if (!existsSync(file)) return;
  makeRoom(file);
  renameSync(file, `${file}.1`);
}

function makeRoom(file: string): void {
  for (let nth = KEPT - 1; nth >= 1; nth--)
    if (existsSync(`${file}.${nth}`)) renameSync(`${file}.${nth}`, `${file}.${nth + 1}`);
}

/** Prints what a Node program logs at `warn` and above, and whatever is not a log line, such as a stack. @returns stop */
export function showWarnings(name: string, file: string, print: (line: string) => void): () => void {
  let offset = 0;
  let rest = '';
  const look = safely('log', () => {
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size < offset) offset = 0;
    while (offset < size) {
      const text = readFrom(file, offset);
      offset += text.length;
      const lines = (rest + text.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const shown = worthShowing(line);
        if (shown !== undefined) print(`[${name}] ${shown}`);
      }
    }
    if (size > SIZE_MAX) {
      makeRoom(file);
      copyFileSync(file, `${file}.1`);
      truncateSync(file); // its writers append, so they go on at the start
      offset = 0;
    }
  });
  look();
  const timer = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(timer);
    look();
  };
}

function readFrom(file: string, offset: number): Buffer {
  const buffer = Buffer.alloc(CHUNK);
  const fd = openSync(file, 'r');
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, CHUNK, offset));
  } finally {
    closeSync(fd);
  }
}

const SHOWN = /"level":"(warn|error|fatal)"/;

function worthShowing(line: string): string | undefined {
  if (line === '') return undefined;
  if (!line.startsWith('{')) return line;
  if (!SHOWN.test(line)) return undefined; // before parsing: nearly all lines end here
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level: string;
      msg?: string;
      err?: { message?: string } | string;
    };
    const cause = typeof err === 'string' ? err : err?.message;
    return `${level}: ${msg ?? ''}${cause === undefined ? '' : ` (${cause})`}`;
  } catch {
    return line;
  }
}
