/**
 * Journal: an append-only file of lines in which a line, once `append` has resolved, survives kill -9 and power loss.
 * Lines that arrive while a sync is under way share the next one (group commit), so that the disk's latency bounds one
 * request and not their number.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Large enough that reading is bound by parsing, small enough never to matter beside the index it fills. */
const READ_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
/** How long a line that no caller waits for may wait itself: a sync of its own would cost as much as a charge's. */
const JOT_AFTER_MS = 1_000;

export interface Journal {
  append(line: string): Promise<void>;
  /** Writes a line together with the next one that a caller waits for, or soon: the last ones may be lost in a crash. */
  jot(line: string): void;
  /** Resolves when everything appended so far is on disk: no answer may name a fact that a crash could still undo. */
  durable(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param onLine  is given every complete line, oldest first; it throws on a damaged one
 * @param onFatal is called once when a write or sync fails; the journal then refuses everything, because after a failed
 *                sync it is not known what is on disk
 */
export async function openJournal(
  path: string,
  { onLine, onFatal }: { onLine: (line: string) => void; onFatal: (err: unknown) => void },
): Promise<Journal> {
  replay(path, onLine);
  const file = await open(path, 'a');
  let batch = newBatch();
  let newest: Promise<void> = Promise.resolve();
  let flushing: Promise<void> | undefined;
  let broken = false;
  let jotting: NodeJS.Timeout | undefined;

  async function flush(): Promise<void> {
    while (batch.lines.length > 0) {
      const current = batch;
      batch = newBatch();
      try {
        await file.appendFile(current.lines.join(''));
        await file.datasync();
        current.resolve();
      } catch (err) {
        broken = true;
        current.reject(err);
        batch.reject(err);
        newest = batch.done;
        onFatal(err);
        return;
      }
    }
    flushing = undefined;
  }
  const begin = () => {
    clearTimeout(jotting);
    jotting = undefined;
    if (batch.lines.length > 0) flushing ??= flush();
  };

  return {
    append(line) {
      if (broken) return newest;
      batch.lines.push(`${line}\n`);
      newest = batch.done;
      begin();
      return newest;
    },
    jot(line) {
      if (broken) return;
      batch.lines.push(`${line}\n`);
      jotting ??= setTimeout(begin, JOT_AFTER_MS);
    },
    durable: () => newest,
    async close() {
      if (!broken) begin();
      await flushing;
      broken = true;
      newest = Promise.reject(new Error('the journal is closed'));
      newest.catch(() => {});
      await file.close();
    },
  };
}

interface Batch {
  lines: string[];
  done: Promise<void>;
  resolve: () => void;
  reject: (err: unknown) => void;
}

function newBatch(): Batch {
  let resolve: Batch['resolve'] = () => {};
  let reject: Batch['reject'] = () => {};
  const done = new Promise<void>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  done.catch(() => {}); // each caller of append gets it; a batch that no caller waits for must not end the process
  return { lines: [], done, resolve, reject };
}

/** Reads every complete line, cuts off a torn last one (it was never acknowledged), and makes the file itself durable. */
function replay(path: string, onLine: (line: string) => void): void {
  const file = openSync(path, 'a+');
  try {
    const end = readLines(file, path, onLine);
    ftruncateSync(file, end);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(dirname(path));
}

/** @returns the offset behind the last complete line */
function readLines(file: number, path: string, onLine: (line: string) => void): number {
  const chunk = Buffer.allocUnsafe(READ_BYTES);
  let rest = Buffer.alloc(0);
  let end = 0;
  let count = 0;
  for (let read = readSync(file, chunk, 0, READ_BYTES, 0); read > 0; ) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(0, read)]) : chunk.subarray(0, read);
    let start = 0;
    for (let stop = bytes.indexOf(NEWLINE); stop >= 0; stop = bytes.indexOf(NEWLINE, start)) {
      count += 1;
      parse(onLine, bytes.toString('utf8', start, stop), `${path}, line ${count}`);
      start = stop + 1;
    }
    end += start;
    rest = Buffer.from(bytes.subarray(start));
    read = readSync(file, chunk, 0, READ_BYTES, end + rest.length);
  }
  return end;
}

function parse(onLine: (line: string) => void, line: string, where: string): void {
  try {
    onLine(line);
  } catch (cause) {
    throw new Error(`The sandbox's ledger is damaged (${where}); move the file away to start afresh.`, { cause });
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
