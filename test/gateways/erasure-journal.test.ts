/** The erasure journal in both of its forms: what is written stays, in one chain, and whatever was done to it is noticed. */
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { JOURNAL_START, type JournalNote } from '../../contracts/erasure-journal.js';
import { aloneAtJournal } from '../../domain/erasure-journal.js';
import { JournalAway, JournalSpoilt } from '../../gateways/erasure-journal/journal.js';
import { openErasureJournal } from '../../gateways/erasure-journal/open.js';
import { openSmallPool } from '../../runtime/small-pool.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const folder = mkdtempSync(join(tmpdir(), 'erasure-journal-'));
const path = join(folder, 'erasures.jsonl');
let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
beforeEach(async () => {
  rmSync(path, { force: true });
  await t.db.$executeRaw`DROP TABLE IF EXISTS order_saga_erasure_journal`;
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await t.drop();
});

const note = (kind: JournalNote['kind'] = 'requested'): JournalNote => ({
  kind,
  erasureId: randomUUID(),
  customer: randomUUID(),
});

const PLACES = { 'a file': () => path, 'a table': () => t.url };

describe.each(Object.keys(PLACES) as (keyof typeof PLACES)[])('in %s', (form) => {
  const open = () =>
    openErasureJournal(PLACES[form], {
      alone: aloneAtJournal(t.db),
      openPool: (url) => openSmallPool(url, 'test'),
    });

  test('what is written is read again from any place on, by whoever opens it', async () => {
    const [writer, reader] = [open(), open()];
    expect(await writer.readAfter(JOURNAL_START, 10)).toEqual([]);
    const written = [await writer.append(note()), await writer.append(note('done')), await reader.append(note())];
    expect(written.map(({ position }) => position)).toEqual([1, 2, 3]);
    expect(await reader.readAfter(JOURNAL_START, 10)).toEqual(written);
    expect(await reader.readAfter(JOURNAL_START, 2)).toEqual(written.slice(0, 2));
    expect(await reader.readAfter(written[0] ?? JOURNAL_START, 10)).toEqual(written.slice(1));
    expect(await reader.readAfter(written[2] ?? JOURNAL_START, 10)).toEqual([]);
    await Promise.all([writer.close(), reader.close()]);
  });

  test('what many write at once is one chain', async () => {
    const writers = [open(), open(), open()];
    await Promise.all(Array.from({ length: 24 }, (_, n) => writers[n % 3]?.append(note())));
    const read = await writers[0]?.readAfter(JOURNAL_START, 100);
    expect(read?.map(({ position }) => position)).toEqual(Array.from({ length: 24 }, (_, n) => n + 1));
    await Promise.all(writers.map((writer) => writer.close()));
  });

  test('a client’s own id is refused, as is what is no erasure’s id', async () => {
    const journal = open();
    await expect(journal.append({ ...note(), customer: 'jane@example.test' })).rejects.toThrow(/Bug!/);
    await expect(journal.append({ ...note(), erasureId: 'of Jane Doe' })).rejects.toThrow(/Bug!/);
    expect(await journal.readAfter(JOURNAL_START, 10)).toEqual([]);
    await journal.close();
  });

  test('an entry that was changed is noticed, and so is one that was cut off after it had been read', async () => {
    const journal = open();
    const [first, , last] = [await journal.append(note()), await journal.append(note()), await journal.append(note())];
    if (form === 'a file') {
      truncateSync(path, (2 * statSync(path).size) / 3);
    } else await t.db.$executeRaw`DELETE FROM order_saga_erasure_journal WHERE position = 3`;
    await expect(journal.readAfter(last ?? JOURNAL_START, 10)).rejects.toThrow(/ends before entry 3/);
    const other = randomUUID();
    if (form === 'a file') writeFileSync(path, readFileSync(path, 'utf8').replace(first.customer, other));
    else await t.db.$executeRaw`UPDATE order_saga_erasure_journal SET customer = ${other}::uuid WHERE position = 1`;
    await expect(journal.readAfter(JOURNAL_START, 10)).rejects.toThrow(JournalSpoilt);
    await expect(journal.readAfter(JOURNAL_START, 10)).rejects.toThrow(/entry 1 .* is not what was written/);
    await journal.close();
  });

  test('one that is away says so, without a password', async () => {
    const away = openErasureJournal(
      () => (form === 'a file' ? join(folder, 'nowhere', 'x') : 'postgresql://u:hidden@127.0.0.1:1/nothing'),
      { alone: aloneAtJournal(t.db), openPool: (url) => openSmallPool(url, 'test') },
    );
    const err: unknown = await away.append(note()).catch((thrown: unknown) => thrown);
    expect(err).toBeInstanceOf(JournalAway);
    expect(`${(err as Error).message}`).not.toContain('hidden');
    await away.close();
  });
});

