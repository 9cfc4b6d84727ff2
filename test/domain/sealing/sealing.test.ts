/** Texts sealed with a customer's key: who can read them, and until when. On a real Postgres, with a real key file. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { destroyCustomerKeys } from '../../../domain/sealing/customer-keys.js';
import { createDataKeys } from '../../../domain/sealing/data-keys.js';
import { KeyDestroyed, KeyUnavailable, SealBroken } from '../../../domain/sealing/errors.js';
import { ERASED, type Place } from '../../../domain/sealing/port.js';
import { createSealing, NO_SEALING } from '../../../domain/sealing/sealing.js';
import { eventually } from '../../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { keyStoreForTests } from '../../support/keys.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
afterAll(() => t?.drop());

const LIMITS = { customersMax: 100, ttlMs: 60_000 };
/** A process of its own, with a cache of its own. */
function aProcess(store = keyStoreForTests(), limits = LIMITS, now?: () => number) {
  const keys = createDataKeys(t.db, store, limits, {}, now);
  return { store, keys, sealing: createSealing(keys) };
}
const placeOf = (reference: string): Place => ({
  table: 'orders',
  column: 'cancellation_message',
  row: 'o1',
  reference,
});
const TEXT = 'Bitte an Jörg 🙂, 12 Elm Street';

test('a sealed text is read by every process that has the keys, and stands nowhere in the database', async () => {
  const { sealing, store } = aProcess();
  const place = placeOf(randomUUID());
  const stored = await sealing.seal(TEXT, place);
  expect(stored).toMatch(/^sealed:v1:1:[A-Za-z0-9+/=]+$/);
  expect(stored).not.toContain('Elm');
  expect(await sealing.open(stored, place)).toBe(TEXT);
  expect(await aProcess(store).sealing.open(stored, place)).toBe(TEXT);
  expect(await sealing.seal(TEXT, place)).not.toBe(stored); // a nonce of its own
});

test('a sealed text cannot be read in another row, column or table, or as another customer’s', async () => {
  const { sealing } = aProcess();
  const place = placeOf(randomUUID());
  const stored = await sealing.seal(TEXT, place);
  const other = randomUUID();
  await sealing.seal('theirs', placeOf(other));
  for (const moved of [{ table: 'saga_log' }, { column: 'detail' }, { row: 'o2' }, { reference: other }])
    await expect(sealing.open(stored, { ...place, ...moved })).rejects.toThrow(SealBroken);
  const changed = `${stored.slice(0, -6)}AAAA${stored.slice(-2)}`;
  await expect(sealing.open(changed, place)).rejects.toThrow(SealBroken);
});

test('a text of before there was encryption stays readable, and one that looks sealed is not taken for it', async () => {
  const place = placeOf(randomUUID());
  for (const { sealing } of [aProcess(), { sealing: NO_SEALING }]) {
    expect(await sealing.open('changed my mind', place)).toBe('changed my mind');
    for (const text of [
      'sealed:v1:1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=',
      'plain:v1:x',
      'plain:v1:sealed:v1:1:AA==',
      '',
    ])
      expect(await sealing.open(await sealing.seal(text, place), place)).toBe(text);
  }
});

test('without encryption a text stays as it is, and no key is made', async () => {
  const place = placeOf(randomUUID());
  expect(NO_SEALING.isOn).toBe(false);
  expect(await NO_SEALING.seal(TEXT, place)).toBe(TEXT);
  expect(await t.db.customerKey.count({ where: { reference: place.reference } })).toBe(0);
  const stored = await aProcess().sealing.seal(TEXT, place);
  await expect(NO_SEALING.open(stored, place)).rejects.toThrow(KeyUnavailable);
});

test('once the keys are destroyed the text reads as erased, for whoever asks, and no key is made again', async () => {
  const { sealing, store, keys } = aProcess();
  const place = placeOf(randomUUID());
  const stored = await sealing.seal(TEXT, place);
  expect(await destroyCustomerKeys(t.db, place.reference)).toBe(1);
  expect(await destroyCustomerKeys(t.db, place.reference)).toBe(0);
  sealing.forget(place.reference);
  for (const each of [sealing, aProcess(store).sealing]) {
    expect(await each.open(stored, place)).toBe(ERASED);
    expect(await each.seal('something new', place)).toBe(ERASED);
    await expect(each.sealBytes(Buffer.from('x'), { reference: place.reference, about: 'a' })).rejects.toThrow(
      KeyDestroyed,
    );
  }
  await expect(keys.renew(place.reference)).rejects.toThrow(KeyDestroyed);
  const again = { reference: place.reference, version: 2, kekId: 'file:first', wrapped: new Uint8Array(60) };
  await expect(t.db.customerKey.create({ data: again })).rejects.toThrow();
  await expect(
    t.db.customerKey.updateMany({
      where: { reference: place.reference },
      data: { wrapped: again.wrapped, destroyedAt: null },
    }),
  ).rejects.toThrow();
});

