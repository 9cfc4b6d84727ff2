/** Events that have left the outbox: what they would say of their orders is not known, but nothing else is let off for it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { purgeEvents } from '../../domain/retention.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { InvariantName } from '../../verification/invariants.js';
import { openAtMostMs } from '../../verification/limits.js';
import { verify } from '../../verification/pass.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';
import { feedShowsAll } from '../support/database.js';
import { PATIENT } from '../support/saga.js';

let books: TestLedgers;
beforeAll(async () => (books = await openLedgers()));
afterAll(() => books?.stop());

const OF_ORDERS: InvariantName[] = ['I5 one end', 'I9 fed in order', 'I10 exactly its events'];

async function saysOf(orderId: string, invariants: readonly InvariantName[] = OF_ORDERS): Promise<string[]> {
  const { db, gateway } = books;
  const sources = { db: db as DatabaseClient, gateway, temporal: { why: 'there is none' } };
  const options = { graceMs: 0, rest: 0, openAtMostMs: openAtMostMs(PATIENT), ids: [orderId], invariants };
  const { findings, failures } = await verify(sources, options);
  if (failures[0]) throw failures[0].cause;
  return findings.flatMap(({ violations }) => violations.map(({ says }) => says));
}

const forget = (orderId: string, from: number, to: number) =>
  books.db
    .$executeRaw`DELETE FROM outbox WHERE order_id = ${orderId}::uuid AND sequence BETWEEN ${from}::int AND ${to}::int`;

test('an event that anybody deletes is missed, and excuses no other order from anything', async () => {
  const [whole, gap, headless] = [await books.confirmed(), await books.confirmed(), await books.confirmed()];
  await forget(gap.order.id, 2, 2);
  await forget(headless.order.id, 4, 4);
  expect(await saysOf(gap.order.id)).toContain(`the events of ${gap.order.id} have gaps`);
  expect(await saysOf(headless.order.id)).toContain(`${headless.order.id} has told 4 events, of which the newest is 3`);
  expect(await saysOf(whole.order.id)).toEqual([]);
  await books.db.$executeRaw`UPDATE orders SET total_amount = total_amount + 1 WHERE id = ${whole.order.id}::uuid`;
  expect(await saysOf(whole.order.id, ['I1 money'])).toHaveLength(1);
});

test('events that retention has removed are not missed, whether all or the oldest, and whatever clock dated their order', async () => {
  const [all, oldest] = [await books.confirmed(), await books.confirmed()];
  await books.confirmed(); // the feed's newest event stays
  await books.db.$executeRaw`UPDATE outbox SET occurred_at = now() + interval '1 day'
    WHERE order_id <> ${all.order.id}::uuid AND NOT (order_id = ${oldest.order.id}::uuid AND sequence <= 2)`;
  for (const { order } of [all, oldest])
    await books.db
      .$executeRaw`UPDATE orders SET created_at = now() + interval '5 seconds' WHERE id = ${order.id}::uuid`;
  await feedShowsAll(books.db);
  expect(await purgeEvents(books.db, { olderThanMs: 0, limit: 1_000 })).toMatchObject({ purged: 6 });
  expect(await saysOf(all.order.id)).toEqual([]);
  expect(await saysOf(oldest.order.id)).toEqual([]);
});

test('the oldest events of an order, or all, that are not old enough for retention are missed, whatever has left the feed', async () => {
  const [all, oldest] = [await books.confirmed(), await books.confirmed()];
  await books.db.$executeRaw`UPDATE progress_marks SET reached_at = now() - interval '2 hours'`;
  await forget(all.order.id, 1, 4);
  await forget(oldest.order.id, 1, 2);
  expect(await saysOf(all.order.id)).toContain(`${all.order.id} is CONFIRMED and has no event that says so`);
  expect(await saysOf(oldest.order.id)).toContain(`the events of ${oldest.order.id} have gaps`);
});
