/**
 * Runs some tests of one file in a copy of the checkout, on servers of its own or lent ones. Jest reads the sources as they are: it is
 * built first, as `npm test` would, only for what is read from dist/ or made of it.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { patternOf } from './names.mjs';

/** Longer than any single test may take, with its build. */
const LIMIT_MS = 180_000;
const SAID_MAX = 2_000;
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

/** @returns the tests that ran, as Jest reports them, or why there are none */
export async function runTests(copy, servers, { test, name, isBuiltFirst }) {
  const outputFile = join(copy, 'dist.jest.json');
  rmSync(outputFile, { force: true });
  const program = isBuiltFirst ? ['local/test.mjs'] : JEST;
  const args = [...program, '--runInBand', '--json', `--outputFile=${outputFile}`, '-t', patternOf(name), test];
  const start = performance.now();
  const said = await run(copy, servers, args);
  const seconds = Math.round((performance.now() - start) / 100) / 10;
  if (!existsSync(outputFile))
    return { tests: [], seconds, failure: `the tests did not run: ${said.slice(-SAID_MAX)}` };
  const [file] = JSON.parse(readFileSync(outputFile, 'utf8')).testResults;
  const tests = (file?.assertionResults ?? []).filter(({ status }) => status === 'passed' || status === 'failed');
  return tests.length > 0
    ? { tests, seconds }
    : { tests, seconds, failure: `no test ran: ${file?.message.slice(0, SAID_MAX)}` };
}

const running = new Set();

/** For a run that is interrupted. */
export function stopTests() {
  for (const child of running) child.kill();
}

/** @returns what it printed */
function run(copy, servers, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: copy,
      env: { ...process.env, ...servers, NO_COLOR: '1', FORCE_COLOR: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    let said = '';
    const keep = (piece) => {
      said = (said + piece).slice(-10 * SAID_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const timer = setTimeout(() => child.kill(), LIMIT_MS);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      running.delete(child);
      resolve(said);
    });
  });
}
