/** What the starter tells of itself: what it has in hand, and whether it falls behind. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { createSagaStarter } from '../../api/starter.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { PATIENT, SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterAll(() => t.drop());

/** More than a starter starts at a time. */
const MANY = 50;
const someOrders = () => Promise.all(Array.from({ length: MANY }, () => accept(t.db, { A: 1 })));

/** A starter before a Temporal that answers when it is told to. */
function starterBefore(answered: Promise<void>) {
  const client = {
    withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
    workflow: { start: () => answered },
  } as unknown as Client;
  return createSagaStarter({ db: t.db, client: () => client, policy: PATIENT, eager: false, logger: SILENT });
}

test('orders are in its hand until they have left the sweep’s list, and it is behind while some wait', async () => {
  let answer: () => void = () => undefined;
  const starter = starterBefore(
    new Promise((resolve) => {
      answer = resolve;
    }),
  );
  const orders = await someOrders();
  for (const order of orders) starter.start({ ...order, kind: 'order' });
  expect(new Set(starter.inHand)).toEqual(new Set(orders.map(({ id }) => id)));
  expect(starter.isBehind()).toBe(true);

  answer();
  await eventually('none waits', () => !starter.isBehind());
  const isListed = async (id: string) => (await listUnstarted(t.db, -60_000, 1_000)).some((order) => order.id === id);
  await eventually('nothing is in hand', async () => {
    for (const { id } of orders)
      if (!starter.inHand.has(id) && (await isListed(id))) throw new Error(`${id} is let go`);
    return starter.inHand.size === 0;
  });
  await starter.stop();
});

test('what it could not start is out of its hand, and it is not behind', async () => {
  const starter = starterBefore(Promise.reject(new Error('Temporal is away')));
  for (const order of await someOrders()) starter.start({ ...order, kind: 'order' });
  await eventually('nothing is in hand', () => starter.inHand.size === 0);
  expect(starter.isBehind()).toBe(false);
  await starter.stop();
});
