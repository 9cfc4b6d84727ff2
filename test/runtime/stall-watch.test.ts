/** The stall watch, in processes of this test's own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from '@jest/globals';
import { ROOT } from '../deploy/text.js';

const STALL_MAX_MS = 1_000;
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});

function watched(then: string) {
  const watch = join(ROOT, 'dist', 'runtime', 'stall-watch.js');
  const script = `import { startStallWatch } from ${JSON.stringify(watch)}; startStallWatch('api', ${STALL_MAX_MS}); ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

test('a process whose event loop stands still says so, and dies', async () => {
  const child = watched('setTimeout(() => { for (;;); }, 100)');
  const said = text(child.stderr);
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
  expect(JSON.parse(await said)).toMatchObject({
    level: 'fatal',
    name: 'api',
    pid: child.pid,
    stallMaxMs: STALL_MAX_MS,
  });
});

test('it dies although nobody reads what it says', async () => {
  // Once Node has opened a pipe, a write that it has no room for fails rather than waits.
  const fill = "for (;;) try { fs.writeSync(2, 'x'.repeat(4096)); } catch {}";
  const child = watched(`const fs = await import('node:fs'); process.stderr; setTimeout(() => { ${fill} }, 100)`);
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
});

test('a process that is late again and again, or frozen as a whole, goes on', async () => {
  const late = 'const end = performance.now() + 400; while (performance.now() < end);';
  const child = watched(`setInterval(() => { ${late} console.log('late'); }, 100)`);
  const lines = child.stdout[Symbol.asyncIterator]();
  await lines.next();
  child.kill('SIGSTOP');
  const frozen = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 2 * STALL_MAX_MS)); // what is tested is that this much time passes
  child.kill('SIGCONT');
  while (performance.now() - frozen < 5 * STALL_MAX_MS) await lines.next();
  expect([child.exitCode, child.signalCode]).toEqual([null, null]);
});
