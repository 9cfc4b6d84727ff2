/** Lines that no caller waits for: they get to the disk all the same, and delay no other. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
