/**
 * Download of the Temporal CLI from its publisher's release. Nothing of an archive is unpacked, let alone run, unless its SHA-256 is
 * the one in checksums.json, which was read from the publisher once (`npm run pin`); while that has none for this machine's archive, it is
 * the one that the release states now.
 */
import { createHash } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runToEnd } from '../processes/command.js';
import { safely } from '../processes/guard.js';
import { checksums } from './checksums.js';

/** A network that drops packets answers nothing, for ever; one that is slow still moves. */
const STALL_MS = 30_000;
const LIMIT_MS = 15 * 60_000;
const UNPACK_LIMIT_MS = 60_000;

export type Release = {
  /** Where its files are. */
  url: string;
  version: string;
  /** Name of an archive → SHA-256 in hex, as far as they are known beforehand. */
  checksums: Readonly<Record<string, string>>;
};

export const releaseOf = (version: string): Release => ({
  url: `https://github.com/temporalio/cli/releases/download/v${version}`,
  version,
  checksums,
});

const OS: Partial<Record<NodeJS.Platform, string>> = { linux: 'linux', darwin: 'darwin', win32: 'windows' };
const ARCH: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/** @returns the name of this machine's archive. @throws Error if there is none */
export function archiveName(version: string, platform = process.platform, arch: string = process.arch): string {
  const [os, cpu] = [OS[platform], ARCH[arch]];
  if (os === undefined || cpu === undefined) throw new Error(`there is no release for ${platform} on ${arch}`);
  return `temporal_cli_${version}_${os}_${cpu}.tar.gz`;
}

/** @returns the program, in `folder`. @throws Error why not */
export async function downloadRelease({ url, version, checksums }: Release, folder: string): Promise<string> {
  const name = archiveName(version);
  const archive = join(folder, name);
  const wanted = checksums[name] ?? (await statedChecksum(url, name));
  await withoutStalling(async (signal, moved) => {
    const response = await fetch(`${url}/${name}`, { signal });
    if (!response.ok || response.body === null) throw new Error(`${url}/${name} answers ${response.status}`);
    const body = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream);
    body.on('data', moved);
    await pipeline(body, createWriteStream(archive, { mode: 0o600 }), { signal });
  });
  const found = createHash('sha256').update(readFileSync(archive)).digest('hex');
  if (found !== wanted)
    throw new Error(`${name} has the SHA-256 ${found}, and its publisher says ${wanted}: it is not used`);
  const program = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
  const args = ['-xzf', archive, '-C', folder, program];
  const { failure, output } = await runToEnd('tar', args, { timeoutMs: UNPACK_LIMIT_MS });
  if (failure !== undefined) throw new Error(`${name} could not be unpacked (${failure}): ${output.slice(0, 200)}`);
  return join(folder, program);
}

/** As the release has it: a line per file, `<sha256>  <name>`. */
async function statedChecksum(url: string, name: string): Promise<string> {
  const text = await withoutStalling(async (signal) => {
    const response = await fetch(`${url}/checksums.txt`, { signal });
    if (!response.ok) throw new Error(`${url}/checksums.txt answers ${response.status}`);
    return response.text();
  });
  const stated = text.split('\n').flatMap((line) => {
    const [sum = '', file] = line.trim().split(/\s+\*?/);
    return file === name && /^[0-9a-f]{64}$/.test(sum) ? [sum] : [];
  });
  if (stated[0] === undefined) throw new Error(`${url}/checksums.txt has no SHA-256 of ${name}`);
  return stated[0];
}

/** @param work calls `moved` whenever something has arrived */
async function withoutStalling<T>(work: (signal: AbortSignal, moved: () => void) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const stop = (why: string) => safely('download', () => abort.abort(new Error(why)));
  const limit = setTimeout(stop('it took too long'), LIMIT_MS);
  const stall = setTimeout(stop('nothing arrives'), STALL_MS);
  try {
    return await work(abort.signal, () => stall.refresh());
  } catch (err) {
    if (abort.signal.aborted) throw abort.signal.reason;
    throw new Error(causeOf(err), { cause: err });
  } finally {
    clearTimeout(limit);
    clearTimeout(stall);
  }
}

/** fetch says "fetch failed", and why only in its cause. */
const causeOf = (err: unknown): string => {
  const { message = String(err), cause } = err as { message?: string; cause?: { message?: string } };
  return cause?.message ? `${message}: ${cause.message}` : message;
};
