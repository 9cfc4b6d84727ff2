/** A journal that is set when there have been erasures already: it gets them by itself, and a restore cannot take them back any more. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { JOURNAL_START } from '../../contracts/erasure-journal.js';
import { aloneAtJournal, compareJournal, readMark } from '../../domain/erasure-journal.js';
import type { ErasureJournal } from '../../gateways/erasure-journal/journal.js';
import { openErasureJournal } from '../../gateways/erasure-journal/open.js';
import { noteIn, requireErasures } from '../../service/erasure-journal.js';
import { confirm, type Stage, startStage } from './stage.js';

const folder = mkdtempSync(join(tmpdir(), 'late-journal-'));
let s: Stage;
let references: string[];
let lines: { msg: string; belated?: number }[];
const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
beforeAll(async () => {
  s = await startStage();
  references = [];
  for (const name of ['one', 'two']) references.push(await erased(`cus_${name}`));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await s.stop();
});

async function erased(customer: string): Promise<string> {
  await confirm(s, await s.place(customer, `canary-${customer}`));
  const { body } = await s.ask(customer);
  return (await s.until(body.id, 'done')).customerReference as string;
}
const journalAt = (name: string): ErasureJournal =>
  openErasureJournal(() => join(folder, name), {
    alone: aloneAtJournal(s.db),
    openPool: () => {
      throw new Error('no database is needed');
    },
  });
const entriesOf = async (journal: ErasureJournal) =>
  (await journal.readAfter(JOURNAL_START, 100)).map(({ kind, customer }) => `${kind} ${customer}`);
const bothOf = (customers: string[]) => customers.flatMap((each) => [`requested ${each}`, `done ${each}`]);
/** @returns what a start says of the journal */
async function start(journal: ErasureJournal) {
  lines = [];
  await requireErasures(s.db, journal, logger);
  return lines;
}

test('a start says how many erasures it lacks, and a worker writes them into it, once', async () => {
  const journal = journalAt('late');
  expect(await start(journal)).toEqual([
    expect.objectContaining({ belated: 2, msg: expect.stringContaining('lacks erasures that were done without it') }),
  ]);
  await s.erase(undefined, { note: noteIn(journal, s.db) });
  expect(await entriesOf(journal)).toEqual(bothOf(references));
  await s.erase(undefined, { note: noteIn(journal, s.db) });
  expect(await entriesOf(journal)).toHaveLength(4);
  expect(await start(journal)).toEqual([]);
  expect((await readMark(s.db)).position).toBe(4);
});

test('what is done while it is not set is written into it once it is again', async () => {
  const reference = await erased('cus_between');
  const journal = journalAt('late');
  expect(await start(journal)).toEqual([expect.objectContaining({ belated: 1 })]);
  await s.erase(undefined, { note: noteIn(journal, s.db) });
  expect((await entriesOf(journal)).slice(4)).toEqual(bothOf([reference]));
  references.push(reference);
});

test('one that dies between two entries, or before it has marked one, leaves the rest to the next', async () => {
  await s.db.$executeRaw`UPDATE erasure_journal_mark SET position = 0, hash = ''`;
  const journal = journalAt('other');
  expect(await start(journal)).toEqual([expect.objectContaining({ belated: 3 })]);
  for (const before of [1, 3, 4]) {
    let left = before;
    const note: typeof journal.append = async (one) => {
      if (left-- === 0) throw new Error('planned death');
      return journal.append(one);
    };
    await s.erase(undefined, { note }).catch(() => undefined);
  }
  await s.erase(undefined, { note: noteIn(journal, s.db) });
  const entries = await entriesOf(journal);
  expect([...new Set(entries)].sort()).toEqual(bothOf(references).sort());
  expect(await compareJournal(s.db, journal, JOURNAL_START)).toMatchObject({ unknown: [] });
  expect(await start(journal)).toEqual([]);
});

test('a journal that is away holds up no other erasure’s waiting, and says so', async () => {
  await s.db.$executeRaw`UPDATE erasures SET noted_at = NULL`;
  const away = journalAt('nowhere/journal');
  const open = await s.place('cus_open', 'canary-open');
  const { body } = await s.ask('cus_open');
  await expect(s.erase(undefined, { note: noteIn(away, s.db) })).rejects.toThrow(/cannot be used/);
  expect((await s.read(body.id)).waitingFor.map(({ orderId }) => orderId)).toEqual([open.id]);
});

test('an entry that was written is known to the database at once: a journal that loses it is noticed', async () => {
  const journal = journalAt('other');
  const before = (await readMark(s.db)).position;
  await s.erase(undefined, { note: noteIn(journal, s.db) });
  expect((await readMark(s.db)).position).toBeGreaterThan(before);
  rmSync(join(folder, 'other'));
  await expect(start(journal)).rejects.toThrow(/ends before entry/);
});
