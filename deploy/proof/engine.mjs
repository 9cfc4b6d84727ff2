/** Docker, and a copy of this checkout in a project of its own: nothing of an installation on the same engine is touched. */
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const COMMAND_LIMIT_MS = 600_000;
export const PROJECT = 'order-saga-proof';
/** Of the API on this machine; the page says 3000. */
export const PORT = Number(process.env.PROOF_PORT ?? 3000);

/** What every command is run with; images have names of their own, too. */
const ENV = {
  ...process.env,
  COMPOSE_PROJECT_NAME: PROJECT,
  COMPOSE_PROGRESS: 'quiet',
};

/** @returns standard output; throws with what was said if the command fails */
export function sh(script, { cwd, limitMs = COMMAND_LIMIT_MS, env = {} } = {}) {
  const { status, signal, stdout, stderr } = spawnSync('bash', ['-c', script], {
    cwd,
    env: { ...ENV, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status === 0) return stdout;
  throw new Error(`${script}\nended with ${status ?? signal}:\n${stdout.slice(-2_000)}${stderr.slice(-2_000)}`);
}

/** @returns why nothing can be proved here, or undefined */
export function whyNot() {
  const { status, stderr, error } = spawnSync('docker', ['compose', 'version'], { encoding: 'utf8' });
  if (error || status !== 0) return `\`docker compose\` does not run: ${error?.message ?? stderr.trim()}`;
  const info = spawnSync('docker', ['info', '--format', '{{.ServerVersion}}'], { encoding: 'utf8' });
  if (info.status !== 0) return `no Docker engine answers: ${info.stderr.trim().split('\n').at(-1)}`;
  return undefined;
}

/** What git knows of, as it stands; without what an installation of this checkout keeps beside it. */
export function copyCheckout() {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-proof-'));
  for (const path of sh('git ls-files --cached --others --exclude-standard', { cwd: ROOT }).split('\n').filter(Boolean))
    if (!/^(node_modules|test)\//.test(path)) cpSync(join(ROOT, path), join(folder, path));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

const execute = promisify(execFile);
/** While this process goes on placing orders. */
export async function shBeside(script, { cwd } = {}) {
  const { stdout } = await execute('bash', ['-c', script], { cwd, env: ENV, timeout: COMMAND_LIMIT_MS });
  return stdout;
}

/**
 * The process of a service's container, by the number that this machine's own kernel gives it. Found beforehand, so that the signal comes
 * at once when it is wanted.
 */
export async function processOf(folder, service) {
  const [id] = (await shBeside(`docker compose ps -q ${service}`, { cwd: folder })).trim().split('\n');
  const inspect = async (what) => (await shBeside(`docker inspect -f '${what}' ${id}`)).trim();
  const [before, pid] = (await inspect('{{.RestartCount}} {{.State.Pid}}')).split(' ').map(Number);
  return {
    signal: (name) => process.kill(pid, name),
    isBack: async () => {
      const [count, running] = (await inspect('{{.RestartCount}} {{.State.Running}}')).split(' ');
      return Number(count) > before && running === 'true';
    },
  };
}

/** @returns seconds until `isSo` */
export async function until(what, isSo, limitS = 120) {
  const began = performance.now();
  const took = () => (performance.now() - began) / 1_000;
  let reason = '';
  while (took() <= limitS) {
    try {
      if (await isSo()) return seconds(took());
    } catch (err) {
      reason = `: ${err.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: not within ${limitS} s${reason}`);
}
export const seconds = (s) => Math.round(s * 10) / 10;
