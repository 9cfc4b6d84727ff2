/**
 * Standard output, for the log: whole lines in their order. Node makes a pipe one that does not block, so whoever does not read it holds up
 * nobody: what it does not take waits here, up to a limit, beyond which the newest lines are lost, and told of as soon as that is possible.
 */
import { writeSync } from 'node:fs';
import { unexpectedErrors } from './guard.js';

export type Output = { write: (text: string) => void; flushSync: () => void };

const AGAIN_AFTER_MS = 50;
/** At 40 orders a second some minutes; less than what a process needs anyway. */
const KEPT_MAX_BYTES = 32 * 1024 * 1024;
/** For what a process that ends has left to say. Its own stop and this stay below what it is granted before it is killed. */
const LAST_WORDS_MS = 3_000;

type Options = { keptMaxBytes?: number; lastWordsMs?: number; writeTo?: (bytes: Buffer) => number };

export function openStandardOutput({
  keptMaxBytes = KEPT_MAX_BYTES,
  lastWordsMs = LAST_WORDS_MS,
  writeTo = writeToStdout,
}: Options = {}): Output {
  const kept: Buffer[] = [];
  let [keptBytes, lostLines] = [0, 0];
  let timer: NodeJS.Timeout | undefined;
  let [isClosed, isFailing] = [false, false];

  /** @returns how many bytes it has taken */
  const give = (bytes: Buffer): number => {
    try {
      const taken = writeTo(bytes);
      isFailing = false;
      return taken;
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException;
      isClosed = code === 'EPIPE'; // whoever has read it has gone, and nobody else will
      if (!isFailing && !isClosed && code !== 'EAGAIN') unexpectedErrors.inc({ place: 'standard output' });
      isFailing = code !== 'EAGAIN';
      return 0;
    }
  };
  /** @returns whether nothing waits any more */
  const giveAll = (): boolean => {
    for (let first = kept[0]; first !== undefined && !isClosed; first = kept[0]) {
      const taken = give(first);
      if (taken === 0) break;
      keptBytes -= taken;
      if (taken === first.length) kept.shift();
      else kept[0] = first.subarray(taken);
    }
    if (isClosed) kept.length = 0;
    if (kept.length > 0) return false;
    if (lostLines === 0) return true;
    const lines = lostLines;
    lostLines = 0;
    keep(lostLine(lines));
    return giveAll();
  };
  const keep = (text: string): void => {
    const bytes = Buffer.from(text);
    kept.push(bytes);
    keptBytes += bytes.length;
  };
  const tryAgain = () => {
    timer = undefined;
    if (!giveAll()) timer = setTimeout(tryAgain, AGAIN_AFTER_MS).unref();
  };
  return {
    write: (text) => {
      if (isClosed) return;
      if (keptBytes + text.length > keptMaxBytes) lostLines += text.split('\n').length - 1;
      else keep(text);
      if (timer === undefined) tryAgain();
    },
    flushSync: () => {
      for (const until = performance.now() + lastWordsMs; !giveAll() && performance.now() < until; ) rest();
    },
  };
}

function writeToStdout(bytes: Buffer): number {
  void process.stdout; // at its first use Node makes a pipe one that does not block
  return writeSync(1, bytes);
}

const lostLine = (lines: number): string =>
  `${JSON.stringify({ level: 'error', time: new Date(), pid: process.pid, lines, msg: 'log lines were lost: standard output did not take them' })}\n`;

const never = new Int32Array(new SharedArrayBuffer(4));
const rest = () => Atomics.wait(never, 0, 0, AGAIN_AFTER_MS);
