/**
 * The erasure journal as a file: a line of JSON per entry, all of one length, so that an entry is found by its number however long the
 * journal is. Nothing is ever changed in it but a last line that a crash has torn, whose entry nobody was told of: a part of it is there,
 * or zeros, by which a file system stands for what it had no time to write. Anything else that is no entry is damage.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  JOURNAL_START,
  type JournalEntry,
  type JournalNote,
  type JournalPlace,
} from '../../contracts/erasure-journal.js';
import { entryAfter, verifyChain, verifyPlace } from './chain.js';
import { type ErasureJournal, JournalAway, JournalSpoilt } from './journal.js';

/** With the line break. The longest entry has some 280: the rest is room for what a later release may add. */
const LINE_BYTES = 384;
/** Beyond the torn line: a file system may have rounded the file up to its block. More than that is no single write. */
const BLOCK_BYTES = 4_096;
/** Of zeros, read at once. */
const LOOK_BYTES = 65_536;
const NEWLINE = 10;

/** Runs a work while nobody else who was given the same lock runs one. */
export type Alone = <T>(work: () => Promise<T>) => Promise<T>;

/** @param alone the lock of those who append: two that read the same last line would write two entries of one number */
export function openFileJournal(path: string, alone: Alone): ErasureJournal {
  return {
    where: path,
    append: (note) => alone(() => withFile(path, 'a+', (file) => append(file, path, note))),
    readAfter: (place, limit) =>
      withFile(path, 'r', (file) => readAfter(file, path, { place, limit })).catch((err: unknown) => {
        if (err instanceof JournalAway && codeOf(err.cause) === 'ENOENT') {
          verifyPlace(place, undefined, path);
          return [];
        }
        throw err;
      }),
    cluster: async () => null,
    close: async () => undefined,
  };
}

async function append(file: FileHandle, path: string, note: JournalNote): Promise<JournalEntry> {
  const { size } = await file.stat();
  const count = await countLines(file, path, size);
  if (count * LINE_BYTES !== size) await file.truncate(count * LINE_BYTES);
  const [last] = await readLines(file, path, { from: count, count: 1 });
  const before = count === 0 ? JOURNAL_START : last;
  if (before?.position !== count)
    throw new JournalSpoilt(`line ${count} of the erasure journal ${path} is not entry ${count}`);
  const entry = entryAfter(before, note, new Date());
  await file.appendFile(`${JSON.stringify(entry).padEnd(LINE_BYTES - 1)}\n`);
  await file.sync();
  // A file is there after a crash only if its folder was written, too.
  if (count === 0) await withFile(dirname(path), 'r', (folder) => folder.sync());
  return entry;
}

async function readAfter(
  file: FileHandle,
  path: string,
  { place, limit }: { place: JournalPlace; limit: number },
): Promise<JournalEntry[]> {
  const isStart = place.position === 0;
  const from = isStart ? 1 : place.position;
  const there = (await countLines(file, path, (await file.stat()).size)) - from + 1;
  const lines = await readLines(file, path, { from, count: Math.min(there, isStart ? limit : limit + 1) });
  if (!isStart) verifyPlace(place, lines.shift(), path);
  verifyChain(place, lines, path);
  return lines;
}

/** @returns how many lines were written whole. @throws JournalSpoilt if what stands behind them is more than one torn write */
async function countLines(file: FileHandle, path: string, size: number): Promise<number> {
  const end = await endOfData(file, size);
  const whole = Math.floor(end / LINE_BYTES);
  const last = await readBytes(file, Math.max(0, whole - 1) * LINE_BYTES, whole * LINE_BYTES);
  const rest = await readBytes(file, whole * LINE_BYTES, end);
  const count = last.includes(0) ? whole - 1 : whole;
  if (rest.includes(NEWLINE) || size - count * LINE_BYTES > LINE_BYTES + BLOCK_BYTES)
    throw new JournalSpoilt(`what follows line ${count} of the erasure journal ${path} is no entry`);
  return count;
}

/** @returns where the zeros begin that the file ends with */
async function endOfData(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - LOOK_BYTES);
    const bytes = await readBytes(file, from, end);
    const last = bytes.findLastIndex((byte) => byte !== 0);
    if (last >= 0) return from + last + 1;
    end = from;
  }
  return 0;
}

async function readBytes(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}

/** @param from the number of the first, from 1 @returns fewer where the file ends */
async function readLines(
  file: FileHandle,
  path: string,
  { from, count }: { from: number; count: number },
): Promise<JournalEntry[]> {
  if (from < 1 || count < 1) return [];
  const buffer = await readBytes(file, (from - 1) * LINE_BYTES, (from - 1 + count) * LINE_BYTES);
  const whole = Math.floor(buffer.length / LINE_BYTES);
  return Array.from({ length: whole }, (_, nth) => {
    const line = buffer.toString('utf8', nth * LINE_BYTES, (nth + 1) * LINE_BYTES);
    return parse(line) ?? raise(new JournalSpoilt(`line ${from + nth} of the erasure journal ${path} is no entry`));
  });
}

function parse(line: string): JournalEntry | undefined {
  try {
    return JSON.parse(line) as JournalEntry;
  } catch {
    return undefined;
  }
}

function raise(err: Error): never {
  throw err;
}

async function withFile<T>(path: string, flags: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, flags, 0o600);
    return await work(file);
  } catch (err) {
    if (codeOf(err) === undefined) throw err;
    throw new JournalAway(`the erasure journal ${path} cannot be used (${codeOf(err)})`, { cause: err });
  } finally {
    await file?.close();
  }
}

/** Of what the operating system has refused. */
const codeOf = (err: unknown): string | undefined => {
  const { code, syscall } = (err ?? {}) as NodeJS.ErrnoException;
  return syscall === undefined ? undefined : code;
};
