/** Destinations over HTTP, as a relay that really runs serves them, to a receiver that takes, refuses, and is away. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay } from '../support/relay.js';

let api: TestApi;
let receiver: Receiver;
let stopRelay: (() => Promise<void>) | undefined;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'A', 1_000_000);
  receiver = await startReceiver();
});
afterEach(async () => {
  await stopRelay?.();
  stopRelay = undefined;
  receiver.answer = () => 204;
  receiver.headers = {};
});
afterAll(async () => {
  await api.stop();
  await receiver.stop();
});

type Destination = {
  destination: string;
  state: string;
  relays: number;
  partitionsServed: number;
  owed: number;
  oldestOwedAt: string | null;
  lastTakenAt: string | null;
  failingSince: string | null;
  error: string | null;
  leftAloneUntil: string | null;
  deadLetters: { cause: string; count: number }[];
  partitions: { partition: number; cursor: string; movedAt: string; served: boolean }[];
};
const start = () => {
  stopRelay = runRelay({ db: api.db, url: api.databaseUrl }, receiver);
};
const read = async () =>
  (await api.get<{ destinations: Destination[] }>('/admin/destinations')).body.destinations[0] as Destination;
const until = (what: string, isSo: (destination: Destination) => boolean) =>
  eventually(what, async () => {
    const destination = await read();
    return destination !== undefined && isSo(destination) && destination;
  });
const order = (count: number) => Promise.all(Array.from({ length: count }, () => accept(api.db, { A: 1 })));

test('nothing is configured, and nothing is shown', async () => {
  expect(await read()).toBeUndefined();
});

test('a destination that takes what it is sent is current, and says when it took something last, also when its relay has ended', async () => {
  const before = Date.now();
  await order(3);
  start();
  const served = await until(
    'all is taken, and that is noted',
    ({ state, lastTakenAt }) => state === 'current' && lastTakenAt !== null,
  );
  expect(served).toMatchObject({
    destination: 'webhook',
    relays: 1,
    partitionsServed: 16,
    owed: 0,
    oldestOwedAt: null,
  });
  expect(served).toMatchObject({ failingSince: null, error: null, leftAloneUntil: null, deadLetters: [] });
  expect(Date.parse(served.lastTakenAt ?? '')).toBeGreaterThanOrEqual(before);
  expect(served.partitions.map(({ partition }) => partition)).toEqual(Array.from({ length: 16 }, (_, i) => i));
  expect(served.partitions.every((partition) => partition.served && /^\d+\.\d+$/.test(partition.cursor))).toBe(true);

  await stopRelay?.();
  stopRelay = undefined;
  expect(await read()).toMatchObject({
    state: 'unserved',
    relays: 0,
    partitionsServed: 0,
    lastTakenAt: served.lastTakenAt,
  });
});

test('one that is away is failing, since when and why, while what it is owed grows; when it is back, it is current', async () => {
  receiver.answer = () => 503;
  start();
  await order(4);
  const failing = await until('it is known to fail', ({ state, owed }) => state === 'failing' && owed === 4);
  expect(failing.error).toBe('the webhook receiver answered 503');
  expect(failing.oldestOwedAt).not.toBeNull();
  expect(Date.parse(failing.failingSince ?? '')).toBeLessThanOrEqual(Date.now());
  receiver.answer = () => 204;
  const back = await until('it is current', ({ state }) => state === 'current');
  expect(back).toMatchObject({ failingSince: null, error: null, owed: 0 });
  expect(Date.parse(back.lastTakenAt ?? '')).toBeGreaterThan(Date.parse(failing.failingSince ?? ''));
});

test('one that asks for a pause is left alone until then', async () => {
  receiver.answer = () => 503;
  receiver.headers = { 'retry-after': '120' };
  start();
  await order(2);
  const paused = await until('it is left alone', ({ state }) => state === 'left-alone');
  expect(paused.error).toBe('the webhook receiver answered 503');
});

test('one that takes others’ events is troubled, and current again when the one it does not take is a dead letter', async () => {
  const [poisoned] = await order(1);
  receiver.answer = ({ subject, sequence }) => (subject === poisoned?.id && sequence === 2 ? 422 : 204);
  start();
  await reserveInventory(api.db, poisoned?.id ?? '');
  const held = await until('it is held', ({ deadLetters }) => deadLetters.length > 0);
  expect(held.deadLetters).toMatchObject([{ cause: 'rejected', count: 1 }]);
  await order(1);
  expect(await until('it is current', ({ state }) => state === 'current')).toMatchObject({ error: null, owed: 0 });
});
