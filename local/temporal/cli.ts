/**
 * The Temporal CLI, which contains the development server: found on this machine, or obtained. Whatever it takes, it takes
 * once per machine and version: the result is kept in the cache.
 */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../processes/command.js';
import { lock } from '../processes/lock.mjs';
import { SetupError, say } from '../say.mjs';
import { buildCli, CLI_VERSION, downloadCli, onPath } from './obtain.js';

/** The first server that has all that we use: eager start, updates, worker deployments. */
const SERVER_MIN = [1, 28] as const;

const extension = process.platform === 'win32' ? '.exe' : '';

/** How the CLI is made available; replaced in tests. */
export type Sources = { download: (target: string) => Promise<void>; build: (target: string) => Promise<void> };

/**
 * @param env TEMPORAL_CLI_PATH, PATH, XDG_CACHE_HOME and HOME are looked at
 * @returns the path of a working CLI
 * @throws SetupError that lists what was tried and what to do
 */
export async function findTemporalCli(
  env: NodeJS.ProcessEnv,
  sources: Sources = { download: downloadCli, build: (target) => buildCli(target, env) },
): Promise<string> {
  const chosen = env['TEMPORAL_CLI_PATH'];
  if (chosen) {
    const fault = await faultOf(chosen);
    // Never fall through an explicit choice: another server than the chosen one would be a surprise.
    if (fault !== undefined) throw new SetupError(`TEMPORAL_CLI_PATH=${chosen} cannot be used: ${fault}.`);
    return chosen;
  }
  const tried: string[] = [];
  const installed = onPath(`temporal${extension}`, env);
  const installedFault = installed === undefined ? 'not found' : await faultOf(installed);
  if (installed !== undefined && installedFault === undefined) return installed;
  tried.push(`\`temporal\` on the PATH: ${installedFault}`);

  const cached = join(cacheFolder(env), `temporal-v${CLI_VERSION}${extension}`);
  if (isProgram(cached)) return cached;
  tried.push(`the cache, ${cached}: nothing there`);
  return await obtain(cached, sources, tried);
}

/** What is in the cache has been looked at when it was put there; asking it again would cost each start 0.2 s. */
function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homeOfUser(), '.cache'), 'order-saga', 'temporal');
}

/** Accounts without a home exist; then the working directory has to do. */
function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    return '.';
  }
}

/** One process at a time downloads or builds; those that waited find the result in the cache. */
async function obtain(target: string, sources: Sources, tried: string[]): Promise<string> {
  const folder = join(target, '..');
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (err) {
    tried.push(`writing to ${folder}, which XDG_CACHE_HOME can move elsewhere: ${(err as Error).message}`);
    throw nothingFound(tried);
  }
  const release = await lock(`${target}.lock`, (owner) =>
    say(`Process ${owner} is obtaining the Temporal server already; waiting for it.`),
  );
  try {
    if (isProgram(target)) return target;
    for (const [name, get] of [
      ['download of the CLI', sources.download],
      [`building it (go install)`, sources.build],
    ] as const) {
      const failure = await get(target).then(
        () => faultOf(target),
        (err: Error) => err.message,
      );
      if (failure === undefined) return target;
      tried.push(`${name}: ${failure}`);
    }
  } finally {
    release();
  }
  throw nothingFound(tried);
}

function nothingFound(tried: string[]): SetupError {
  return new SetupError(`There is no Temporal server on this machine, and none could be obtained. Tried, in this order:
${tried.map((attempt) => `  - ${attempt}`).join('\n')}
Any one of these helps:
  - install the Temporal CLI (https://docs.temporal.io/cli), or set TEMPORAL_CLI_PATH to one
  - install Go (https://go.dev/dl), so that the CLI can be built from source
  - set TEMPORAL_ADDRESS=host:7233 to a Temporal server that runs elsewhere`);
}

/** @returns why the file is no Temporal CLI that we can use; undefined if it is one */
async function faultOf(path: string): Promise<string | undefined> {
  if (!existsSync(path)) return 'there is no such file';
  const { failure, output } = await runToEnd(path, ['--version'], { timeoutMs: VERSION_LIMIT_MS });
  if (failure !== undefined) return `\`--version\` fails (${failure})`;
  const server = /^temporal version .*Server (\d+)\.(\d+)/m.exec(output);
  if (server === null) return `\`--version\` does not answer like the Temporal CLI: ${output.slice(0, 80)}`;
  const [major, minor] = [Number(server[1]), Number(server[2])];
  const isOld = major < SERVER_MIN[0] || (major === SERVER_MIN[0] && minor < SERVER_MIN[1]);
  return isOld ? `its server is ${major}.${minor}, older than ${SERVER_MIN.join('.')}` : undefined;
}

/** A program of 250 MB from a slow disk. */
const VERSION_LIMIT_MS = 15_000;
