/**
 * The invariant checker is worth what it catches. Each planted violation is one that the product's code could make if it were wrong:
 * rows changed behind its back, in a transaction that is rolled back, or in a copy of what the gateway, a consumer or
 * Temporal says. The invariant that names it must catch it; and before any, the ledgers are right.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { HOLDINGS, PLAN, stepsOf } from '../../contracts/plan.js';
import { sagaStart } from '../../contracts/saga.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { VERIFIED } from '../../verification/pass.js';
import { eventually } from './conditions.js';
import { stock } from './database.js';
import { checkInvariants, INVARIANT_NAMES } from '../../verification/invariants.js';
import type { LedgerEvent, Ledgers as AnyLedgers } from '../../verification/ledgers.js';
import { expectRight } from './invariants.js';
import { readCharges, readFacts, readSagas } from './ledgers.js';
import { PATIENT, type SagaStack, startSagaStack } from './saga.js';

type Ledgers = AnyLedgers & Required<Pick<AnyLedgers, 'charges'>>;

let s: SagaStack;
let postgres: pg.Client;
/** Orders by what became of them. */
const ids = { confirmed: '', other: '', declined: '', short: '', takenBack: '', byHand: '' };
let elsewhere: Required<Pick<Ledgers, 'charges' | 'delivered' | 'sagas'>>;

beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
  await stock(s.db, 'B', 100);
  await stock(s.db, 'NONE', 0);
  postgres = new pg.Client({ connectionString: s.databaseUrl });
  await postgres.connect();
  const ended = async (lines: Record<string, number>, paymentMethod = 'pm_card_visa') => {
    const { order, result } = await s.place(lines, { paymentMethod });
    await result();
    return order.id;
  };
  ids.confirmed = await ended({ A: 2, B: 1 });
  ids.other = await ended({ A: 1 });
  ids.declined = await ended({ A: 1 }, 'pm_card_chargeDeclined');
  ids.short = await ended({ NONE: 1 });
  ids.takenBack = await ended({ B: 3 });
  await takeBack(ids.takenBack);
  ids.byHand = await chargedByHand();
  const facts = await factsAfter('');
  const count = Object.keys(ids).length + 1; // one has a saga that took it back, too
  const sagas = await eventually('visibility shows all sagas at their end', async () => {
    const all = await readSagas(s.client);
    return all.filter(({ status }) => status === 'COMPLETED').length === count && all;
  });
  const [first] = facts.events;
  if (!first) throw new Error('there are no events');
  // At least once: the first comes twice, and late.
  elsewhere = { charges: await readCharges(s.sandboxUrl), delivered: { inbox: [...facts.events, first] }, sagas };
}, 120_000);
afterAll(async () => {
  await postgres?.end();
  await s?.stop();
});

async function takeBack(orderId: string) {
  await requestCancellation(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
  const order = await readOrder(s.db, orderId);
  if (!order) throw new Error('there is no such order');
  const { type, options } = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, PATIENT);
  await (await s.client.workflow.start(type, options)).result();
}

async function chargedByHand(): Promise<string> {
  await s.fault({ route: 'charge', mode: 'down' });
  const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_000 } });
  await eventually('it asks for a decision', async () => {
    await saga.executeUpdate('resolve', { args: [{ action: 'skip', operator: 'op-1', reason: 'paid in cash' }] });
    return true;
  });
  await result();
  await s.heal();
  return order.id;
}

/** The facts as they would be after these statements, which pass no trigger and no foreign key, and are rolled back. */
async function factsAfter(statements: string) {
  await postgres.query('BEGIN; SET LOCAL session_replication_role = replica');
  try {
    await postgres.query(statements);
    return await readFacts(async (sql) => (await postgres.query(sql)).rows);
  } finally {
    await postgres.query('ROLLBACK');
  }
}

const caught = (ledgers: Ledgers) =>
  checkInvariants(ledgers)
    .filter(({ violations }) => violations.length > 0)
    .map(({ invariant }) => invariant);

test('ledgers that are right have nothing found in them, and every invariant has looked at something, here or in a pass', async () => {
  const ledgers = { ...(await factsAfter('')), ...elsewhere };
  expectRight(ledgers);
  const found = checkInvariants(ledgers);
  expect(found.filter(({ checked }) => checked === 0)).toEqual([]);
  expect(new Set([...found.map(({ invariant }) => invariant), ...VERIFIED])).toEqual(new Set(INVARIANT_NAMES));
});

