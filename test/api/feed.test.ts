import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { reserveInventory } from '../../domain/inventory.js';
import { openDatabase } from '../../runtime/database.js';
import { type EventStream, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';

type Page = { events: CloudEvent[]; next: string };
let api: TestApi;
let other: ReturnType<typeof openDatabase>;
const streams: EventStream[] = [];
beforeAll(async () => {
  api = await startTestApi();
  other = openDatabase(api.databaseUrl, 2);
  await stock(api.db, 'KEYBOARD', 1_000_000);
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await other.$disconnect();
  await api.stop();
});

const read = async (after?: string, limit = 1_000) =>
  (await api.get<Page>(`/events?limit=${limit}${after ? `&after=${after}` : ''}`)).body;
const follow = async (query = '', headers = {}) => {
  const stream = await api.stream(`/events${query}`, headers);
  streams.push(stream);
  return stream;
};
const subjects = (events: { subject: string }[]) => events.map((event) => event.subject);

/** The feed's end, once it shows this newest order: transactions elsewhere in the cluster may hold the feed back a moment. */
async function endOfFeed(): Promise<string> {
  const { id } = await accept(api.db, { KEYBOARD: 1 });
  let place: string | undefined;
  return eventually('the feed shows the newest order', async () => {
    const page = await read(place);
    place = page.next;
    return page.events.at(-1)?.subject === id && page.next;
  });
}

/** Reads on from a place as a consumer does, keeping `next`, until it has as many events. */
async function consume(from: string, count: number, limit?: number): Promise<CloudEvent[]> {
  const seen: CloudEvent[] = [];
  let after = from;
  await eventually(`${count} events`, async () => {
    const page = await read(after, limit);
    seen.push(...page.events);
    after = page.next;
    return seen.length >= count;
  });
  return seen;
}

/** Some at a time: a thousand at once wait for a connection longer than a busy machine lets them. */
async function acceptMany(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 50)
    await Promise.all(Array.from({ length: Math.min(50, left) }, () => accept(api.db, { KEYBOARD: 1 })));
}

/** A transaction that accepts an order, thereby taking its place in the feed, and ends only when the test says so. */
async function holdOrder(): Promise<{ id: string; end: (how: 'commit' | 'rollback') => Promise<void> }> {
  let end: (how: 'commit' | 'rollback') => void = () => undefined;
  const told = new Promise<'commit' | 'rollback'>((resolve) => {
    end = resolve;
  });
  let transaction: Promise<void> = Promise.resolve();
  const id = await new Promise<string>((resolve, reject) => {
    transaction = other.$transaction(async (tx) => {
      resolve((await accept(tx, { KEYBOARD: 1 })).id);
      if ((await told) === 'rollback') throw new Error('rolled back');
    });
    transaction.catch(reject);
  });
  return {
    id,
    end: async (how) => {
      end(how);
      await transaction.catch(() => undefined);
    },
  };
}

describe('the feed', () => {
  test('from its start has every event of every order', async () => {
    await endOfFeed();
    const { events } = await read();
    expect(events.map((event) => event.id).sort()).toEqual(
      (await api.db.event.findMany()).map((e) => `${e.orderId}-${e.sequence}`).sort(),
    );
  });

  test('answers `next` equal to `after` when nothing is new, and never null', async () => {
    const end = await endOfFeed();
    expect(await read(end)).toEqual({ events: [], next: end });
    const empty = await startTestApi();
    const { body } = await empty.get<Page>('/events');
    expect(body).toEqual({ events: [], next: expect.any(String) });
    expect((await empty.get<Page>(`/events?after=${body.next}`)).body).toEqual(body);
    await empty.stop();
  });

  test('read on from `next`, in pages of any size, has everything once and in the same order', async () => {
    const end = await endOfFeed();
    const orders = await Promise.all(Array.from({ length: 12 }, () => accept(api.db, { KEYBOARD: 1 })));
    await Promise.all(orders.map((order) => reserveInventory(api.db, order.id)));
    const whole = await consume(end, 24);
    expect(subjects(whole).sort()).toEqual(orders.flatMap(({ id }) => [id, id]).sort());
    for (const limit of [1, 5, 24]) expect(await consume(end, 24, limit)).toEqual(whole);
    for (const { id } of orders) {
      expect(whole.filter((event) => event.subject === id).map((event) => event.sequence)).toEqual([1, 2]);
    }
  });

  test('answers the same page to the same request again', async () => {
    const end = await endOfFeed();
    await endOfFeed();
    const page = await read(end, 1);
    expect(await read(end, 1)).toEqual(page);
    expect(page.next).not.toBe(end);
  });
});

