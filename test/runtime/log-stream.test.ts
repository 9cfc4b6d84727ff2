/** Log lines are written some at a time: none is lost when a process ends, and what is grave waits for nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { openLogStream } from '../../runtime/log-stream.js';
import { openStandardOutput } from '../../runtime/standard-output.js';
import { eventually } from '../support/conditions.js';

const built = (path: string) => JSON.stringify(new URL(`dist/runtime/${path}`, `file://${process.cwd()}/`).href);

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
  const write = (text: string) => {
    written += text.length;
  };
  const logger = pino({}, openLogStream({ write, flushSync: () => undefined }));
  for (let nth = 0; nth < 100; nth++) logger.info({ text: 'x'.repeat(1_000) }, 'much');
  expect(written).toBeGreaterThan(80_000);
});

test('whoever reads slowly gets every line, whole and in order, also of a process that exits meanwhile', async () => {
  const script = `
    import { createLogger } from ${built('logger.js')};
    const logger = createLogger('test', 'info');
    for (let nth = 1; nth <= 2_000; nth++) {
      logger.info({ text: 'x'.repeat(1_000) }, String(nth));
      if (nth % 100 === 0) await new Promise(setImmediate);
    }
    process.stderr.write('said');
    process.exit(0);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child.stderr, 'data');
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  await once(child, 'close');
  const said = output.trimEnd().split('\n');
  expect(said.map((line): string => JSON.parse(line).msg)).toEqual(Array.from({ length: 2_000 }, (_, i) => `${i + 1}`));
});

/** An output that refuses what it is given with this code, or takes so many bytes at a time. */
function outputThat(options: { keptMaxBytes?: number; lastWordsMs?: number } = {}) {
  let [taken, tries] = ['', 0];
  const says: { code?: string; atMost?: number } = {};
  const writeTo = (bytes: Buffer) => {
    tries++;
    if (says.code !== undefined) throw Object.assign(new Error('no'), { code: says.code });
    const part = bytes.subarray(0, says.atMost);
    taken += part.toString();
    return part.length;
  };
  return { ...openStandardOutput({ ...options, writeTo }), says, taken: () => taken, tries: () => tries };
}

test('what nobody reads waits up to a limit; beyond it lines are lost, and it is told how many once it goes on', async () => {
  const output = outputThat({ keptMaxBytes: 100 });
  output.says.code = 'EAGAIN';
  for (let nth = 1; nth <= 1_000; nth++) output.write(`line ${nth}\n`);
  delete output.says.code;
  output.says.atMost = 7;
  await eventually('it has gone on', () => output.taken().includes('lost'));
  const lines = output.taken().trimEnd().split('\n');
  const told = JSON.parse(lines.at(-1) ?? '') as { lines: number };
  expect(lines.slice(0, -1)).toEqual(Array.from({ length: 1_000 - told.lines }, (_, i) => `line ${i + 1}`));
  expect(told.lines).toBeGreaterThan(900);
});

test.each(['EAGAIN', 'ENOSPC', 'EPIPE'])('a process can end though its output says %s', (code) => {
  const output = outputThat({ lastWordsMs: 10 });
  output.says.code = code;
  output.write('a line\n');
  output.flushSync();
  output.write('another\n');
  const tries = output.tries();
  delete output.says.code;
  output.flushSync();
  expect(output.taken()).toBe(code === 'EPIPE' ? '' : 'a line\nanother\n');
  if (code === 'EPIPE') expect(tries).toBe(1);
});

test.each([
  ['ends by itself', ''],
  ['exits', 'process.exit(0);'],
  [
    'is stopped by SIGTERM',
    "setInterval(() => {}, 1e6); stopOnSignals(logger, async () => logger.info('stopped')); process.kill(process.pid, 'SIGTERM');",
  ],
])('a process that %s has written every line', async (_, end) => {
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
  expect(lines).toEqual(Array.from({ length: 500 }, (_, nth) => nth + 1));
  if (end.includes('SIGTERM')) expect(said).toContain('stopped');
});
