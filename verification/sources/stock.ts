/**
 * All stock with the sums of its reservations. It adds up at every moment, so all of it is read in one snapshot; but a page at a
 * time, each summed by Postgres, so that no statement takes longer with the number of reservations.
 */
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerReservation, LedgerStock } from '../ledgers.js';
import { inSnapshot, only } from './read-only.js';
import { FIRST_ID } from './span.js';

/** Some 20 ms of Postgres. */
const RESERVATIONS_PAGE = 20_000;
const SKUS_PAGE = 2_000;
/** Of the snapshot: some 20 million reservations. */
const ALL_LIMIT_MS = 60_000;

export type Stock = { stock: LedgerStock[]; reservations: LedgerReservation[] };

/** @throws when it takes longer than its limit */
export const readStock = (
  db: DatabaseClient,
  { reservationsPage = RESERVATIONS_PAGE, skusPage = SKUS_PAGE } = {},
): Promise<Stock> =>
  inSnapshot(db, ALL_LIMIT_MS, async (ask) => {
    const stock: LedgerStock[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: LedgerStock[] = (await ask<{ row: LedgerStock }>(skusAfter(after, skusPage))).map(({ row }) => row);
      stock.push(...page);
      after = page.length < skusPage ? undefined : page.at(-1)?.sku;
    }
    const sums = new Map<string, LedgerReservation>();
    for (let after: [string, string] | null = [FIRST_ID, '']; after !== null; ) {
      const { page }: { page: SumsPage } = only(await ask<{ page: SumsPage }>(sumsAfter(after, reservationsPage)));
      for (const { sku, state, quantity } of page.sums) {
        const sum = sums.get(`${sku} ${state}`) ?? { orderId: '', sku, state, quantity: 0 };
        sums.set(`${sku} ${state}`, { ...sum, quantity: sum.quantity + quantity });
      }
      after = page.last;
    }
    return { stock, reservations: [...sums.values()] };
  });

const skusAfter = (after: string, limit: number): Prisma.Sql => Prisma.sql`
  SELECT json_build_object('sku', sku, 'onHand', on_hand_total, 'available', available, 'reserved', reserved, 'sold', sold) AS row
  FROM inventory WHERE sku > ${after} ORDER BY sku LIMIT ${limit}`;

/** `last`: where the next page begins; null = there is none. */
type SumsPage = { sums: Omit<LedgerReservation, 'orderId'>[]; last: [string, string] | null };
const sumsAfter = ([orderId, sku]: [string, string], limit: number): Prisma.Sql => Prisma.sql`
  WITH page AS MATERIALIZED (
    SELECT order_id, sku, quantity, state FROM reservations WHERE (order_id, sku) > (${orderId}::uuid, ${sku})
    ORDER BY order_id, sku LIMIT ${limit})
  SELECT json_build_object(
    'sums', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'state', state, 'quantity', quantity)), '[]')
      FROM (SELECT sku, state, sum(quantity) AS quantity FROM page WHERE state <> 'RELEASED' GROUP BY sku, state) s),
    'last', (SELECT json_build_array(order_id, sku) FROM page ORDER BY order_id, sku OFFSET ${limit - 1}::int LIMIT 1)) AS page`;
