/**
 * The erasure journal as a file: a line of JSON per entry, all of one length, so that an entry is found by its number however long the
 * journal is. Nothing is ever changed in it but a last line that a crash has cut, whose entry nobody was told of.
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
  const whole = size - (size % LINE_BYTES);
  if (whole !== size) await file.truncate(whole);
  const count = whole / LINE_BYTES;
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
  const lines = await readLines(file, path, { from: isStart ? 1 : place.position, count: isStart ? limit : limit + 1 });
  if (!isStart) verifyPlace(place, lines.shift(), path);
  verifyChain(place, lines, path);
  return lines;
}

/** @param from the number of the first, from 1 @returns fewer where the file ends; without a last line that was cut */
async function readLines(
  file: FileHandle,
  path: string,
  { from, count }: { from: number; count: number },
): Promise<JournalEntry[]> {
  if (from < 1) return [];
  const { bytesRead, buffer } = await file.read(
    Buffer.alloc(count * LINE_BYTES),
    0,
    count * LINE_BYTES,
    (from - 1) * LINE_BYTES,
  );
  const whole = Math.floor(bytesRead / LINE_BYTES);
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
