/** A database of one test file's own: a copy of the migrated template, so that files cannot see each other's orders. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import type { Order, OrderLine, StoredOrder } from '../../contracts/orders.js';
import { acceptOrder } from '../../domain/acceptance.js';
import type { Database } from '../../domain/database.js';
import { putSku, readPrices } from '../../domain/inventory.js';
import { listOrders } from '../../domain/orders.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { eventually } from './conditions.js';

export type TestDatabase = { db: DatabaseClient; url: string; drop: () => Promise<void> };

export const createTestDatabase = (): Promise<TestDatabase> => createFrom(required('TEST_TEMPLATE_DATABASE'));

/** As an administrator copies one who wants another like it. Whoever is connected to it is cut off, and comes again. */
export async function copyDatabase(url: string): Promise<TestDatabase> {
  const name = new URL(url).pathname.slice(1);
  const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;
  return eventually('no session is connected in between', async () => {
    await asAdmin(required('TEST_DATABASE_ADMIN_URL'), end);
    return createFrom(name);
  });
}

async function createFrom(template: string): Promise<TestDatabase> {
  const adminUrl = required('TEST_DATABASE_ADMIN_URL');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await asAdmin(adminUrl, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const db = openDatabase(url.href, 10);
  return {
    db,
    url: url.href,
    drop: async () => {
      await db.$disconnect();
      await asAdmin(adminUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

export async function asAdmin(url: string, statement: string): Promise<void> {
  const client = new pg.Client(sessionConfig(url));
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

export function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run the tests with npm test`);
  return value;
}

/** Stocks a SKU at 1000 minor units apiece. */
export async function stock(db: Database, sku: string, onHand: number, unitPrice = 1_000): Promise<void> {
  await putSku(db, sku, { name: sku, unitPrice, currency: 'USD', onHand });
}

/** Accepts an order as the API would. @param lines SKU → quantity; each must be in the catalogue, whose price it is */
export async function accept(
  db: Database,
  lines: Record<string, number>,
  {
    paymentMethod = 'pm_card_visa',
    customerId = 'cus_test',
    ...more
  }: { paymentMethod?: string; customerId?: string; chargeCorrelationId?: string } = {},
): Promise<StoredOrder> {
  const prices = new Map((await readPrices(db, Object.keys(lines))).map(({ sku, unitPrice }) => [sku, unitPrice]));
  const items = Object.entries(lines).map(([sku, quantity]): OrderLine => {
    const unitPrice = prices.get(sku);
    if (unitPrice === undefined) throw new Error(`${sku} is not in the catalogue: stock it first`);
    return { sku, quantity, unitPrice };
  });
  const order = orderFor(customerId, items);
  const acceptance = await acceptOrder(db, { order, paymentMethod, ...more });
  if (acceptance.outcome !== 'accepted') throw new Error(`the order was not accepted: ${acceptance.outcome}`);
  return { ...order, customer: acceptance.customer };
}

/** An order as the API would accept it. */
export function orderFor(customerId: string, items: OrderLine[]): Order {
  const now = new Date().toISOString();
  return {
    id: uuidv7(),
    status: 'PENDING',
    customerId,
    items,
    total: { amount: items.reduce((sum, line) => sum + line.quantity * line.unitPrice, 0), currency: 'USD' },
    createdAt: now,
    updatedAt: now,
    correlationId: uuidv7(),
  };
}

/** The orders of a client's id, newest first: in its row an order has a reference. */
export const ordersOf = (db: Database, clientId: string): Promise<StoredOrder[]> =>
  listOrders(db, { customerId: clientId }, 1_000);

/** The order's events so far, by type. */
export async function eventTypes(db: Database, orderId: string): Promise<string[]> {
  const events = await db.event.findMany({ where: { orderId }, orderBy: { sequence: 'asc' } });
  events.forEach((event, i) => {
    if (event.sequence !== i + 1) throw new Error(`order ${orderId}: event ${i + 1} has sequence ${event.sequence}`);
  });
  return events.map((event) => event.type);
}

/** What must hold of stock at every moment. @throws naming the SKU that breaks it, or if there is nothing to check */
export async function assertStockConserved(db: Database): Promise<void> {
  const broken = await db.$queryRaw<{ checked: bigint; broken: string[] | null }[]>`
    SELECT count(*) AS checked, array_agg(i.sku) FILTER (WHERE i.available + i.reserved + i.sold <> i.on_hand_total
      OR i.reserved <> coalesce(h.reserved, 0) OR i.sold <> coalesce(h.sold, 0)) AS broken
    FROM inventory i LEFT JOIN (
      SELECT sku, sum(quantity) FILTER (WHERE state = 'RESERVED') AS reserved, sum(quantity) FILTER (WHERE state = 'SOLD') AS sold
      FROM reservations GROUP BY sku
    ) h USING (sku)`;
  if (Number(broken[0]?.checked) === 0) throw new Error('there is no stock to check');
  if (broken[0]?.broken) throw new Error(`stock and reservations disagree for ${broken[0].broken.join(', ')}`);
}

/** Other test files write in the same cluster, and a transaction that began earlier holds the feed back until it ends. */
export async function feedShowsAll(db: Database): Promise<void> {
  await eventually('the feed shows all that is committed', async () => {
    const [row] = await db.$queryRaw<{ hidden: bigint }[]>`
      SELECT count(*) AS hidden FROM outbox WHERE feed_xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint`;
    return row?.hidden === 0n;
  });
}