test('ledgers in which there is nothing are not right', () => {
  const nothing = {
    orders: [],
    events: [],
    stock: [],
    charges: [],
    reservations: [],
    payments: [],
    holdings: [],
    sagas: [],
    delivered: {},
  };
  expect(() => expectRight(nothing)).toThrow('I4 orders hold what they bought: nothing to look at');
  expect(checkInvariants(nothing).filter(({ checked }) => checked > 0)).toEqual([]);
});

const LINES = 'I1 lines add up';
const MONEY = 'I1 money';
const PAYMENTS = 'I1 payments agree with the gateway';
const STOCK = 'I2 stock is conserved';
const BOUGHT = 'I4 orders hold what they bought';
const PLANNED = 'I4 orders hold what the plan says';
const END = 'I5 one end';
const SAGAS = 'I5 sagas have ended as their orders';
const DELIVERED = 'I8 delivered at least once';
const IN_ORDER = 'I9 delivered in order';
const STORY = 'I10 exactly its events';

describe('a row that is wrong is caught:', () => {
  const of = (name: keyof typeof ids) => `'${ids[name]}'`;
  const planted: [string, string, () => string][] = [
    [
      LINES,
      'a total that is not the sum of its lines',
      () => `UPDATE orders SET total_amount = total_amount + 1 WHERE id = ${of('confirmed')}`,
    ],
    [LINES, 'an order without lines', () => `DELETE FROM order_lines WHERE order_id = ${of('other')}`],
    [
      MONEY,
      'an order confirmed although its charge was declined',
      () => `UPDATE orders SET status = 'CONFIRMED' WHERE id = ${of('declined')}`,
    ],
    [
      MONEY,
      'an order cancelled whose money was kept',
      () => `UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${of('other')}`,
    ],
    [MONEY, 'a charge whose order is gone', () => `DELETE FROM orders WHERE id = ${of('other')}`],
    [
      MONEY,
      'a charge in another currency than its order',
      () => `UPDATE orders SET currency = 'EUR' WHERE id = ${of('other')}`,
    ],
    [
      PAYMENTS,
      'a payment called refunded that was not',
      () => `UPDATE payments SET status = 'REFUNDED' WHERE order_id = ${of('other')}`,
    ],
    [
      PAYMENTS,
      'a payment still called charged after its refund',
      () => `UPDATE payments SET status = 'CHARGED' WHERE order_id = ${of('takenBack')}`,
    ],
    [
      PAYMENTS,
      'a refund begun and never ended',
      () => `UPDATE payments SET status = 'REFUNDING' WHERE order_id = ${of('takenBack')}`,
    ],
    [
      PAYMENTS,
      'a payment that names another charge',
      () => `UPDATE payments SET gateway_reference = 'pi_none' WHERE order_id = ${of('other')}`,
    ],
    [
      PAYMENTS,
      'a payment of another amount',
      () => `UPDATE payments SET amount = amount - 1 WHERE order_id = ${of('confirmed')}`,
    ],
    [
      STOCK,
      'pieces that vanished',
      () =>
        `ALTER TABLE inventory DROP CONSTRAINT inventory_conservation_check; UPDATE inventory SET available = available - 1 WHERE sku = 'A'`,
    ],
    [
      STOCK,
      'pieces sold that were not there',
      () =>
        `ALTER TABLE inventory DROP CONSTRAINT inventory_available_check; UPDATE inventory SET available = -1, on_hand_total = reserved + sold - 1 WHERE sku = 'A'`,
    ],
    [
      STOCK,
      'pieces sold that no order has bought',
      () => `UPDATE inventory SET available = available - 1, sold = sold + 1 WHERE sku = 'B'`,
    ],
    [
      STOCK,
      'pieces that stayed reserved',
      () => `UPDATE inventory SET available = available - 1, reserved = reserved + 1 WHERE sku = 'B'`,
    ],
    [
      BOUGHT,
      'a confirmed order without one of its reservations',
      () => `DELETE FROM reservations WHERE order_id = ${of('confirmed')} AND sku = 'B'`,
    ],
    [
      BOUGHT,
      'a confirmed order that holds fewer than it bought',
      () => `UPDATE reservations SET quantity = 1 WHERE order_id = ${of('confirmed')} AND sku = 'A'`,
    ],
    [
      BOUGHT,
      'a confirmed order whose pieces are only reserved',
      () => `UPDATE reservations SET state = 'RESERVED' WHERE order_id = ${of('other')}`,
    ],
    [
      BOUGHT,
      'a cancelled order that still holds pieces',
      () => `UPDATE reservations SET state = 'RESERVED' WHERE order_id = ${of('declined')}`,
    ],
    [
      BOUGHT,
      'pieces held that were never ordered',
      () => `INSERT INTO reservations VALUES (${of('other')}, 'B', 1, 'SOLD')`,
    ],
    [END, 'an order that never came to an end', () => `UPDATE orders SET status = 'PENDING' WHERE id = ${of('other')}`],
    [
      END,
      'a confirmed order that is unwinding',
      () => `UPDATE orders SET unwinding_reason = 'OPERATOR' WHERE id = ${of('other')}`,
    ],
    [
      END,
      'an order with two events that confirm it',
      () =>
        `INSERT INTO outbox SELECT order_id, sequence + 1, type, data, correlation_id, traceparent, occurred_at, feed_xid FROM outbox WHERE order_id = ${of('other')} AND type = 'order.confirmed'`,
    ],
    [
      END,
      'an order cancelled without telling',
      () => `DELETE FROM outbox WHERE order_id = ${of('declined')} AND type = 'order.cancelled'`,
    ],
    [
      END,
      'an order with an event that cancels it, which it is not',
      () => `UPDATE orders SET status = 'CONFIRMED', unwinding_reason = NULL WHERE id = ${of('takenBack')}`,
    ],
    [
      SAGAS,
      'an order that says otherwise than its saga',
      () => `UPDATE orders SET status = 'CONFIRMED', unwinding_reason = NULL WHERE id = ${of('declined')}`,
    ],
    [STORY, 'an event lost', () => `DELETE FROM outbox WHERE order_id = ${of('confirmed')} AND sequence = 2`],
    [
      STORY,
      'an event too many',
      () =>
        `INSERT INTO outbox SELECT order_id, 6, 'inventory.released', data, correlation_id, traceparent, occurred_at, feed_xid FROM outbox WHERE order_id = ${of('short')} AND sequence = 1`,
    ],
    [
      STORY,
      'events in another order than they happened',
      () =>
        `UPDATE outbox SET sequence = 15 - sequence WHERE order_id = ${of('other')} AND sequence IN (2, 3); UPDATE outbox SET sequence = sequence - 10 WHERE order_id = ${of('other')} AND sequence > 10`,
    ],
    [
      STORY,
      'an event that names another total',
      () =>
        `UPDATE outbox SET data = jsonb_set(data, '{total,amount}', '1') WHERE order_id = ${of('other')} AND type = 'order.confirmed'`,
    ],
    [
      STORY,
      'an event that names another order',
      () =>
        `UPDATE outbox SET data = jsonb_set(data, '{orderId}', '"x"') WHERE order_id = ${of('other')} AND type = 'order.confirmed'`,
    ],
    [STORY, 'events of no order', () => `DELETE FROM orders WHERE id = ${of('byHand')}`],
  ];

  test.each(planted)('by %s: %s', async (invariant, _, statements) => {
    expect(caught({ ...(await factsAfter(statements())), ...elsewhere })).toContain(invariant);
  });
});

