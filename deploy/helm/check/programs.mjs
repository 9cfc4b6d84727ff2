/** The programs that the chart is held against, and where they are taken from: an environment variable, or the PATH. */
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';

/** Name of the program → variable that names another, what it is for, and whether nothing can be said without it. */
const PROGRAMS = {
  helm: { variable: 'HELM', ask: ['version', '--short'], needed: true },
  kubectl: { variable: 'KUBECTL', ask: ['version', '--client'] },
  kubeconform: { variable: 'KUBECONFORM', ask: ['-v'] },
  'kube-score': { variable: 'KUBE_SCORE', ask: ['version'] },
  etcd: { variable: 'ETCD', ask: ['--version'] },
  'kube-apiserver': { variable: 'KUBE_APISERVER', ask: ['--version'] },
  'kube-controller-manager': { variable: 'KUBE_CONTROLLER_MANAGER', ask: ['--version'] },
  'kube-scheduler': { variable: 'KUBE_SCHEDULER', ask: ['--version'] },
  go: { variable: 'GO', ask: ['version'] },
};

/** @returns name → {path, version}, of those that are here */
export function findPrograms(env = process.env) {
  const found = {};
  for (const [name, { variable, ask, needed }] of Object.entries(PROGRAMS)) {
    const path = env[variable] ?? name;
    const { status, stdout, stderr } = spawnSync(path, ask, { encoding: 'utf8' });
    if (status === 0) found[name] = { path, version: versionIn(`${stdout}${stderr}`) };
    else if (needed) throw new Error(`There is no ${name}: set ${variable}, or put it on the PATH.`);
  }
  return found;
}

const versionIn = (text) => /v?\d+\.\d+\.\d+[\w.-]*/.exec(text)?.[0] ?? text.trim().split('\n')[0];

/** @returns {ok, out, err}; never throws */
export function run(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    ...options,
  });
  return { ok: status === 0, out: stdout ?? '', err: `${stderr ?? ''}${error ? error.message : ''}` };
}

/** The same, while other things go on meanwhile. */
export function runBeside(program, args) {
  return new Promise((resolve) =>
    execFile(program, args, { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 }, (error, out, err) =>
      resolve({ ok: error === null, out, err }),
    ),
  );
}

export const read = (program, args) => execFileSync(program, args, { encoding: 'utf8' });

/** A server that runs until `stop`. */
export function start(program, args, { log, env = {} }) {
  const child = spawn(program, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.once('error', () => {});
  return {
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Asks until it is so. @throws once it has not been for that long */
export async function until(what, isSo, { limitMs = 120_000, everyMs = 500 } = {}) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await isSo();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`Not within ${limitMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
