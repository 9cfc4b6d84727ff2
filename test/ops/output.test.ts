/** What others have written cannot steer an operator's terminal, however long ago they wrote it. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { createOutput } from '../../ops/output.js';

const HOSTILE = 'a\u001b]0;title\u0007\u009b2Jb\u202ec\u2028d\u200be';
let printed = '';
beforeEach(() => {
  printed = '';
  for (const stream of [process.stdout, process.stderr])
    jest.spyOn(stream, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
});
afterEach(() => void jest.restoreAllMocks());

const expectHarmless = () => {
  expect(printed).toMatch(/a.*b.*c.*d.*e/);
  expect(printed.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069]/u);
};

test('a line, a notice and a table show it escaped', () => {
  const out = createOutput({ output: 'table', color: false });
  for (const print of [
    () => out.print(HOSTILE),
    () => out.notice(HOSTILE),
    () => out.table(['name'], [[`${HOSTILE}\nf`]]),
  ]) {
    printed = '';
    print();
    expectHarmless();
  }
});

test('a JSON document shows it escaped, and says the same', () => {
  createOutput({ output: 'json', color: false }).document({ name: HOSTILE });
  expectHarmless();
  expect(JSON.parse(printed)).toEqual({ name: HOSTILE });
});
