/** Clients' ids of customers, sealed: who reads them, what goes on without the key, and how those of before get there. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { findReferences, identityKeyOf } from '../../../domain/customers.js';
import { type Database, withSealing } from '../../../domain/database.js';
import { cancelOrder, beginUnwinding, listOrders, readOrder, readOrderFor } from '../../../domain/orders.js';
import { readOrderEvents } from '../../../domain/outbox.js';
import { createDataKeys } from '../../../domain/sealing/data-keys.js';
import { KeyUnavailable } from '../../../domain/sealing/errors.js';
import { beginSealing, nextPass, readPage, readPasses, replaceTexts } from '../../../domain/sealing/passes.js';
import type { Sealing } from '../../../domain/sealing/port.js';
import { createSealing } from '../../../domain/sealing/sealing.js';
import { sealOnce } from '../../../relay/sealing.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../../support/database.js';
import { keyStoreForTests } from '../../support/keys.js';

let t: TestDatabase;
beforeEach(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterEach(() => t?.drop());

/** A process that has no key in memory yet. */
function aProcess(store = keyStoreForTests()): { db: TestDatabase['db']; sealing: Sealing; store: typeof store } {
  const sealing = createSealing(createDataKeys(t.db, store, { customersMax: 10, ttlMs: 1 }));
  return { db: withSealing(t.db, sealing), sealing, store };
}
const storedIds = async (): Promise<string[]> =>
  (await t.db.$queryRaw<{ id: string }[]>`SELECT client_id AS id FROM customers ORDER BY created_at, reference`).map(
    ({ id }) => id,
  );
const inDump = async (text: string): Promise<boolean> => {
  const [row] = await t.db.$queryRaw<{ is: boolean }[]>`
    SELECT EXISTS (SELECT FROM customers c WHERE c::text LIKE '%' || ${text} || '%') AS is`;
  return row?.is === true;
};

async function sealAll(db: Database, sealing: Sealing, batch?: number): Promise<number> {
  let sealed = 0;
  for (let done = await sealOnce(db, sealing, batch); done; done = await sealOnce(db, sealing, batch))
    sealed += done.sealed;
  return sealed;
}
/** As if what is stored now had been stored long before. */
const longAgo = () => t.db.$executeRaw`UPDATE sealing_passes SET opened_at = opened_at - interval '1 minute'`;

test('a client’s id stands nowhere as it is, is found by, and is told by whoever has the key', async () => {
  const { db, store } = aProcess();
  const { id, customer } = await accept(db, { A: 1 }, { customerId: 'cus_erna' });
  await accept(db, { A: 1 }, { customerId: 'cus_erna' });
  expect(await storedIds()).toEqual([expect.stringMatching(/^sealed:v1:1:/)]);
  expect(await inDump('erna')).toBe(false);
  for (const reader of [db, aProcess(store).db]) {
    expect(await readOrder(reader, id, 'opened')).toMatchObject({ customerId: 'cus_erna' });
    expect(await listOrders(reader, { customerId: 'cus_erna' }, 10, 'opened')).toHaveLength(2);
    expect(await readOrderFor(reader, id, 'cus_erna')).toMatchObject({ isOwn: true });
    expect(await readOrderFor(reader, id, 'cus_other')).toMatchObject({ isOwn: false });
    expect((await readOrderEvents(reader, id, 0, 1))[0]?.data).toMatchObject({
      customerId: 'cus_erna',
      customerReference: customer,
    });
  }
  expect(await findReferences(t.db, await identityKeyOf(t.db), 'cus_erna')).toEqual([customer]);
});

test('who cannot have the key says nothing wrong: no answer, no event, and for operators the reference', async () => {
  const { id, customer } = await accept(aProcess().db, { A: 1 }, { customerId: 'cus_erna' });
  const away = aProcess();
  away.store.isAway = true;
  for (const reader of [t.db, away.db]) {
    await expect(readOrder(reader, id, 'opened')).rejects.toThrow(KeyUnavailable);
    await expect(readOrderEvents(reader, id, 0, 1)).rejects.toThrow(KeyUnavailable);
    expect(await readOrder(reader, id)).toMatchObject({ customerId: customer });
    expect((await readOrderEvents(reader, id, 0, 1, 'closed'))[0]?.data).toMatchObject({ customerId: customer });
  }
});

test('orders of new customers are accepted while the key store is away: sealed by who has had the key, and else as soon as it is back', async () => {
  const { db, sealing, store } = aProcess();
  await accept(db, { A: 1 }, { customerId: 'cus_first' });
  store.isAway = true;
  await accept(db, { A: 1 }, { customerId: 'cus_second' });
  const late = aProcess(store);
  const { id } = await accept(late.db, { A: 1 }, { customerId: 'cus_third' });
  expect((await storedIds()).map((stored) => stored.slice(0, 6))).toEqual(['sealed', 'sealed', 'cus_th']);
  expect(await readOrder(t.db, id, 'opened')).toMatchObject({ customerId: 'cus_third' });
  store.isAway = false;
  await longAgo();
  expect(await sealAll(db, sealing)).toBe(1);
  expect(await inDump('third')).toBe(false);
  expect(await readOrder(db, id, 'opened')).toMatchObject({ customerId: 'cus_third' });
});

