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

/** Orders that a search goes through, at most, with all of its looks: some 40 ms of Postgres'. */
export const EXAMINED_MAX = 20_000;
/** So many of an amount are sorted by their age. Of more than that, the newest are met soon enough among all orders. */
export const SORTED_MAX = 2_000;

/** `end`: the oldest order that was looked at, if there may be more behind it. */
export type Look = { orders: StoredOrder[]; end: string | null };

/** A search with one look, as the looks of `beginSearch`. */
export const findOrders = (
  db: Statements,
  { wanted, beforeId, limit }: { wanted: Common; beforeId: string | undefined; limit: number },
  texts?: Texts,
): Promise<Look> => beginSearch(db, wanted, beforeId, texts)(beforeId, limit);

/**
 * A search of as many looks as a page takes, each behind the one before: how far it goes is the same for all of them.
 * @param fromId only orders that are older
 * @returns a look: newest first; fewer than `limit` = the search is over, and `end` says whether it is at the end. It throws KeyUnavailable
 * as readOrder
 */
export function beginSearch(db: Statements, wanted: Common, fromId: string | undefined, texts: Texts = 'closed') {
  let ofFew: Promise<boolean> | undefined;
  let end: Promise<string | undefined> | undefined;
  return async (beforeId: string | undefined, limit: number): Promise<Look> => {
    ofFew ??= areFew(db, wanted, fromId);
    const isOfFew = await ofFew;
    const theEnd = () => {
      end ??= endOf(db, examinedOf(wanted, { beforeId: fromId }, isOfFew));
      return end;
    };
    // What the looks before have gone through counts, too: only the first can do without knowing where it ends.
    const sinceId = beforeId === fromId || isOfFew ? undefined : await theEnd();
    const examined = examinedOf(wanted, { beforeId, sinceId }, isOfFew);
    const rows = await db.$queryRaw<OrderRow[]>`
      SELECT ${orderColumns} FROM (${examined.orders}) AS orders WHERE ${conditionsOf(wanted)} ORDER BY ${examined.order} LIMIT ${limit}`;
    const orders = await Promise.all(rows.map((row) => toOrder(db, row, texts)));
    if (orders.length === limit || isOfFew) return { orders, end: null };
    return { orders, end: (await theEnd()) ?? null };
  };
}

/** @returns the last order that a search goes through; undefined = it goes through all that there are */
async function endOf(db: Statements, { ids }: Examined): Promise<string | undefined> {
  const [last] = await db.$queryRaw<{ id: string }[]>`${ids} OFFSET ${EXAMINED_MAX - 1} LIMIT 1`;
  return last?.id;
}

/** Older than the one, and not older than the other. */
type Within = { beforeId: string | undefined; sinceId?: string | undefined };

/** What is looked through: orders in their order, and their ids alone. */
type Examined = { orders: Prisma.Sql; order: Prisma.Sql; ids: Prisma.Sql };

function examinedOf(wanted: Common, place: Within, isOfFew: boolean): Examined {
  if (wanted.heldSku !== undefined) return holders(wanted, place);
  return isOfFew ? fitting(wanted, place) : newest(wanted, place);
}

function newest(wanted: Common, place: Within): Examined {
  const within = Prisma.join([...spanOf(wanted), isWithin(Prisma.sql`id`, place)], ' AND ');
  const ids = Prisma.sql`SELECT id FROM orders WHERE ${within} ORDER BY id DESC`;
  return {
    orders: Prisma.sql`SELECT * FROM orders WHERE ${within} ORDER BY id DESC LIMIT ${EXAMINED_MAX}`,
    order: Prisma.sql`id DESC`,
    ids,
  };
}

/** The index has a SKU's holders in order; each order is looked up by its id, as long as there is room on the page. */
function holders({ heldSku }: Common, place: Within): Examined {
  const ids = Prisma.sql`
    SELECT order_id AS id FROM reservations
    WHERE sku = ${heldSku} AND state = 'RESERVED' AND ${isWithin(Prisma.sql`order_id`, place)} ORDER BY order_id DESC`;
  return {
    orders: Prisma.sql`
      SELECT whole.*, holder.id AS holder FROM (${ids} LIMIT ${EXAMINED_MAX}) AS holder
      CROSS JOIN LATERAL (SELECT * FROM orders WHERE id = holder.id OFFSET 0) AS whole`,
    order: Prisma.sql`holder DESC`,
    ids,
  };
}

/** All of the amount, found by it: there are few, and no others behind them. */
function fitting(wanted: Common, { beforeId }: Within): Examined {
  const ids = idsOfAmount(wanted, beforeId);
  return {
    orders: Prisma.sql`
      SELECT whole.* FROM (${ids}) AS few CROSS JOIN LATERAL (SELECT * FROM orders WHERE id = few.id OFFSET 0) AS whole`,
    order: Prisma.sql`id DESC`,
    ids,
  };
}

/** Of an amount that so many have that they are not even gone through, few may be old enough; that is not looked for. */
async function areFew(db: Statements, wanted: Common, beforeId: string | undefined): Promise<boolean> {
  if (wanted.amount === undefined || wanted.heldSku !== undefined) return false;
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM (${idsOfAmount(wanted, beforeId)}) AS found`;
  if ((row?.count ?? 0) > SORTED_MAX) return false;
  const more = await db.$queryRaw<unknown[]>`
    SELECT FROM (${ofAmountInOrder(wanted)}) AS ordered OFFSET ${EXAMINED_MAX} LIMIT 1`;
  return more.length === 0;
}

/** One more than are sorted, if there are so many among those that are gone through. */
const idsOfAmount = (wanted: Common, beforeId: string | undefined): Prisma.Sql => Prisma.sql`
  SELECT id FROM (${ofAmountInOrder(wanted)}) AS ordered WHERE ${isWithin(Prisma.sql`id`, { beforeId })} LIMIT ${SORTED_MAX + 1}`;

/** By amount, as the index has them: one more than are gone through. */
const ofAmountInOrder = ({ amount }: Common): Prisma.Sql => Prisma.sql`
  SELECT id FROM orders WHERE ${ofAmount(amount)} ORDER BY currency, total_amount LIMIT ${EXAMINED_MAX + 1}`;

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

const isWithin = (column: Prisma.Sql, { beforeId, sinceId }: Within): Prisma.Sql =>
  Prisma.join(
    [
      beforeId === undefined ? Prisma.sql`true` : Prisma.sql`${column} < ${beforeId}::uuid`,
      sinceId === undefined ? Prisma.sql`true` : Prisma.sql`${column} >= ${sinceId}::uuid`,
    ],
    ' AND ',
  );
