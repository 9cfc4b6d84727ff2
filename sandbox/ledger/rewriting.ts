/**
 * Rewriting: how a journal's file gets a successor. It is written beside it, synced, and renamed into its place: before that the
 * old one is whole, and afterwards the new one.
 */
import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Small enough that whoever waits for an answer does not notice, large enough to be done soon. */
const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/** What becomes of the lines of a journal. */
export interface Rewriting {
  /** @returns the lines that take the place of this one */
  line(line: string): Iterable<string>;
  /** @returns the lines behind the last one */
  end(): Iterable<string>;
}

export const asideOf = (path: string): string => `${path}.new`;

/** @param end how far the old file is rewritten: the end of a line. @returns the new one, open for more */
export async function rewriteAside(
  path: string,
  { end, rewriting, isStopped }: { end: number; rewriting: Rewriting; isStopped: () => boolean },
): Promise<FileHandle> {
  const source = await open(path, 'r');
  let target: FileHandle | undefined;
  try {
    target = await open(asideOf(path), 'w');
    for await (const lines of linesOf(source, end)) {
      if (isStopped()) throw new Error('the journal is being closed');
      await write(target, successors(lines, rewriting));
    }
    await write(target, rewriting.end());
    return target;
  } catch (err) {
    await target?.close();
    rmSync(asideOf(path), { force: true });
    throw err;
  } finally {
    await source.close();
  }
}

/** Copies what was appended to the old file meanwhile. @returns the size of the new one, all of which is on disk */
export async function copyBehind(
  path: string,
  { from, to, aside }: { from: number; to: number; aside: FileHandle },
): Promise<number> {
  const source = await open(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let at = from; at < to; ) {
      const { bytesRead } = await source.read(chunk, 0, Math.min(CHUNK_BYTES, to - at), at);
      if (bytesRead === 0) throw new Error(`Bug! ${path} is shorter than what was written to it.`);
      await aside.appendFile(chunk.subarray(0, bytesRead));
      at += bytesRead;
    }
  } finally {
    await source.close();
  }
  await aside.sync();
  return (await aside.stat()).size;
}

export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** In groups, so that other work has its turn between them. */
async function* linesOf(source: FileHandle, end: number): AsyncGenerator<string[]> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let rest = Buffer.alloc(0);
  for (let at = 0; at < end; ) {
    const { bytesRead } = await source.read(chunk, 0, Math.min(CHUNK_BYTES, end - at), at);
    if (bytesRead === 0) throw new Error('Bug! The journal is shorter than what was written to it.');
    at += bytesRead;
    const bytes = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    const stop = bytes.lastIndexOf(NEWLINE) + 1;
    rest = Buffer.from(bytes.subarray(stop));
    yield bytes.toString('utf8', 0, stop).split('\n').filter(Boolean);
  }
}

function* successors(lines: string[], rewriting: Rewriting): Generator<string> {
  for (const line of lines) yield* rewriting.line(line);
}

async function write(target: FileHandle, lines: Iterable<string>): Promise<void> {
  let text = '';
  for (const line of lines) {
    text += `${line}\n`;
    if (text.length < CHUNK_BYTES) continue;
    await target.appendFile(text);
    text = '';
  }
  if (text !== '') await target.appendFile(text);
}
