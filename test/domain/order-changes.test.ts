/** When a change of an order becomes known: with its commit, never before, and not at all if it is undone. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { type Database, withAnnouncer } from '../../domain/database.js';
import { reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordCharge, recordDecline } from '../../domain/payments.js';
import type { PrismaClient } from '../../prisma/generated/client.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let listener: pg.Client;
let notified: string[];
let announced: string[];
/** As processes of the service have it. */
let db: Database;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
  await stock(t.db, 'GONE', 0);
  db = withAnnouncer(t.db, { announce: (change) => announced.push(change) });
  listener = new pg.Client({ connectionString: t.url });
  await listener.connect();
  listener.on('notification', ({ payload }) => notified.push(payload ?? ''));
  await listener.query(`LISTEN ${OUTBOX_CHANNEL}`);
});
beforeEach(() => {
  [notified, announced] = [[], []];
});
afterAll(async () => {
  await listener.end();
  await t.drop();
});

/** Everything that was notified before this has arrived. */
async function notifiedSoFar(): Promise<string[]> {
  await t.db.$queryRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, 'fence')::text`;
  await eventually('the fence has arrived', () => notified.includes('fence'));
  return notified.splice(0).filter((payload) => payload !== 'fence');
}

const confirmedBy = async (by: Database) => {
  const { id } = await accept(by, { A: 1 });
  await reserveInventory(by, id);
  await recordCharge(by, id, `pi_${id}`, undefined, { confirm: true });
  return id;
};

test('a process announces what its statements have committed, which notify nobody', async () => {
  const id = await confirmedBy(db);
  expect(announced).toEqual([id, id, `${id} final`]);
  expect(await notifiedSoFar()).toEqual([]);
});

test('whoever announces nothing, as the CLI, has its statements notify', async () => {
  const id = await confirmedBy(t.db);
  expect(await notifiedSoFar()).toEqual([id, id, `${id} final`]);
  expect(announced).toEqual([]);
});

test.each<[string, (id: string) => Promise<void>]>([
  [
    'a confirmation by itself',
    async (id: string) => {
      await reserveInventory(db, id);
      await recordCharge(db, id, `pi_${id}`);
      await confirmOrder(db, id);
    },
  ],
  [
    'a cancellation',
    async (id: string) => {
      await beginUnwinding(db, id, { reason: 'OPERATOR' });
      await cancelOrder(db, id);
    },
  ],
])('the end of an order is announced as such: %s', async (_, end) => {
  const { id } = await accept(db, { A: 1 });
  await end(id);
  expect(announced.at(-1)).toBe(`${id} final`);
});

test('a step that changes nothing announces nothing, and a refusal is a change', async () => {
  const { id } = await accept(db, { GONE: 1 });
  expect(await reserveInventory(db, id)).toMatchObject({ outcome: 'refused' });
  expect(announced).toEqual([id, id]);
  await reserveInventory(db, id);
  await recordDecline(db, id, 'card_declined');
  expect(announced).toEqual([id, id]);
});

test('what is done in a transaction becomes known with its commit, and what is undone does not', async () => {
  const [kept, undone] = [await accept(db, { A: 1 }), await accept(db, { A: 1 })];
  announced = [];
  const reserveIn = (id: string, end: () => void) =>
    (db as PrismaClient).$transaction(async (tx) => {
      await reserveInventory(tx, id);
      expect([announced, await notifiedSoFar()]).toEqual([[], []]);
      end();
    });
  await reserveIn(kept.id, () => undefined);
  expect(await notifiedSoFar()).toEqual([kept.id]);
  const failing = reserveIn(undone.id, () => {
    throw new Error('planned failure');
  });
  await expect(failing).rejects.toThrow('planned failure');
  expect([announced, await notifiedSoFar()]).toEqual([[], []]);
});