/** What catches a step that only the plan has. */
describe('by the plan is caught:', () => {
  const caughtAfter = async (statements: string) => caught({ ...(await factsAfter(statements)), ...elsewhere });

  test.each(HOLDINGS)('a cancelled order that still holds $table', async ({ table, column, held }) => {
    const left = `UPDATE ${table} SET ${column} = '${held[0]}' WHERE order_id = '${ids.takenBack}'`;
    expect(await caughtAfter(left)).toContain(PLANNED);
  });

  test.each(HOLDINGS)('a confirmed order that has lost its $table', async ({ table }) => {
    expect(await caughtAfter(`DELETE FROM ${table} WHERE order_id = '${ids.confirmed}'`)).toContain(PLANNED);
  });

  const events = stepsOf(PLAN).flatMap(({ events }) => (events.undone ? [events.done, events.undone] : []));
  test.each(events)('an order without its event %s', async (type) => {
    const ofOrder = `order_id = '${ids.takenBack}'`;
    const renumbered = `UPDATE outbox o SET sequence = n.nth FROM (
      SELECT sequence, row_number() OVER (ORDER BY sequence) AS nth FROM outbox WHERE ${ofOrder}) n
      WHERE o.${ofOrder} AND o.sequence = n.sequence`;
    expect(await caughtAfter(`DELETE FROM outbox WHERE ${ofOrder} AND type = '${type}'; ${renumbered}`)).toContain(
      STORY,
    );
  });
});

