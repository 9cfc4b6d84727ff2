/** Install: `npm ci`, when and only when node_modules does not hold what package-lock.json asks for. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { SetupError, say, stage } from '../say.mjs';

/** npm prints nothing where there is no terminal, and an install takes a minute or two. */
const STILL_HERE_MS = 15_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export function isInstalled(root) {
  const wanted = installStamp(root);
  if (read(stampFile(root)) === wanted) return true;
  // Someone ran npm by hand: what npm noted of that is as good as our own note.
  if (!matchesLock(root)) return false;
  writeFileSync(stampFile(root), wanted);
  return true;
}

export async function installPackages(root) {
  const npm = findNpm();
  rmSync(stampFile(root), { force: true });
  await stage('Installing packages (npm ci)', () => runNpm(root, npm));
  writeFileSync(stampFile(root), installStamp(root));
}

const stampFile = (root) => join(root, 'node_modules', '.order-saga-install');

/** Some packages are binaries: a folder shared between a laptop and a container must not pass for both. */
function installStamp(root) {
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  return `${hash} ${process.platform}-${process.arch}\n`;
}

/** npm writes the hidden lock file last: if it is there, the install it describes was completed. */
function matchesLock(root) {
  const hidden = read(join(root, 'node_modules', '.package-lock.json'));
  if (hidden === undefined) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(hidden).packages;
  if (Object.keys(present).some((path) => wanted[path] === undefined)) return false;
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === '') return true;
    const found = present[path];
    return found === undefined ? optional === true : found.version === version && found.integrity === integrity;
  });
}

/** The npm that started us, else the one on the PATH, else the one beside this Node. @returns a command and its first arguments */
function findNpm() {
  const running = process.env.npm_execpath;
  if (running !== undefined && /npm-cli\.c?js$/.test(running) && existsSync(running))
    return [process.execPath, running];
  const name = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), dirname(process.execPath)];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) {
    throw new SetupError(
      'The packages are not installed, and there is no `npm` on the PATH to install them with. Install npm (it comes with Node), or run `npm ci` yourself.',
    );
  }
  return [found];
}

async function runNpm(root, [command, ...first]) {
  // NODE_ENV=production or an `omit` in someone's npmrc would leave out the compiler that the next stage needs.
  const args = [...first, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(command, args, {
    cwd: root,
    env: npmEnv(),
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  // An npm that outlived us would go on changing what the next attempt is installing.
  const forward = (signal) => child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, forward);
  const start = performance.now();
  const reminder = setInterval(
    () => say(`[setup] … still installing after ${Math.round((performance.now() - start) / 1000)} s`),
    STILL_HERE_MS,
  );
  try {
    const status = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(signal ?? code));
    });
    if (status !== 0)
      throw new SetupError(
        `\`npm ci\` failed (${status}). What it printed above says why; \`npm start\` and \`npm test\` will try again.`,
      );
  } finally {
    clearInterval(reminder);
    for (const signal of SIGNALS) process.off(signal, forward);
  }
}

/** Service accounts and containers often have no home, or one that cannot be written; npm's cache needs some place. */
function npmEnv() {
  const env = { ...process.env };
  if (process.env.HOME === '') delete env.HOME;
  if (env.npm_config_cache === undefined && !canWrite(process.env.HOME || home())) {
    env.npm_config_cache = join(tmpdir(), `order-saga-npm-${process.getuid?.() ?? 'user'}`);
  }
  return env;
}

function home() {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

function canWrite(folder) {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    if (err.code === 'ENOENT' || err.code === 'ENOTDIR') return undefined;
    throw err;
  }
}
