/** What the feed says of its completeness: nothing earlier than a page's asOf is ever on a later page. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { reserveInventory } from '../../domain/inventory.js';
import { openDatabase } from '../../runtime/database.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';

type Page = { events: CloudEvent[]; next: string };
let api: TestApi;
let other: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  api = await startTestApi();
  other = openDatabase(api.databaseUrl, 20);
  await stock(api.db, 'KEYBOARD', 1_000_000);
});
afterAll(async () => {
  await other.$disconnect();
  await api.stop();
});

/** Reads the feed as a consumer does, and holds every event against what was said before it came. */
function createReader() {
  let after = '';
  let asOf = 0;
  const early: string[] = [];
  let events = 0;
  return {
    asOf: () => asOf,
    early,
    events: () => events,
    /** @returns what the page says of its completeness */
    readOn: async (limit = 1_000): Promise<string | null> => {
      const { body, headers } = await api.get<Page>(`/events?limit=${limit}${after}`);
      for (const { id, time } of body.events)
        if (Date.parse(time) < asOf) early.push(`${id} of ${time}, after ${new Date(asOf).toISOString()}`);
      events += body.events.length;
      after = `&after=${body.next}`;
      const said = headers.get('feed-as-of');
      asOf = Math.max(asOf, Date.parse(said ?? '') || 0);
      return said;
    },
  };
}

/** A promise, and how it is kept. */
function promised(): { kept: Promise<void>; keep: () => void } {
  let keep: () => void = () => undefined;
  const kept = new Promise<void>((resolve) => {
    keep = resolve;
  });
  return { kept, keep };
}

/** A transaction that does its parts when the test says so. */
function holdTransaction() {
  const [begun, mayWrite, written, mayEnd] = [promised(), promised(), promised(), promised()] as const;
  const done = other.$transaction(
    async (tx) => {
      await tx.$queryRaw`SELECT now()`;
      begun.keep();
      await mayWrite.kept;
      await accept(tx, { KEYBOARD: 1 });
      written.keep();
      await mayEnd.kept;
    },
    { timeout: 60_000 },
  );
  return {
    hasBegun: begun.kept,
    write: () => {
      mayWrite.keep();
      return written.kept;
    },
    commit: () => {
      mayEnd.keep();
      return done;
    },
  };
}

test('moves on while nothing is new', async () => {
  const reader = createReader();
  await eventually('it says up to when it is complete', () => reader.readOn());
  const before = reader.asOf();
  await eventually('it has moved on', async () => (await reader.readOn()) !== null && reader.asOf() > before + 100);
  expect(reader.events()).toBe(0);
});

test('is not said of a page after which there are more', async () => {
  await accept(api.db, { KEYBOARD: 1 });
  await accept(api.db, { KEYBOARD: 1 });
  const reader = createReader();
  await eventually('the feed shows both', async () => {
    const { body } = await api.get<Page>('/events?limit=2');
    return body.events.length === 2;
  });
  expect(await reader.readOn(1)).toBeNull();
});

test('waits for a transaction that has written and not ended, whatever is committed meanwhile', async () => {
  const held = holdTransaction();
  await held.hasBegun;
  await held.write();
  const writtenAt = Date.now();
  const reader = createReader();
  await accept(api.db, { KEYBOARD: 1 });
  for (let i = 0; i < 20; i++) await reader.readOn();
  expect(reader.asOf()).toBeLessThanOrEqual(writtenAt);
  await held.commit();
  await eventually('it has moved on', async () => (await reader.readOn()) !== null && reader.asOf() > writtenAt);
  expect(reader.early).toEqual([]);
});

test('is true of a transaction that began before it and wrote after it', async () => {
  const held = holdTransaction();
  await held.hasBegun;
  const begunAt = Date.now();
  const reader = createReader();
  await eventually(
    'it is beyond its beginning',
    async () => (await reader.readOn()) !== null && reader.asOf() > begunAt + 50,
  );
  const before = reader.events();
  await held.write();
  await held.commit();
  await eventually('its event is there', async () => (await reader.readOn()) !== null && reader.events() > before);
  expect(reader.early).toEqual([]);
});

test('is true at every moment beside many writers, of one statement and of several', async () => {
  const reader = createReader();
  const writers = Array.from({ length: 12 }, async (_, n) => {
    for (let i = 0; i < 15; i++) {
      if (n % 3 === 0) {
        await other.$transaction(async (tx) => {
          await tx.$queryRaw`SELECT pg_sleep(${(n * i) % 7} * 0.005)::text`;
          const { id } = await accept(tx, { KEYBOARD: 1 });
          await tx.$queryRaw`SELECT pg_sleep(${(n + i) % 5} * 0.005)::text`;
          await reserveInventory(tx, id);
        });
      } else {
        const { id } = await accept(api.db, { KEYBOARD: 1 });
        await reserveInventory(api.db, id);
      }
    }
  });
  let writing = true;
  const all = Promise.all(writers).finally(() => {
    writing = false;
  });
  const values = new Set<number>();
  while (writing) {
    await reader.readOn(50);
    values.add(reader.asOf());
  }
  await all;
  const lastAt = Date.now();
  await eventually('all has been read', async () => (await reader.readOn()) !== null && reader.asOf() > lastAt);
  expect(reader.early).toEqual([]);
  expect(values.size).toBeGreaterThan(3); // it was said meanwhile, too
});