test('a customer who never had a key gets none after an erasure', async () => {
  const { sealing } = aProcess();
  const place = placeOf(randomUUID());
  expect(await destroyCustomerKeys(t.db, place.reference)).toBe(0);
  expect(await sealing.seal(TEXT, place)).toBe(ERASED);
  expect(await t.db.customerKey.findMany({ where: { reference: place.reference } })).toMatchObject([
    { version: 0, wrapped: null },
  ]);
});

const isWaiting = async (): Promise<boolean> => {
  const rows = await t.db.$queryRaw<unknown[]>`
    SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return rows.length > 0;
};

test('a key that is being made while its customer is erased does not survive', async () => {
  const reference = randomUUID();
  const { keys } = aProcess();
  let destroyed: Promise<number> | undefined;
  await t.db.$transaction(async (making) => {
    await createDataKeys(making, keyStoreForTests(), LIMITS).newest(reference);
    let isOver = false;
    destroyed = destroyCustomerKeys(t.db, reference).finally(() => {
      isOver = true;
    });
    await eventually('the erasure waits for the key', async () => isOver || (await isWaiting()));
  });
  expect(await destroyed).toBe(1);
  await expect(keys.newest(reference)).rejects.toThrow(KeyDestroyed);
});

test('while the key store is away what is sealed cannot be read, and can be again when it is back', async () => {
  const { store, sealing } = aProcess();
  const place = placeOf(randomUUID());
  const stored = await sealing.seal(TEXT, place);
  const other = aProcess(store);
  store.isAway = true;
  await expect(other.sealing.open(stored, place)).rejects.toThrow(KeyUnavailable);
  await expect(other.sealing.seal(TEXT, placeOf(randomUUID()))).rejects.toThrow(KeyUnavailable);
  expect(await other.sealing.open('plain', place)).toBe('plain');
  expect(await sealing.open(stored, place)).toBe(TEXT); // whoever has the key in hand goes on
  store.isAway = false;
  expect(await other.sealing.open(stored, place)).toBe(TEXT);
});

test('a key is unwrapped once however many ask for it, kept for its time, and for so many customers', async () => {
  const { store, sealing } = aProcess();
  const place = placeOf(randomUUID());
  const stored = await sealing.seal(TEXT, place);
  let now = 0;
  const reader = aProcess(store, { customersMax: 2, ttlMs: 1_000 }, () => now);
  store.calls.length = 0;
  await Promise.all(Array.from({ length: 20 }, () => reader.sealing.open(stored, place)));
  expect(store.calls).toEqual(['unwrap']);
  now = 999;
  await reader.sealing.open(stored, place);
  expect(store.calls).toHaveLength(1);
  now = 1_000;
  await reader.sealing.open(stored, place);
  expect(store.calls).toHaveLength(2);
  for (let n = 0; n < 2; n++) await reader.sealing.seal('x', placeOf(randomUUID()));
  store.calls.length = 0;
  await reader.sealing.open(stored, place);
  expect(store.calls).toEqual(['unwrap']);
});

test('processes that make a customer’s first key at the same time agree on one', async () => {
  const { store } = aProcess();
  const place = placeOf(randomUUID());
  const processes = Array.from({ length: 8 }, () => aProcess(store).sealing);
  const stored = await Promise.all(processes.map((each, n) => each.seal(`text ${n}`, place)));
  expect(await t.db.customerKey.count({ where: { reference: place.reference } })).toBe(1);
  for (const [n, text] of stored.entries()) expect(await processes[(n + 1) % 8]?.open(text, place)).toBe(`text ${n}`);
});

test('a renewed key seals from then on, and what was sealed before stays readable', async () => {
  const { store, keys, sealing } = aProcess();
  const place = placeOf(randomUUID());
  const before = await sealing.seal('before', place);
  await keys.renew(place.reference);
  const after = await sealing.seal('after', place);
  expect(after).toMatch(/^sealed:v1:2:/);
  for (const each of [sealing, aProcess(store).sealing]) {
    expect(await each.open(before, place)).toBe('before');
    expect(await each.open(after, place)).toBe('after');
  }
});

test('bytes are sealed for what they are about', async () => {
  const { sealing } = aProcess();
  const of = { reference: randomUUID(), about: 'order-1' };
  const sealed = await sealing.sealBytes(Buffer.from(TEXT), of);
  expect((await sealing.openBytes(sealed, of)).toString()).toBe(TEXT);
  await expect(sealing.openBytes(sealed, { ...of, about: 'order-2' })).rejects.toThrow(SealBroken);
});
