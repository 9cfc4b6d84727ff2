/**
 * Journal: an append-only file of lines in which a line, once `append` has resolved, survives kill -9 and power loss.
 * Lines that arrive while a sync is under way share the next one (group commit), so that the disk's latency bounds one
 * request and not their number.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, rmSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asideOf, copyBehind, type Rewriting, rewriteAside, syncFolder } from './rewriting.js';

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
  /**
   * Puts another file in the place of this one, in which the lines so far are what `rewriting` makes of them; those that arrive
   * meanwhile follow as they are. A crash at any point leaves the one or the other, whole. One at a time.
   * @throws if the other cannot be written, or the journal is closed meanwhile; then this one goes on
   */
  rewrite(rewriting: Rewriting): Promise<void>;
  close(): Promise<void>;
}

interface Options {
  /** Is given every complete line, oldest first; it throws on a damaged one. */
  onLine: (line: string) => void;
  /** Called once when a write or sync fails; the journal then refuses everything: after a failed sync it is not known what is on disk. */
  onFatal: (err: unknown) => void;
}

export async function openJournal(path: string, { onLine, onFatal }: Options): Promise<Journal> {
  rmSync(asideOf(path), { force: true }); // of one that died before it took the place
  const size = replay(path, onLine);
  return new FileJournal(path, { file: await open(path, 'a'), size, onFatal });
}

class FileJournal implements Journal {
  #file: FileHandle;
  #size: number;
  readonly #onFatal: (err: unknown) => void;
  #batch = newBatch();
  #newest: Promise<void> = Promise.resolve();
  #flushing: Promise<void> | undefined;
  #broken = false;
  #closing = false;
  #jotting: NodeJS.Timeout | undefined;
  #rewriting: Promise<void> | undefined;
  /** The file is being exchanged: what arrives waits for the new one. */
  #exchanging = false;

  constructor(
    private readonly path: string,
    { file, size, onFatal }: { file: FileHandle; size: number; onFatal: (err: unknown) => void },
  ) {
    this.#file = file;
    this.#size = size;
    this.#onFatal = onFatal;
  }

  append(line: string): Promise<void> {
    if (this.#broken) return this.#newest;
    this.#batch.lines.push(`${line}\n`);
    this.#newest = this.#batch.done;
    this.#begin();
    return this.#newest;
  }

  jot(line: string): void {
    if (this.#broken) return;
    this.#batch.lines.push(`${line}\n`);
    this.#jotting ??= setTimeout(() => this.#begin(), JOT_AFTER_MS);
  }

  durable(): Promise<void> {
    return this.#newest;
  }

  async rewrite(by: Rewriting): Promise<void> {
    if (this.#broken || this.#closing) throw new Error('the journal is closed');
    if (this.#rewriting) throw new Error('Bug! The journal is being rewritten already.');
    this.#rewriting = this.#rewrite(by);
    try {
      await this.#rewriting;
    } finally {
      this.#rewriting = undefined;
      if (!this.#broken) this.#begin();
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#rewriting?.catch(() => undefined);
    if (!this.#broken) this.#begin();
    await this.#flushing;
    this.#broken = true;
    this.#newest = Promise.reject(new Error('the journal is closed'));
    this.#newest.catch(() => {});
    await this.#file.close();
  }

  #begin(): void {
    clearTimeout(this.#jotting);
    this.#jotting = undefined;
    if (this.#batch.lines.length > 0 && !this.#exchanging) this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    while (this.#batch.lines.length > 0 && !this.#exchanging) {
      const current = this.#batch;
      this.#batch = newBatch();
      try {
        const bytes = Buffer.from(current.lines.join(''));
        await this.#file.appendFile(bytes);
        await this.#file.datasync();
        this.#size += bytes.length;
        current.resolve();
      } catch (err) {
        this.#fail(current, err);
        return;
      }
    }
    this.#flushing = undefined;
  }

  #fail(current: Batch, err: unknown): void {
    this.#broken = true;
    current.reject(err);
    this.#batch.reject(err);
    this.#newest = this.#batch.done;
    this.#onFatal(err);
  }

  async #rewrite(rewriting: Rewriting): Promise<void> {
    const rewritten = this.#size;
    const isStopped = () => this.#broken || this.#closing;
    const aside = await rewriteAside(this.path, { end: rewritten, rewriting, isStopped });
    this.#exchanging = true;
    try {
      await this.#flushing;
      if (this.#broken) throw new Error('the journal cannot be written');
      const written = await copyBehind(this.path, { from: rewritten, to: this.#size, aside });
      await rename(asideOf(this.path), this.path);
      await this.#moveTo(aside, written);
    } catch (err) {
      if (this.#file !== aside) await aside.close();
      rmSync(asideOf(this.path), { force: true });
      throw err;
    } finally {
      this.#exchanging = false;
    }
  }

  /** @throws when it is not known which of the two files a crash would leave: then nothing more may be written to either */
  async #moveTo(aside: FileHandle, written: number): Promise<void> {
    const before = this.#file;
    this.#file = aside;
    this.#size = written;
    await before.close();
    try {
      syncFolder(dirname(this.path));
    } catch (err) {
      this.#fail(newBatch(), err);
      throw err;
    }
  }
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

/** Reads every complete line, cuts off a torn last one (it was never acknowledged), and makes the file itself durable. @returns its size */
function replay(path: string, onLine: (line: string) => void): number {
  const file = openSync(path, 'a+');
  let end: number;
  try {
    end = readLines(file, path, onLine);
    ftruncateSync(file, end);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(dirname(path));
  return end;
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
