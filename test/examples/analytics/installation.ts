/** The order service with orders that come to every end, and what is true of them: what the read side's answers are held against. */
import { recordCharge, recordDecline, recordRefund, shutPayment } from '../../../domain/payments.js';
import { confirmOrder } from '../../../domain/confirmation.js';
import { releaseInventory, reserveInventory } from '../../../domain/inventory.js';
import { cancelOrder, requestCancellation } from '../../../domain/orders.js';
import { purgeOnce, type Retention } from '../../../relay/retention.js';
import { openDatabase } from '../../../runtime/database.js';
import { startTestApi, type TestApi } from '../../support/api.js';
import { accept, feedShowsAll, stock } from '../../support/database.js';

/** What an answer of the read side adds up to, over all of its periods. */
export type Sums = { placed: number; confirmed: number; cancelled: number; revenue: number };
export type Installation = Awaited<ReturnType<typeof startInstallation>>;

const PRICES = { APPLE: 199, PEAR: 1_001, PLUM: 3 };

export async function startInstallation() {
  const api: TestApi = await startTestApi();
  const { db } = api;
  for (const [sku, price] of Object.entries(PRICES)) await stock(db, sku, 1_000_000, price);
  // What has left the feed is still true.
  await db.$executeRaw`CREATE TABLE told AS SELECT order_id, type, data, occurred_at FROM outbox`;
  await db.$executeRaw`
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO told VALUES (NEW.order_id, NEW.type, NEW.data, NEW.occurred_at); RETURN NULL; END'`;
  await db.$executeRaw`CREATE TRIGGER tell AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION tell()`;
  const slow = openDatabase(api.databaseUrl, 2);
  let n = 0;

  return {
    api,
    db,
    /** One order, which comes to its end by turns: confirmed, declined, confirmed and taken back, or not yet. */
    order: async () => {
      const turn = n++;
      const { id, items } = await accept(db, { APPLE: 1 + (turn % 3), ...(turn % 2 === 0 && { PEAR: 1, PLUM: 7 }) });
      await reserveInventory(db, id);
      if (turn % 5 === 4) return;
      if (turn % 5 === 3) {
        await recordDecline(db, id, 'insufficient_funds');
        await releaseInventory(db, id);
        await cancelOrder(db, id);
        return;
      }
      await recordCharge(db, id, `ch_${id}`);
      await confirmOrder(db, id);
      if (turn % 5 !== 2) return;
      await requestCancellation(db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
      await shutPayment(db, id);
      const gaveBack = items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
      await recordRefund(db, id, { charge: `ch_${id}`, refund: `re_${id}`, gaveBack });
      await releaseInventory(db, id);
      await cancelOrder(db, id);
    },
    /** An order whose event is of earlier than much that is committed before it. */
    lateOrder: () =>
      slow.$transaction(async (tx) => {
        await accept(tx, { PLUM: 1 });
        await tx.$queryRaw`SELECT pg_sleep(0.3)::text`;
      }),
    /** Retention, of whatever is older. @returns how many events left the feed */
    expire: async (olderThanMs: number) => {
      await feedShowsAll(db);
      const retention: Retention = { db, destinations: [], eventsOlderThanMs: olderThanMs };
      let events = 0;
      for (let more = true; more; ) {
        const count = await purgeOnce(retention);
        events += count.events;
        more = count.more;
      }
      return events;
    },
    /** What had happened before a moment, by the moments of the events, those that have left included. */
    toldBefore: async (asOf: string): Promise<Sums> => {
      const [row] = await db.$queryRaw<Sums[]>`
        SELECT count(*) FILTER (WHERE type = 'order.created')::int AS placed,
          count(*) FILTER (WHERE type = 'order.confirmed')::int AS confirmed,
          count(*) FILTER (WHERE type = 'order.cancelled')::int AS cancelled,
          coalesce(sum((data->'total'->>'amount')::int) FILTER (WHERE type = 'order.confirmed'), 0)::int AS revenue
        FROM told WHERE occurred_at < ${asOf}::timestamptz`;
      return row as Sums;
    },
    /** The sums over the orders themselves. */
    inTruth: async () => {
      const [totals] = await db.$queryRaw<object[]>`
        SELECT count(*)::int AS placed, sum(total_amount)::int AS "placedAmount",
          count(*) FILTER (WHERE status = 'CANCELLED')::int AS cancelled,
          sum(total_amount) FILTER (WHERE status = 'CONFIRMED')::int AS net FROM orders`;
      const reasons = await db.$queryRaw<{ reason: string; orders: number }[]>`
        SELECT unwinding_reason AS reason, count(*)::int AS orders FROM orders WHERE status = 'CANCELLED' GROUP BY 1 ORDER BY 1`;
      const products = await db.$queryRaw<object[]>`
        SELECT sku, sum(quantity)::int AS quantity, sum(quantity * unit_price)::int AS net
        FROM order_lines JOIN orders o ON o.id = order_id AND o.status = 'CONFIRMED' GROUP BY sku ORDER BY 3 DESC`;
      return { totals, reasons: Object.fromEntries(reasons.map((row) => [row.reason, row.orders])), products };
    },
    stop: async () => {
      await slow.$disconnect();
      await api.stop();
    },
  };
}
