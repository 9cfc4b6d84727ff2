/** What a process writes to its log: JSON for programs, and for people lines that they can read. */
import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

/** @returns what a process writes whose stdout is a terminal, or is none, and whether it has loaded what makes lines readable */
function written({ isTerminal = false, format = 'auto' }): { line: string; isLoaded: boolean } {
  const script = `
    import { createRequire } from 'node:module';
    if (${isTerminal}) process.stdout.isTTY = true;
    const { createLogger } = await import('./dist/runtime/logger.js');
    const { concealSecrets } = await import('./dist/runtime/errors/scrub.js');
    concealSecrets(['a secret of this process']);
    createLogger('worker', 'info', '${format}').info({ step: 'chargePayment', note: 'a secret of this process' }, 'done');
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    process.stderr.write(String(loaded.some((path) => path.includes('pino-pretty'))));`;
  const options = { encoding: 'utf8' as const, env: { PATH: process.env['PATH'], NO_COLOR: '1' } };
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
  return { line: stdout, isLoaded: stderr === 'true' };
}

test.each([
  ['into a pipe', {}],
  ['on a terminal, if that is asked for', { isTerminal: true, format: 'json' }],
])('%s it is JSON, for which nothing more is loaded', (_, how) => {
  const { line, isLoaded } = written(how);
  expect(JSON.parse(line)).toMatchObject({ level: 'info', name: 'worker', step: 'chargePayment', msg: 'done' });
  expect([isLoaded, line.includes('a secret')]).toEqual([false, false]);
});

test('on a terminal it is a line for people, and still without secrets', () => {
  const { line } = written({ isTerminal: true });
  expect(line).toMatch(
    /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO \(worker\): done \{"step":"chargePayment","note":"\[withheld\]"\}\n$/,
  );
});
