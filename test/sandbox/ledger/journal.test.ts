/** Lines that no caller waits for: they get to the disk all the same, and delay no other. */
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type Journal, openJournal } from '../../../sandbox/ledger/journal.js';
import { eventually } from '../../support/conditions.js';
import { cleanUp, newDataDir } from '../support.js';

let path: string;
let journal: Journal;
const openAgain = () =>
  openJournal(path, {
    onLine: () => undefined,
    onFatal: (err) => {
      throw err;
    },
  });
beforeEach(async () => {
  path = join(await newDataDir(), 'journal');
  journal = await openAgain();
});
afterEach(async () => {
  jest.useRealTimers();
  await journal.close();
  await cleanUp();
});

/** For the time that a jotted line may wait; files go on as they do. */
const stopTheClock = () =>
  jest.useFakeTimers({ doNotFake: ['Date', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate'] });
async function syncOnce(): Promise<void> {
  const file = await open(path);
  await file.datasync();
  await file.close();
}
const written = async () => (await readFile(path, 'utf8')).split('\n').filter(Boolean);
const isWritten = (...lines: string[]) =>
  eventually(`${lines} are written`, async () => (await written()).join() === lines.join());

test('a line that is jotted down is written soon, though no other comes; so is the next', async () => {
  journal.jot('one');
  await isWritten('one');
  await syncOnce(); // behind the journal's own: it is at rest again
  journal.jot('two');
  await isWritten('one', 'two');
});

test('a line that is jotted down is written with the next that a caller waits for, not by itself, in their order', async () => {
  stopTheClock();
  journal.jot('one');
  await syncOnce();
  expect(await written()).toEqual([]);
  await journal.append('two');
  expect(await written()).toEqual(['one', 'two']);
});

test('closing loses no line that was jotted down', async () => {
  journal.jot('one');
  await journal.close();
  expect(await written()).toEqual(['one']);
  journal = await openAgain();
});

test('an append after a jotted line was written with others is not kept waiting', async () => {
  stopTheClock();
  const first = journal.append('one');
  journal.jot('two'); // while the first is being synced: it goes with the next sync
  await first;
  for (let tries = 0; tries < 1_000 && (await written()).length < 2; tries++) await syncOnce();
  await syncOnce(); // behind the journal's own
  jest.runOnlyPendingTimers(); // its time has come, and nothing is left to write
  jest.useRealTimers();
  let isKept = false;
  void journal.append('three').then(() => {
    isKept = true;
  });
  await eventually('the third is kept', () => isKept);
  expect(await written()).toEqual(['one', 'two', 'three']);
});

const shouting = {
  line: (line: string) => (line === 'skip' ? [] : [line.toUpperCase()]),
  end: () => ['END'],
};

test('a journal that is rewritten loses no line that comes meanwhile, nor any afterwards, and its order stays', async () => {
  for (const line of ['one', 'skip', 'two']) await journal.append(line);
  const rewritten = journal.rewrite(shouting);
  const meanwhile = Array.from({ length: 100 }, (_, n) => `line ${n}`);
  for (const line of meanwhile) await journal.append(line);
  await rewritten;
  await journal.append('last');
  const expected = ['ONE', 'TWO', 'END', ...meanwhile, 'last'];
  expect(await written()).toEqual(expected);
  await journal.close();
  const lines: string[] = [];
  journal = await openJournal(path, { onLine: (line) => lines.push(line), onFatal: () => undefined });
  expect(lines).toEqual(expected);
});

test('a journal whose rewriting fails, or is interrupted by its closing, goes on as it was', async () => {
  await journal.append('one');
  const failing = journal.rewrite({
    end: () => [],
    line: () => {
      throw new Error('out of order');
    },
  });
  await expect(failing).rejects.toThrow('out of order');
  await journal.append('two');
  const cut = expect(journal.rewrite(shouting)).rejects.toThrow('closed');
  await journal.close();
  await cut;
  expect(await written()).toEqual(['one', 'two']);
  expect(await readdir(dirname(path))).toEqual(['journal']);
  journal = await openAgain();
});

test('what a dead process had rewritten beside its journal counts for nothing', async () => {
  await journal.append('one');
  await journal.close();
  await writeFile(`${path}.new`, 'ONE\nhalf a li');
  const lines: string[] = [];
  journal = await openJournal(path, { onLine: (line) => lines.push(line), onFatal: () => undefined });
  expect(lines).toEqual(['one']);
  expect(await readdir(dirname(path))).toEqual(['journal']);
});