describe('a transaction that takes its place early and commits late', () => {
  test('is not skipped: later ones wait for it, and readers get both in order', async () => {
    const end = await endOfFeed();
    const stream = await follow(`?after=${end}`);
    const early = await holdOrder();
    const late = await accept(api.db, { KEYBOARD: 1 });
    expect(await read(end)).toEqual({ events: [], next: end });
    expect((await api.get(`/orders/${late.id}`)).status).toBe(200);
    expect((await api.get(`/orders/${early.id}`)).status).toBe(404);
    const consumed = consume(end, 2);
    await early.end('commit');
    expect(subjects(await consumed)).toEqual([early.id, late.id]);
    await eventually('the stream has both', () => stream.events.length >= 2);
    expect(stream.events.map(({ data }) => data.subject)).toEqual([early.id, late.id]);
  });

  test('and then does not commit leaves no trace and delays no reader', async () => {
    const end = await endOfFeed();
    const early = await holdOrder();
    const late = await accept(api.db, { KEYBOARD: 1 });
    await early.end('rollback');
    expect(subjects(await consume(end, 1))).toEqual([late.id]);
  });

  test('amid a hundred others is delivered with all of them', async () => {
    const end = await endOfFeed();
    const burst = () => Promise.all(Array.from({ length: 25 }, () => accept(api.db, { KEYBOARD: 1 })));
    const consumed = consume(end, 102);
    const before = await burst();
    const first = await holdOrder();
    const between = await burst();
    const second = await holdOrder();
    const after = await burst();
    await second.end('commit');
    const last = await burst();
    await first.end('commit');
    const all = [...before, ...between, ...after, ...last, first, second].map((order) => order.id);
    expect(subjects(await consumed).sort()).toEqual(all.sort());
  });
});

describe('the feed’s stream', () => {
  test('goes live from a place, and resumes at any of its ids', async () => {
    const end = await endOfFeed();
    const first = await follow(`?after=${end}`);
    const a = await accept(api.db, { KEYBOARD: 1 });
    await eventually('the first event', () => first.events.length === 1);
    await reserveInventory(api.db, a.id);
    await eventually('the second event', () => first.events.length === 2);
    expect(first.events.map(({ data }) => [data.subject, data.sequence])).toEqual([
      [a.id, 1],
      [a.id, 2],
    ]);
    const resumed = await follow('', { 'last-event-id': String(first.events[0]?.id) });
    await eventually('the rest', () => resumed.events.length > 0);
    expect(resumed.events).toEqual(first.events.slice(1));
  });

  test('has ids that are places: a stream goes on where a page ended, and the other way round', async () => {
    const end = await endOfFeed();
    const orders = [await accept(api.db, { KEYBOARD: 1 }), await accept(api.db, { KEYBOARD: 1 })].map(
      (order) => order.id,
    );
    const stream = await follow('', { 'last-event-id': end });
    await eventually('both orders', () => stream.events.length === 2);
    expect(subjects((await read(stream.events[0]?.id)).events)).toEqual(orders.slice(1));
    expect((await read(end, 1)).next).toBe(stream.events[0]?.id);
  });

  test('catches up with more than it reads at a time, as fast as its reader', async () => {
    const end = await endOfFeed();
    await acceptMany(1_050);
    const whole = await consume(end, 1_050);
    const stream = await follow('', { 'last-event-id': end });
    await eventually('all of them', () => stream.events.length >= whole.length);
    expect(stream.events.map(({ data }) => data)).toEqual(whole);
  });
});
