/**
 * Orders by what many have in common: what they are of, the stock that they hold, what they cost, when they were accepted. Whatever is asked, a look
 * goes through so many orders at most, newest first, and says where it has stopped; the next one goes on from there.
 */
import type { OrderStatus, StoredOrder } from '../contracts/orders.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';
import { createdBefore, createdFrom, orderColumns, type OrderRow, type Texts, toOrder } from './orders.js';

/** What orders are looked for by; all of it must fit. */
export type Common = {
  /** One of their lines is of it, whatever has come of them. */
  sku?: string;
  /** They hold stock of it now: reserved, and neither bought nor given back. */
  heldSku?: string;
  /** In the minor unit, both included. */
  amount?: { currency: string; from: number; to: number };
  status?: OrderStatus;
  /** Accepted at or after, and before: ms since 1970. */
  createdFromMs?: number;
  createdToMs?: number;
};

/** Orders that one look goes through, at most: some 40 ms of Postgres'. */
export const EXAMINED_MAX = 20_000;
/** So many of an amount are sorted by their age. Of more than that, the newest are met soon enough among all orders. */
export const SORTED_MAX = 2_000;

/** `end`: the oldest order that was looked at, if there may be more behind it. */
export type Look = { orders: StoredOrder[]; end: string | null };

/**
 * @param beforeId only orders that are older
 * @returns newest first; fewer than `limit` = the look is over, and `end` says whether it is at the end
 * @throws KeyUnavailable as readOrder
 */
export async function findOrders(
  db: Statements,
  { wanted, beforeId, limit }: { wanted: Common; beforeId: string | undefined; limit: number },
  texts: Texts = 'closed',
): Promise<Look> {
  const examined = await examinedOf(db, wanted, beforeId);
  const rows = await db.$queryRaw<OrderRow[]>`
    SELECT ${orderColumns} FROM (${examined.orders}) AS orders WHERE ${conditionsOf(wanted)} ORDER BY ${examined.order} LIMIT ${limit}`;
  const orders = await Promise.all(rows.map((row) => toOrder(db, row, texts)));
  if (orders.length === limit || examined.isAll) return { orders, end: null };
  const [last] = await db.$queryRaw<{ id: string }[]>`${examined.ids} OFFSET ${EXAMINED_MAX - 1} LIMIT 1`;
  return { orders, end: last?.id ?? null };
}

/** What is looked through: orders in their order, and their ids alone. `isAll`: there are no others behind them. */
type Examined = { orders: Prisma.Sql; order: Prisma.Sql; ids: Prisma.Sql; isAll?: true };

async function examinedOf(db: Statements, wanted: Common, beforeId: string | undefined): Promise<Examined> {
  if (wanted.heldSku !== undefined) return holders(wanted, beforeId);
  if (wanted.amount && (await areFew(db, wanted, beforeId))) return fitting(wanted, beforeId);
  return newest(wanted, beforeId);
}

function newest(wanted: Common, beforeId: string | undefined): Examined {
  const within = Prisma.join([...spanOf(wanted), olderThan(Prisma.sql`id`, beforeId)], ' AND ');
  const ids = Prisma.sql`SELECT id FROM orders WHERE ${within} ORDER BY id DESC`;
  return {
    orders: Prisma.sql`SELECT * FROM orders WHERE ${within} ORDER BY id DESC LIMIT ${EXAMINED_MAX}`,
    order: Prisma.sql`id DESC`,
    ids,
  };
}

/** The index has a SKU's holders in order; each order is looked up by its id, as long as there is room on the page. */
function holders({ heldSku }: Common, beforeId: string | undefined): Examined {
  const ids = Prisma.sql`
    SELECT order_id AS id FROM reservations
    WHERE sku = ${heldSku} AND state = 'RESERVED' AND ${olderThan(Prisma.sql`order_id`, beforeId)} ORDER BY order_id DESC`;
  return {
    orders: Prisma.sql`
      SELECT whole.*, holder.id AS holder FROM (${ids} LIMIT ${EXAMINED_MAX}) AS holder
      CROSS JOIN LATERAL (SELECT * FROM orders WHERE id = holder.id OFFSET 0) AS whole`,
    order: Prisma.sql`holder DESC`,
    ids,
  };
}

/** All of the amount, found by it: there are few. */
function fitting(wanted: Common, beforeId: string | undefined): Examined {
  const ids = idsOfAmount(wanted, beforeId);
  return {
    orders: Prisma.sql`
      SELECT whole.* FROM (${ids}) AS few CROSS JOIN LATERAL (SELECT * FROM orders WHERE id = few.id OFFSET 0) AS whole`,
    order: Prisma.sql`id DESC`,
    ids,
    isAll: true,
  };
}

async function areFew(db: Statements, wanted: Common, beforeId: string | undefined): Promise<boolean> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM (${idsOfAmount(wanted, beforeId)}) AS found`;
  return (row?.count ?? 0) <= SORTED_MAX;
}

/** By amount, as the index has them: one more than are sorted. */
const idsOfAmount = ({ amount }: Common, beforeId: string | undefined): Prisma.Sql => Prisma.sql`
  SELECT id FROM orders WHERE ${ofAmount(amount)} AND ${olderThan(Prisma.sql`id`, beforeId)}
  ORDER BY currency, total_amount LIMIT ${SORTED_MAX + 1}`;

const conditionsOf = (wanted: Common): Prisma.Sql =>
  Prisma.join(
    [
      ofAmount(wanted.amount),
      wanted.sku === undefined ? Prisma.sql`true` : ofSku(wanted.sku),
      wanted.status === undefined ? Prisma.sql`true` : Prisma.sql`status = ${wanted.status}`,
      ...spanOf(wanted),
    ],
    ' AND ',
  );

/** A look into the lines' primary key for each order that is examined: as a join, it could become one through all lines. */
const ofSku = (sku: string): Prisma.Sql =>
  Prisma.sql`(SELECT true FROM order_lines line WHERE line.order_id = orders.id AND line.sku = ${sku})`;

const ofAmount = (amount: Common['amount']): Prisma.Sql =>
  amount === undefined
    ? Prisma.sql`true`
    : Prisma.sql`currency = ${amount.currency} AND total_amount BETWEEN ${amount.from}::bigint AND ${amount.to}::bigint`;

const spanOf = ({ createdFromMs, createdToMs }: Common): Prisma.Sql[] => [
  ...(createdFromMs === undefined ? [] : [createdFrom(createdFromMs)]),
  ...(createdToMs === undefined ? [] : [createdBefore(createdToMs)]),
];

const olderThan = (column: Prisma.Sql, id: string | undefined): Prisma.Sql =>
  id === undefined ? Prisma.sql`true` : Prisma.sql`${column} < ${id}::uuid`;
