import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { rotate, showWarnings } from '../../local/logs.js';
import { eventually } from '../support/conditions.js';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'order-saga-logs-'));
  file = join(folder, 'api.log');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('warnings and worse are shown with the name of the program, and so is whatever is no log line', async () => {
  const shown: string[] = [];
  const stop = showWarnings('api', file, (line) => shown.push(line));
  writeFileSync(
    file,
    '{"level":"info","msg":"fine"}\n{"level":"warn","msg":"careful","err":{"message":"late"}}\n{"level":"er',
  );
  await eventually('the first is shown', () => shown.length === 1);
  appendFileSync(file, 'ror","msg":"größer"}\nTypeError: x is undefined\n');
  stop();
  expect(shown).toEqual(['[api] warn: careful (late)', '[api] error: größer', '[api] TypeError: x is undefined']);
});

test('the log of the run before is kept, the ones before it are not', () => {
  rotate(file);
  for (const run of ['first', 'second', 'third']) {
    rotate(file);
    writeFileSync(file, run);
  }
  expect([readFileSync(file, 'utf8'), readFileSync(`${file}.1`, 'utf8')]).toEqual(['third', 'second']);
});
