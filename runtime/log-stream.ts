/**
 * Where log lines go: to standard output, some at a time, as a write costs far more than what it writes, and an order has five
 * lines. A warning or worse is written at once, with all lines before it; anything less within a tenth of a second. Only a process
 * that is killed loses what has waited for that.
 */
import { type Output, openStandardOutput } from './standard-output.js';

/** Shorter than whoever reads along notices; with 40 orders a second, twenty lines. */
const WAIT_MAX_MS = 100;
/** Docker copies that much of a container's output at a time. */
const WAITING_MAX_CHARS = 16 * 1024;
const AT_ONCE = 40; // pino's number for `warn`

type LogStream = { lastLevel: number; write: (line: string) => void; flushSync: () => void };

/** @param output by default standard output */
export function openLogStream(output: Output = openStandardOutput()): LogStream {
  let waiting = '';
  let timer: NodeJS.Timeout | undefined;
  const writeOut = () => {
    clearTimeout(timer);
    timer = undefined;
    if (waiting === '') return;
    const text = waiting;
    waiting = '';
    output.write(text);
  };
  const flushSync = () => {
    writeOut();
    output.flushSync();
  };
  process.once('beforeExit', writeOut);
  process.once('exit', flushSync);
  const stream: LogStream = {
    lastLevel: 0,
    write: (line) => {
      waiting += line;
      if (stream.lastLevel >= AT_ONCE || waiting.length >= WAITING_MAX_CHARS) writeOut();
      else timer ??= setTimeout(writeOut, WAIT_MAX_MS).unref();
    },
    flushSync, // pino calls it after a line of level `fatal`
  };
  // By this sign pino says of each line how grave it is.
  return Object.assign(stream, { [Symbol.for('pino.metadata')]: true });
}
