/**
 * The last line of defence: what must never stand in a row is refused by the database itself, whichever program writes it. The
 * statements of domain/ do not come to this.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let orderId: string;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 5);
  orderId = (await accept(t.db, { A: 1 })).id;
  await reserveInventory(t.db, orderId);
  await recordCharge(t.db, orderId, 'pi_1');
});
afterAll(() => t.drop());

test.each([
  ['stock that does not add up', 'UPDATE inventory SET available = available + 1', 'inventory_conservation_check'],
  ['stock below zero', 'UPDATE inventory SET available = -1, sold = sold + available + 1', 'inventory_available_check'],
  ['less than nothing reserved', 'UPDATE inventory SET reserved = -1, sold = sold + 2', 'inventory_reserved_check'],
  ['less than nothing sold', 'UPDATE inventory SET sold = -1, available = available + 1', 'inventory_sold_check'],
  ['a piece of nothing', 'UPDATE reservations SET quantity = 0', 'reservations_quantity_check'],
  ['a price below zero', 'UPDATE inventory SET unit_price = -1', 'inventory_unit_price_check'],
  [
    'a payment that was charged, without its charge',
    'UPDATE payments SET gateway_reference = NULL',
    'payments_reference_check',
  ],
  ['a payment of less than nothing', 'UPDATE payments SET amount = -1', 'payments_amount_check'],
  [
    'an order that is cancelled without a reason',
    "UPDATE orders SET status = 'CANCELLED'",
    'orders_cancelled_for_a_reason_check',
  ],
  ['an order of a status that there is not', "UPDATE orders SET status = 'LOST'", 'cannot go from PENDING to LOST'],
  [
    'two events of one order with one sequence',
    'INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid) SELECT order_id, sequence, type, data, correlation_id, feed_xid FROM outbox LIMIT 1',
    'outbox_pkey',
  ],
  ['two payments of one order', 'INSERT INTO payments SELECT * FROM payments', 'payments_pkey'],
  ['a change of the saga log', "UPDATE saga_log SET outcome = 'skipped'", 'the saga log is append-only'],
])('%s is refused by the database itself', async (_, statement, why) => {
  const refusal = await t.db.$executeRawUnsafe(statement).then(
    (rows) => `${rows} rows were written`,
    (err: unknown) =>
      JSON.stringify(err, ['message', 'constraint', 'meta', 'driverAdapterError', 'cause', 'originalMessage']),
  );
  expect(refusal).toContain(why);
});
