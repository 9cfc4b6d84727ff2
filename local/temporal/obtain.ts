/**
 * Two ways to a Temporal CLI that this machine does not have: its publisher's release, and `go install`, whose sources Go compares with
 * its checksum database.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { environment, PROXIES } from '../processes/environment.js';
import { safely } from '../processes/guard.js';
import { say } from '../say.mjs';
import { downloadRelease, releaseOf } from './download.js';

export const CLI_VERSION = '1.5.1';

const BUILD_LIMIT_MS = 30 * 60_000;
const PROGRESS_MS = 15_000;

/** @throws Error why not */
export async function downloadCli(target: string, release = releaseOf(CLI_VERSION)): Promise<void> {
  await inScratch(target, async (scratch) => {
    say(`Downloading the Temporal CLI ${release.version} …`);
    put(await downloadRelease(release, scratch), target);
  });
}

/** @throws Error why not */
export async function buildCli(target: string, env: NodeJS.ProcessEnv): Promise<void> {
  const extension = process.platform === 'win32' ? '.exe' : '';
  const go = onPath(`go${extension}`, env);
  if (go === undefined) throw new Error('there is no `go` on the PATH');
  await inScratch(target, async (scratch) => {
    say(`Building the Temporal CLI ${CLI_VERSION} from source with Go; the first time takes about 5 minutes.`);
    const start = performance.now();
    let spokenAt = start;
    let packages = 0;
    const home = env['HOME'] ? {} : { HOME: dirname(target) }; // Go refuses to work without a home for its cache
    const module = `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`;
    const stamp = `-X github.com/temporalio/cli/temporalcli.Version=${CLI_VERSION}`;
    await command(
      go,
      ['install', '-v', '-ldflags', `-s -w ${stamp}`, module],
      { ...environment(env, ...PROXIES, ...GO_READS), ...home, GOBIN: scratch },
      BUILD_LIMIT_MS,
      (lines) => {
        packages += lines.length;
        if (performance.now() - spokenAt > PROGRESS_MS) {
          spokenAt = performance.now();
          say(`  … ${Math.round((spokenAt - start) / 1000)} s, ${packages} packages fetched or compiled so far`);
        }
        return undefined;
      },
    );
    put(join(scratch, `temporal${extension}`), target);
  });
}

/** Where modules come from, with which credentials, and how C is compiled. */
const GO_READS = [/^(GO|CGO_|GIT_)/, /^SSL_CERT_(FILE|DIR)$/, 'CC', 'CXX', 'SSH_AUTH_SOCK'];

/** Beside the target, so that the last step is a rename: the cache never holds half a file. */
async function inScratch(target: string, work: (folder: string) => Promise<void>): Promise<void> {
  for (const name of readdirSync(dirname(target))) {
    if (name.startsWith(SCRATCH)) rmSync(join(dirname(target), name), { recursive: true, force: true }); // of a crash
  }
  const scratch = mkdtempSync(join(dirname(target), SCRATCH));
  try {
    await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const SCRATCH = '.obtaining-';

function put(file: string, target: string): void {
  chmodSync(file, 0o755);
  mkdirSync(dirname(target), { recursive: true });
  renameSync(file, target);
}

/** @param look called once a second with the lines printed since; a string from it ends the command with that reason */
async function command(
  file: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  limitMs: number,
  look: (lines: string[]) => string | undefined,
): Promise<void> {
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const stop = safely('kill', () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  });
  const lines: string[] = [];
  let last = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      lines.push(
        ...chunk
          .toString()
          .split('\n')
          .filter((line) => line.trim() !== ''),
      );
      last = lines.at(-1) ?? last;
    });
  }
  process.once('exit', stop);
  const start = performance.now();
  let reason: string | undefined;
  const timer = setInterval(
    safely('watch', () => {
      reason = look(lines.splice(0)) ?? (performance.now() - start > limitMs ? 'it took too long' : undefined);
      if (reason !== undefined) stop();
    }),
    1_000,
  );
  try {
    const status = await new Promise<string>((resolve) => {
      child.once('error', (err) => resolve(err.message));
      child.once('exit', (code, signal) => resolve(code === 0 ? '' : `${signal ?? `exit ${code}`}`));
    });
    if (reason !== undefined) throw new Error(reason);
    if (status !== '') throw new Error(`${last.trim().slice(0, 300) || basename(file)} (${status})`);
  } finally {
    clearInterval(timer);
    process.off('exit', stop);
  }
}

export function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path) && statSync(path).isFile());
}