test('where there were customers before, nothing is sealed until it is begun; then all is, by whichever relay goes on', async () => {
  for (let i = 0; i < 5; i++) await accept(t.db, { A: 1 }, { customerId: `cus_before_${i}` });
  const said = await accept(t.db, { A: 1 }, { customerId: 'cus_before_0' });
  await beginUnwinding(t.db, said.id, { reason: 'CANCELLED_BY_CUSTOMER', message: 'zieht um: Ahornweg 12' });
  await cancelOrder(t.db, said.id);
  const { db, sealing, store } = aProcess();
  await accept(db, { A: 1 }, { customerId: 'cus_before_5' });
  expect(await sealOnce(db, sealing)).toBeUndefined();
  expect((await storedIds()).filter((stored) => stored.startsWith('sealed'))).toEqual([]);

  expect(await beginSealing(t.db)).toBe(true);
  await longAgo();
  const first = await sealOnce(db, sealing, 2);
  expect(first).toEqual({ what: 'customers', sealed: 2 });
  const next = aProcess(store);
  expect(await sealAll(next.db, next.sealing, 2)).toBe(4 + 1);
  expect((await storedIds()).filter((stored) => !stored.startsWith('sealed'))).toEqual([]);
  expect(await readOrder(db, said.id, 'opened')).toMatchObject({
    customerId: 'cus_before_0',
    cancellation: { message: 'zieht um: Ahornweg 12' },
  });
  const [row] = await t.db.$queryRaw<
    { text: string }[]
  >`SELECT cancellation_message AS text FROM orders WHERE id = ${said.id}::uuid`;
  expect(row?.text).toMatch(/^sealed:v1:/);
  expect(await readPasses(t.db)).toMatchObject([
    { name: 'customers', looked: 6, sealed: 6, doneAt: expect.any(Date) },
    { name: 'orders', looked: 7, sealed: 1, doneAt: expect.any(Date) },
  ]);
});

test('who believes a moment longer that nothing is sealed is gone after: the pass ends only once that is over', async () => {
  await accept(t.db, { A: 1 }, { customerId: 'cus_before' });
  const { db, sealing } = aProcess();
  await beginSealing(t.db);
  for (let i = 0; i < 6; i++) await sealOnce(db, sealing);
  await accept(t.db, { A: 1 }, { customerId: 'cus_late' });
  expect(await readPasses(t.db)).toMatchObject([{ name: 'customers', doneAt: null }, { name: 'orders' }]);
  await longAgo();
  await sealAll(db, sealing);
  expect((await storedIds()).filter((stored) => !stored.startsWith('sealed'))).toEqual([]);
});

test('what an erasure has destroyed is not put back by a pass that has read it before', async () => {
  const { customer } = await accept(t.db, { A: 1 }, { customerId: 'cus_erna' });
  await beginSealing(t.db);
  const pass = await nextPass(t.db);
  const page = pass && (await readPage(t.db, pass, 10));
  expect(page?.plain).toEqual([{ id: customer, held: customer, text: 'cus_erna' }]);
  await t.db.$executeRaw`
    UPDATE customers SET client_id = NULL, lookup = NULL, erasing_since = now(), erased_at = now() WHERE reference = ${customer}::uuid`;
  expect(await replaceTexts(t.db, 'customers', [{ id: customer, text: 'cus_erna', sealed: 'sealed:v1:1:AAAA' }])).toBe(
    0,
  );
});

test('an id that looks like something sealed is the client’s own all the same', async () => {
  for (const db of [t.db, aProcess().db])
    for (const customerId of ['sealed:v1:1:AAAA', 'plain:v1:cus', `sealed:v1:9:${randomUUID()}`]) {
      const { id } = await accept(db, { A: 1 }, { customerId });
      expect(await readOrder(db, id, 'opened')).toMatchObject({ customerId });
      expect(await listOrders(db, { customerId }, 10, 'opened')).not.toHaveLength(0);
    }
});

test('without encryption an order costs no statement more, and its customer’s id stands as it is', async () => {
  const asked: string[] = [];
  const db = new Proxy(t.db, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      return name === '$queryRaw' || name === '$executeRaw'
        ? (...args: unknown[]) => {
            asked.push(JSON.stringify(args[0]));
            return (value as (...args: unknown[]) => unknown)(...args);
          }
        : value;
    },
  });
  await accept(db, { A: 1 }, { customerId: 'cus_erna' });
  asked.length = 0;
  await accept(db, { A: 1 }, { customerId: 'cus_hans' });
  expect(asked).toHaveLength(2); // the prices, and the order
  expect(await storedIds()).toEqual(['cus_erna', 'cus_hans']);
});
