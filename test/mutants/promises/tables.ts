import type { Mutant } from '../mutant.js';

const ORDERS_SQL = 'prisma/migrations/20261121000000_orders/migration.sql';
const CHECKS = 'test/domain/checks.test.ts';

export default [
  {
    id: 'final-order-goes-back',
    promise: 'The database itself refuses to take a final order back to pending.',
    file: ORDERS_SQL,
    find: "    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';",
    replace: '    RETURN NEW;',
    test: 'test/domain/orders.test.ts',
    name: 'is final: the database itself refuses to take it back to pending',
  },
  {
    id: 'stock-need-not-add-up',
    promise: 'available + reserved + sold = on hand, for each SKU at every moment.',
    file: ORDERS_SQL,
    find: ',\n    CONSTRAINT "inventory_conservation_check" CHECK ("available" + "reserved" + "sold" = "on_hand_total")',
    replace: '',
    test: CHECKS,
    name: 'stock that does not add up',
  },
  {
    id: 'stock-may-be-negative',
    promise: 'No stock is ever negative.',
    file: ORDERS_SQL,
    find: 'CHECK ("available" >= 0)',
    replace: 'CHECK ("available" >= -1000)',
    test: CHECKS,
    name: 'stock below zero',
  },
  {
    id: 'payment-without-a-charge',
    promise: 'A payment that says that money was taken names the charge.',
    file: 'prisma/migrations/20261121010000_saga_log/migration.sql',
    find: 'CHECK ("status" IN (\'DECLINED\', \'VOIDED\', \'SETTLED_OUTSIDE\') OR "amount" = 0 OR "gateway_reference" IS NOT NULL)',
    replace: 'CHECK ("amount" >= 0)',
    test: CHECKS,
    name: 'a payment that was charged, without its charge',
  },
  {
    id: 'cancelled-without-a-reason',
    promise: 'A cancelled order has its reason.',
    file: ORDERS_SQL,
    find: 'CHECK ("status" <> \'CANCELLED\' OR "unwinding_reason" IS NOT NULL)',
    replace: 'CHECK ("status" IS NOT NULL)',
    test: CHECKS,
    name: 'an order that is cancelled without a reason',
  },
  {
    id: 'two-events-in-one-place',
    promise: 'The sequence of an order’s events is unique.',
    file: ORDERS_SQL,
    find: 'CONSTRAINT "outbox_pkey" PRIMARY KEY ("order_id", "sequence")',
    replace: 'CONSTRAINT "outbox_pkey" PRIMARY KEY ("order_id", "sequence", "feed_position")',
    test: CHECKS,
    name: 'two events of one order with one sequence',
  },
  {
    id: 'two-live-orders-of-one-number',
    promise: 'A customer has one live order of an externalOrderId.',
    file: 'prisma/migrations/20261129150000_external_order_id_of_live_orders/migration.sql',
    find: 'CREATE UNIQUE INDEX',
    replace: 'CREATE INDEX',
    test: 'test/api/external-order-ids.test.ts',
    name: 'twenty who order again at once make one order',
  },
  {
    id: 'saga-log-rewritten',
    promise: 'The saga log is added to, and never changed.',
    file: 'prisma/migrations/20261121010000_saga_log/migration.sql',
    find: "    RAISE EXCEPTION 'the saga log is append-only' USING ERRCODE = 'insufficient_privilege';",
    replace: '    RETURN NULL;',
    test: CHECKS,
    name: 'a change of the saga log',
  },
] satisfies Mutant[];
