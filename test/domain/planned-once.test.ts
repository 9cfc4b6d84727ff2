/** What every order asks of Postgres is planned once per connection, not once per order: planning takes longer than carrying it out. */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { acceptOrder, markStarted } from '../../domain/acceptance.js';
import { earlierAnswer } from '../../domain/idempotency.js';
import { reserveInventory } from '../../domain/inventory.js';
import { readFinalOrders } from '../../domain/orders.js';
import { readPaymentDue, recordCharge } from '../../domain/payments.js';
import { readNews } from '../../domain/reconciliation-findings.js';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { createTestDatabase, orderFor, stock, type TestDatabase } from '../support/database.js';

/** Postgres plans a statement five times for its values before it considers a plan for any. */
const CUSTOM_PLANS_MAX = 5;
const ORDERS = 12;

let t: TestDatabase;
/** Of one connection, which is asked how it has planned. */
let db: DatabaseClient;

beforeAll(async () => {
  t = await createTestDatabase();
  db = openDatabase(t.url, 1);
  await stock(t.db, 'A', 1_000_000);
});
afterAll(async () => {
  await db?.$disconnect();
  await t?.drop();
});

/** Nobody has looked at the tables: so they are for an hour after a database was made or restored. */
test('in a database that Postgres has not analysed yet', async () => {
  await takeOrders();
  expect(await plannedEachTime()).toEqual([]);
});

test('in one that it has', async () => {
  await t.db.$executeRaw`ANALYZE`;
  await takeOrders();
  expect(await plannedEachTime()).toEqual([]);
});

test('a statement that is planned each time is noticed', async () => {
  for (let i = 0; i < ORDERS; i++)
    await db.$queryRaw`SELECT id, (SELECT count(*) FROM order_lines l WHERE l.order_id = o.id) FROM orders o WHERE id = ANY(${[randomUUID()]}::uuid[])`;
  expect(await plannedEachTime()).toHaveLength(1);
});

/** With number and key, and without; known customers, and new ones. */
async function takeOrders(): Promise<void> {
  for (let i = 0; i < ORDERS; i++)
    for (const isKept of [true, false]) await takeOrder(`cus_${isKept ? i % 2 : randomUUID()}`, isKept);
}

async function takeOrder(customerId: string, isKept: boolean): Promise<void> {
  const order = {
    ...orderFor(customerId, [{ sku: 'A', quantity: 1, unitPrice: 1_000 }]),
    ...(isKept && { externalOrderId: randomUUID() }),
  };
  const fingerprint = new Uint8Array(createHash('sha256').update(order.id).digest());
  const claim = { caller: 'shop', route: 'POST /orders', key: order.id, fingerprint, ttlMs: 60_000 };
  if (isKept) await earlierAnswer(db, claim);
  const accepted = await acceptOrder(
    db,
    { order, paymentMethod: 'pm_card_visa' },
    isKept ? { ...claim, response: '{}' } : undefined,
  );
  expect(accepted).toMatchObject({ outcome: 'accepted' });
  await markStarted(db, [{ id: order.id, kind: 'order' }]);
  expect(await reserveInventory(db, order.id)).toEqual({ outcome: 'done' });
  await readPaymentDue(db, order.id);
  const reference = `pi_${order.id}`;
  expect(await recordCharge(db, order.id, reference, undefined, { confirm: true })).toMatchObject({ confirmed: true });
  expect(await readFinalOrders(db, [order.id])).toHaveLength(1);
  expect(await readNews(db, [{ orderId: order.id, reference, says: 'taken' }])).toEqual([]);
}

/** Of what was asked for often enough. */
async function plannedEachTime(): Promise<string[]> {
  const rows = await db.$queryRaw<{ statement: string }[]>`
    SELECT statement FROM pg_prepared_statements
    WHERE generic_plans + custom_plans >= ${ORDERS}::int AND custom_plans > ${CUSTOM_PLANS_MAX}::int`;
  return rows.map(({ statement }) => statement);
}
