import { expect, test } from '@jest/globals';
import { createSharedReads } from '../../runtime/shared-reads.js';

/** Reads that are answered when the test says so. */
function slow() {
  const answers: ((answer: string) => void)[] = [];
  const read = () => new Promise<string>((resolve) => answers.push(resolve));
  return { answers, read };
}
const LONG = 60_000;

test('those who ask while a read is under way, or soon after, have its answer', async () => {
  const shared = createSharedReads<string>({ freshMs: () => LONG, keysMax: 10 });
  const { answers, read } = slow();
  const asked = [shared('a', read), shared('a', read), shared('a', read)];
  expect(answers).toHaveLength(1);
  answers[0]?.('first');
  expect(await Promise.all([...asked, shared('a', read)])).toEqual(['first', 'first', 'first', 'first']);
  expect(answers).toHaveLength(1);
});

test('what is not fresh any more, or of another key, is read again', async () => {
  const shared = createSharedReads<string>({ freshMs: (answer) => (answer === 'kept' ? LONG : -1), keysMax: 10 });
  expect(await shared('a', async () => 'gone')).toBe('gone');
  expect(await shared('a', async () => 'kept')).toBe('kept');
  expect(await shared('a', async () => 'new')).toBe('kept');
  expect(await shared('b', async () => 'other')).toBe('other');
});

test('a failure is shared by those who wait, and kept for nobody else', async () => {
  const shared = createSharedReads<string>({ freshMs: () => LONG, keysMax: 10 });
  const fail = async () => Promise.reject(new Error('away'));
  const asked = [shared('a', fail), shared('a', async () => 'never asked')];
  expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await shared('a', async () => 'back')).toBe('back');
});

test('no more answers are kept than may be: the oldest go', async () => {
  const shared = createSharedReads<string>({ freshMs: () => LONG, keysMax: 2 });
  for (const key of ['a', 'b', 'c']) await shared(key, async () => key);
  expect(await shared('b', async () => 'again')).toBe('b');
  expect(await shared('c', async () => 'again')).toBe('c');
  expect(await shared('a', async () => 'again')).toBe('again');
});
