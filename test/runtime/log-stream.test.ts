/** Log lines are written some at a time: none is lost when a process ends, and what is grave waits for nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { openLogStream } from '../../runtime/log-stream.js';
import { eventually } from '../support/conditions.js';

test('what was done waits a moment for more, and keeps its order; a warning takes all before it along at once', async () => {
  const writes: string[][] = [];
  const messages = (text: string) => [...text.matchAll(/"msg":"(\w+)"/g)].map(([, message = '']) => message);
  const output = { write: (text: string) => void writes.push(messages(text)), flushSync: () => undefined };
  const logger = pino({ level: 'debug' }, openLogStream(output));
  logger.info('one');
  logger.child({ of: 'another' }).debug('two');
  expect(writes).toEqual([]);
  await eventually('the lines are written', () => writes.length > 0);
  expect(writes).toEqual([['one', 'two']]);

  logger.info('three');
  logger.warn('four');
  expect(writes.slice(1)).toEqual([['three', 'four']]);
  logger.info('five');
  logger.error('six');
  expect(writes.slice(2)).toEqual([['five', 'six']]);
});

test('a flood does not wait until it is a flood of memory', () => {
  let written = 0;
  const logger = pino({}, openLogStream({ write: (text) => (written += text.length), flushSync: () => undefined }));
  for (let nth = 0; nth < 100; nth++) logger.info({ text: 'x'.repeat(1_000) }, 'much');
  expect(written).toBeGreaterThan(80_000);
});

test.each([
  ['ends by itself', ''],
  ['exits', 'process.exit(0);'],
  [
    'is stopped by SIGTERM',
    "stopOnSignals(logger, async () => logger.info('stopped')); process.kill(process.pid, 'SIGTERM');",
  ],
])('a process that %s has written every line', async (_, end) => {
  const built = (path: string) => JSON.stringify(new URL(`dist/runtime/${path}`, `file://${process.cwd()}/`).href);
  const script = `
    import { createLogger } from ${built('logger.js')};
    import { stopOnSignals } from ${built('shutdown.js')};
    const logger = createLogger('test', 'info');
    for (let nth = 1; nth <= 500; nth++) logger.info('line ' + nth + ' of 500');
    ${end}
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  await once(child, 'close');
  const said = output
    .trimEnd()
    .split('\n')
    .map((line): string => JSON.parse(line).msg);
  const lines = said.flatMap((message) => /^line (\d+)/.exec(message)?.[1] ?? []).map(Number);
  // What is written at the end may overtake what a thread beside is just writing; each line has its time.
  expect(lines.sort((one, other) => one - other)).toEqual(Array.from({ length: 500 }, (_, nth) => nth + 1));
  if (end.includes('SIGTERM')) expect(said).toContain('stopped');
});