describe('what the gateway, a consumer or Temporal say wrong is caught:', () => {
  const chargeOf = (ledgers: Ledgers, name: keyof typeof ids) => {
    const charge = ledgers.charges.find(({ orderId }) => orderId === ids[name]);
    if (!charge) throw new Error(`there is no charge of the ${name} order`);
    return charge;
  };
  const inbox = (ledgers: Ledgers) => ledgers.delivered?.['inbox'] as LedgerEvent[];
  const planted: [string, string, (ledgers: Ledgers) => void][] = [
    [
      MONEY,
      'money given back for an order that stands',
      (ledgers) => {
        chargeOf(ledgers, 'other').holds -= 1;
      },
    ],
    [
      MONEY,
      'a refund that never happened',
      (ledgers) => {
        chargeOf(ledgers, 'takenBack').holds = chargeOf(ledgers, 'takenBack').received;
      },
    ],
    [
      MONEY,
      'money taken after the order was refused',
      (ledgers) => {
        ledgers.charges.push({ ...chargeOf(ledgers, 'other'), orderId: ids.short });
      },
    ],
    [
      MONEY,
      'money of an order that does not exist',
      (ledgers) => {
        ledgers.charges.push({ ...chargeOf(ledgers, 'other'), orderId: '0199aaaa-0000-7000-8000-000000000000' });
      },
    ],
    [
      MONEY,
      'more given back than was taken',
      (ledgers) => {
        chargeOf(ledgers, 'takenBack').refunded += 1;
      },
    ],
    [
      MONEY,
      'a charge that can still be completed',
      (ledgers) => {
        chargeOf(ledgers, 'declined').status = 'requires_action';
      },
    ],
    [
      'I1 strangers are left alone',
      'a stranger’s charge that we have refunded',
      (ledgers) => {
        const refunds = [{ status: 'succeeded', amount: 1_000, orderId: 'WOO-1001' }];
        ledgers.charges.push({
          ...chargeOf(ledgers, 'other'),
          reference: 'pi_theirs',
          orderId: 'WOO-1001',
          isOurs: false,
          refunds,
        });
      },
    ],
    [
      'I1 the provider agrees with itself',
      'a refund that the charge does not know of',
      (ledgers) => {
        chargeOf(ledgers, 'takenBack').refunded = 0;
      },
    ],
    [
      'I3 one charge per order',
      'an order charged twice, and refunded once',
      (ledgers) => {
        ledgers.charges.push({ ...chargeOf(ledgers, 'other'), reference: 'pi_second', refunded: 1_000 });
      },
    ],
    [
      SAGAS,
      'a saga that failed',
      (ledgers) => {
        ledgers.sagas?.splice(0, 1, { workflowId: `order-${ids.other}`, status: 'FAILED', result: null });
      },
    ],
    [
      SAGAS,
      'a saga that still runs',
      (ledgers) => {
        ledgers.sagas?.push({ workflowId: 'order-x', status: 'RUNNING', result: null });
      },
    ],
    [
      SAGAS,
      'an order without a saga',
      (ledgers) => {
        ledgers.sagas = ledgers.sagas?.filter(({ workflowId }) => !workflowId.includes(ids.short)) ?? [];
      },
    ],
    [
      DELIVERED,
      'an event that never arrived',
      (ledgers) => {
        inbox(ledgers).splice(-2, 1);
      },
    ],
    [
      DELIVERED,
      'an event that never was',
      (ledgers) => {
        inbox(ledgers).push({ orderId: ids.other, sequence: 5, type: 'order.cancelled', data: {} });
      },
    ],
    [
      IN_ORDER,
      'two events that overtook each other',
      (ledgers) => {
        const got = inbox(ledgers);
        got.splice(1, 0, ...got.splice(2, 1));
      },
    ],
  ];

  test.each(planted)('by %s: %s', async (invariant, _, plant) => {
    const ledgers: Ledgers = { ...(await factsAfter('')), ...structuredClone(elsewhere) };
    expect(caught(ledgers)).toEqual([]);
    plant(ledgers);
    expect(caught(ledgers)).toContain(invariant);
  });
});
