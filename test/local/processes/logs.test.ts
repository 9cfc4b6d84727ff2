import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { rotate, showWarnings } from '../../../local/processes/logs.js';
import { eventually } from '../../support/conditions.js';

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

test('the logs of the five runs before are kept, the ones before them are not', () => {
  for (let run = 1; run <= 8; run++) {
    rotate(file);
    writeFileSync(file, `run ${run}`);
  }
  rotate(join(folder, 'of-nothing.log'));
  const kept = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  expect(kept).toEqual({
    'api.log': 'run 8',
    'api.log.1': 'run 7',
    'api.log.2': 'run 6',
    'api.log.3': 'run 5',
    'api.log.4': 'run 4',
    'api.log.5': 'run 3',
  });
});

test('a log that cannot be read for a while is shown again afterwards', async () => {
  const shown: string[] = [];
  const stop = showWarnings('api', file, (line) => shown.push(line));
  mkdirSync(file);
  writeFileSync(join(file, 'something'), ''); // so that the folder has a size
  const written = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  await eventually('it was not readable', () => `${written.mock.calls}`.includes('EISDIR'));
  jest.restoreAllMocks();
  rmSync(file, { recursive: true });
  writeFileSync(file, 'TypeError: x is undefined\n');
  await eventually('it is shown', () => shown.length === 1);
  stop();
});