const LINE = 384;
const openFile = () =>
  openErasureJournal(() => path, {
    alone: aloneAtJournal(t.db),
    openPool: () => {
      throw new Error('no database is needed');
    },
  });

test('a file is its owner’s alone', async () => {
  await openFile().append(note());
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

describe('a file whose last write a crash has torn', () => {
  test.each([
    ['a part of a line', Buffer.from('{"position":2,"at":"20')],
    ['a line of zeros', Buffer.alloc(LINE)],
    ['some zeros', Buffer.alloc(100)],
    ['zeros up to the end of a block', Buffer.alloc(4_096)],
    ['a part of a line, and zeros for the rest', Buffer.concat([Buffer.from('{"position":2,"at'), Buffer.alloc(LINE)])],
    [
      'zeros for the beginning of a line',
      Buffer.concat([Buffer.alloc(100), Buffer.from(`${' '.repeat(LINE - 101)}\n`)]),
    ],
  ])('by %s is read up to there, and goes on from there', async (_, torn) => {
    const journal = openFile();
    const first = await journal.append(note());
    appendFileSync(path, torn);
    expect(await journal.readAfter(JOURNAL_START, 10)).toEqual([first]);
    expect(await journal.readAfter(first, 10)).toEqual([]);
    const second = await journal.append(note('done'));
    expect(await journal.readAfter(JOURNAL_START, 10)).toEqual([first, second]);
    expect(statSync(path).size).toBe(2 * LINE);
  });

  test('before its first entry is empty', async () => {
    writeFileSync(path, Buffer.alloc(LINE));
    const journal = openFile();
    expect(await journal.readAfter(JOURNAL_START, 10)).toEqual([]);
    const first = await journal.append(note());
    expect(await journal.readAfter(JOURNAL_START, 10)).toEqual([first]);
  });

  test('of which the database has read the entry, is refused', async () => {
    const journal = openFile();
    await journal.append(note());
    const second = await journal.append(note());
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0, LINE));
    await expect(journal.readAfter(second, 10)).rejects.toThrow(/ends before entry 2/);
  });
});

describe('a file that was damaged otherwise is refused, and not written to:', () => {
  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['zeros amid it', (bytes) => bytes.fill(0, LINE, 2 * LINE)],
    ['a last line that is no entry', (bytes) => bytes.fill('x', 2 * LINE, 3 * LINE - 1)],
    ['a last line that lacks a character', (bytes) => Buffer.concat([bytes.subarray(0, -3), bytes.subarray(-2)])],
    ['more zeros than one write leaves', (bytes) => Buffer.concat([bytes, Buffer.alloc(10_000)])],
  ])('%s', async (_, damage) => {
    const journal = openFile();
    for (let n = 0; n < 3; n++) await journal.append(note());
    const damaged = damage(readFileSync(path));
    writeFileSync(path, damaged);
    await expect(journal.readAfter(JOURNAL_START, 10)).rejects.toThrow(JournalSpoilt);
    // Who appends reads the end alone; whoever compares reads what is new, from there on.
    await journal.append(note()).catch(() => undefined);
    expect(readFileSync(path).subarray(0, damaged.length).equals(damaged)).toBe(true);
  });
});

test('a table is made at its first use, also by two at once', async () => {
  const journals = [1, 2].map(() =>
    openErasureJournal(() => t.url, { alone: aloneAtJournal(t.db), openPool: (url) => openSmallPool(url, 'test') }),
  );
  await Promise.all(journals.map((journal) => journal.append(note())));
  expect(await journals[0]?.readAfter(JOURNAL_START, 10)).toHaveLength(2);
  await Promise.all(journals.map((journal) => journal.close()));
});
