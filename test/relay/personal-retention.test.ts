/** What is personal leaves orders that are old, and nothing of the books does. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { RETENTION } from '../../contracts/retention.js';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { blankOnce, type PersonalRetention, startPersonalRetention } from '../../relay/personal-retention.js';
import { variablesOf } from '../deploy/text.js';
import { cancel, confirm, decline, dump, type Stage, startStage } from '../erasure/stage.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';

const DAY_MS = 86_400_000;
const KEPT: PersonalRetention = { ordersMs: 1461 * DAY_MS, deadLettersMs: 90 * DAY_MS, erasuresMs: 1096 * DAY_MS };
let s: Stage;
beforeAll(async () => {
  s = await startStage();
});
afterAll(() => s.stop());
let n = 0;
let word = '';
beforeEach(() => {
  word = `canary${++n}`;
});

/** As if all of it had happened so long ago; by the owner, since the app may not date anything back. */
async function age(days: number, orders: Order[]): Promise<string[]> {
  const ids: string[] = [];
  for (const { id } of orders) {
    const old = (Date.now() - days * DAY_MS).toString(16).padStart(12, '0');
    const aged = `${old.slice(0, 8)}-${old.slice(8)}${id.slice(13)}`;
    await s.db.$transaction([
      s.db.$executeRawUnsafe(`SET LOCAL session_replication_role = replica`),
      ...['order_lines', 'reservations', 'payments', 'outbox', 'saga_log', 'dead_letters', 'idempotency_keys'].map(
        (table) => s.db.$executeRawUnsafe(`UPDATE ${table} SET order_id = '${aged}' WHERE order_id = '${id}'`),
      ),
      s.db.$executeRawUnsafe(`UPDATE reconciliation_findings SET order_id = '${aged}' WHERE order_id = '${id}'`),
      s.db.$executeRawUnsafe(
        `UPDATE orders SET id = '${aged}', created_at = created_at - interval '${days} days', updated_at = updated_at - interval '${days} days' WHERE id = '${id}'`,
      ),
      s.db.$executeRawUnsafe(`DELETE FROM idempotency_keys WHERE order_id = '${aged}'`),
      s.db.$executeRawUnsafe(`DELETE FROM idempotency_answers WHERE response LIKE '%${id}%'`),
    ]);
    ids.push(aged);
  }
  return ids;
}

async function blankAll(batchMax = 3): Promise<{ orders: number; customers: number; batches: number }> {
  const sum = { orders: 0, customers: 0, batches: 0 };
  for (let place: string | undefined; ; ) {
    const { orders, customers, next, more } = await blankOnce(s.db, KEPT, { place, batchMax });
    expect(orders).toBeLessThanOrEqual(batchMax);
    sum.orders += orders;
    sum.customers += customers;
    sum.batches += 1;
    place = next;
    if (!more) return sum;
  }
}

/** What the books say: all but what is personal. */
const books = () => s.db.$queryRaw`
  SELECT o.id, o.customer_id, o.status, o.unwinding_reason, o.currency, o.total_amount, o.event_count, o.created_at, o.updated_at,
    (SELECT jsonb_agg(to_jsonb(l) ORDER BY line_no) FROM order_lines l WHERE l.order_id = o.id) AS lines,
    (SELECT to_jsonb(p) FROM payments p WHERE p.order_id = o.id) AS payment,
    (SELECT jsonb_agg(to_jsonb(r) ORDER BY sku) FROM reservations r WHERE r.order_id = o.id) AS reservations,
    (SELECT jsonb_agg(jsonb_build_array(l.step, l.outcome, l.at) ORDER BY l.id) FROM saga_log l WHERE l.order_id = o.id) AS log
  FROM orders o ORDER BY o.id`;
const linesWith = async (text: string) => (await dump(s.db)).split('\n').filter((line) => line.includes(text));

test('orders of every outcome lose what is personal once they are old, and the books stay as they are', async () => {
  const customer = `cus_${word}`;
  const orders: Order[] = [];
  for (const i of [1, 2, 3, 4]) orders.push(await s.place(customer, `${word}-${i}`));
  const [confirmed, cancelled, declined, other] = orders as [Order, Order, Order, Order];
  await confirm(s, confirmed);
  await cancel(s, cancelled, `I am ${word}`, customer);
  await decline(s, declined);
  await confirm(s, other);
  await age(1470, orders);
  const before = await books();
  expect((await linesWith(word)).length).toBeGreaterThan(5);
  expect(await blankAll()).toMatchObject({ orders: 4, customers: 1 });
  expect(await linesWith(word)).toEqual([]);
  expect(await books()).toEqual(before);
  expect(await blankAll()).toMatchObject({ orders: 0, customers: 0 });
});

test('younger ones stay, and with them who their customer is', async () => {
  const customer = `cus_${word}`;
  const [old, young] = [await s.place(customer, `${word}-old`), await s.place(customer, `${word}-young`)];
  await confirm(s, old);
  await confirm(s, young);
  await age(1470, [old]);
  const [youngId = ''] = await age(1450, [young]);
  expect(await blankAll()).toMatchObject({ orders: 1, customers: 0 });
  expect(await linesWith(`${word}-old`)).toEqual([]);
  const { body } = await s.api.get<Order>(`/orders/${youngId}`);
  expect(body.externalOrderId).toBe(`ext-${word}-young`);
  await age(1470, [{ ...young, id: youngId }]);
  expect(await blankAll()).toMatchObject({ orders: 1, customers: 1 });
  expect(await linesWith(word)).toEqual([]);
});

test('an order of which anything is in hand stays as it is, however old, and leaves when that is settled', async () => {
  const customer = `cus_${word}`;
  const orders: Order[] = [];
  for (const i of [1, 2, 3, 4, 5]) orders.push(await s.place(customer, `${word}-${i}`));
  const [, taken, letter, finding, refunding] = orders as [Order, Order, Order, Order, Order];
  for (const order of [taken, letter, finding, refunding]) await confirm(s, order);
  const [, takenId, letterId = '', findingId = '', refundingId = ''] = await age(2000, orders);
  await s.db.order.update({ where: { id: takenId as string }, data: { unwindingReason: 'OPERATOR' } });
  const parked = { destination: 'webhook', orderId: letterId, sequence: 1, type: 'order.created', cause: 'rejected' };
  await s.db.deadLetter.create({ data: { ...parked, attempts: 1, error: 'no' } });
  await s.db.reconciliationFinding.create({
    data: {
      kind: 'ORPHAN_CHARGE',
      gatewayReference: `pi_${word}`,
      orderId: findingId,
      amount: 1n,
      currency: 'USD',
      action: 'refunding',
    },
  });
  await s.db.payment.update({ where: { orderId: refundingId }, data: { status: 'REFUNDING' } });
  await s.db.$executeRaw`UPDATE orders SET updated_at = now() - interval '2000 days' WHERE id = ${takenId}::uuid`;
  expect(await blankAll()).toMatchObject({ orders: 0, customers: 0 });
  await s.db.deadLetter.updateMany({
    where: { orderId: letterId },
    data: { closedAt: new Date(), state: 'DELIVERED' },
  });
  await s.db.reconciliationFinding.updateMany({ where: { orderId: findingId }, data: { action: 'refunded' } });
  await s.db.payment.update({ where: { orderId: refundingId }, data: { status: 'REFUNDED' } });
  expect(await blankAll()).toMatchObject({ orders: 3, customers: 0 });
});

test('the number of a blanked order stays taken, and the person who comes back is another customer', async () => {
  const customer = `cus_${word}`;
  const order = await s.place(customer, word);
  await confirm(s, order);
  await age(1470, [order]);
  await blankAll();
  const again = await s.api.place({
    customerId: customer,
    externalOrderId: `ext-${word}`,
    paymentMethod: 'pm_card_visa',
  });
  expect([409, 410]).toContain(again.status);
  const other = await s.place(customer, `${word}-other`);
  const references = await s.db.$queryRaw<{ n: number }[]>`
    SELECT count(DISTINCT customer_id)::int AS n FROM orders WHERE id = ${other.id}::uuid OR payment_method = '[erased]' AND created_at < now() - interval '1469 days' AND id::text LIKE ${`%${order.id.slice(14)}`}`;
  expect(references[0]?.n).toBe(2);
});

test('decided dead letters and done erasures lose their words, each after its own time', async () => {
  const words = {
    destination: word,
    cause: 'rejected',
    attempts: 1,
    error: word,
    reason: word,
    decidedBy: word,
    sequence: 1,
  };
  const at = (days: number) => new Date(Date.now() - days * DAY_MS);
  const orderId = (await s.place(`cus_${word}`, `${word}x`)).id;
  const letters = [at(91), at(89), null].map((closedAt, i) => ({
    ...words,
    type: `t${i}`,
    destination: `d${i}${n}`,
    orderId,
    closedAt,
  }));
  await s.db.deadLetter.createMany({
    data: letters.map((one) => ({ ...one, state: one.closedAt ? 'DISCARDED' : 'PARKED' })),
  });
  const done = { state: 'done', requestedBy: word, reason: word };
  await s.db.erasure.createMany({
    data: [1097, 1095].map((days) => ({ ...done, id: crypto.randomUUID(), doneAt: at(days) })),
  });
  await blankAll();
  const left = await s.db.deadLetter.findMany({ where: { orderId }, orderBy: { type: 'asc' } });
  expect(left.map(({ error, reason, decidedBy }) => [error, reason, decidedBy])).toEqual([
    ['[erased]', '[erased]', '[erased]'],
    [word, word, word],
    [word, word, word],
  ]);
  const erasures = await s.db.erasure.findMany({ where: { state: 'done' }, orderBy: { doneAt: 'asc' } });
  expect(erasures.map(({ requestedBy, reason }) => [requestedBy, reason])).toEqual([
    ['[erased]', '[erased]'],
    [word, word],
  ]);
});

test('a relay does it by itself, one of two, and orders that come meanwhile are accepted', async () => {
  const customer = `cus_${word}`;
  const orders = await Promise.all(Array.from({ length: 25 }, (_, i) => s.place(customer, `${word}-${i}`)));
  for (const order of orders) await confirm(s, order);
  await age(1470, orders);
  const stops = [1, 2].map(() => startPersonalRetention(s.db, KEPT, SILENT));
  const meanwhile = await Promise.all(Array.from({ length: 10 }, (_, i) => s.place(`cus_b${word}`, `${word}b-${i}`)));
  await eventually('all of them are blanked', async () => (await linesWith(`${word}-`)).length === 0);
  expect(meanwhile).toHaveLength(10);
  await Promise.all(stops.map((stop) => stop()));
});

test('with 0 everything stays for ever', async () => {
  const order = await s.place(`cus_${word}`, word);
  await confirm(s, order);
  await age(5000, [order]);
  expect(await blankOnce(s.db, { ordersMs: 0, deadLettersMs: 0, erasuresMs: 0 })).toMatchObject({
    orders: 0,
    more: false,
  });
  expect((await linesWith(word)).length).toBeGreaterThan(0);
});

test('the database’s own function blanks nothing that is young, whoever asks', async () => {
  const order = await s.place(`cus_${word}`, word);
  await cancel(s, order, `I am ${word}`, 'op-1');
  await s.db.$queryRaw`SELECT events FROM blank_old_order_texts(ARRAY[${order.id}]::uuid[])`;
  const log = await s.db.sagaLogEntry.findMany({ where: { orderId: order.id, step: 'unwinding' } });
  expect(log.map(({ detail }) => detail)).toEqual([`I am ${word}`]);
});

test('less than 90 days is refused', () => {
  const of = (text: string) => () =>
    readConfig(settings, { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', RETENTION_ORDERS_PERSONAL: text });
  expect(of('89d')).toThrow(/RETENTION_ORDERS_PERSONAL is wrong: "89d" is less than 90d/);
  expect(of('0')).not.toThrow();
});

test('the page of retention has the table of the code, and the code the settings’ defaults', () => {
  const page = readFileSync('docs/operations/logs-and-retention.md', 'utf8');
  const rows = RETENTION.map(
    ({ store, columns, purpose, setting, default: kept, end }) =>
      `| \`${store}\` | ${columns.map((column) => `\`${column}\``).join(', ')} | ${purpose} | ${kept ?? 'for ever'} | ${setting === null ? '' : `\`${setting}\``} | ${end} |`,
  );
  expect(page.split('\n').filter((line) => rows.includes(line))).toEqual(rows);
  const example = variablesOf('.env.example');
  for (const { setting, default: kept } of RETENTION)
    if (setting !== null) expect([setting, example.get(setting)]).toEqual([setting, kept]);
});

test('every column of the table is one of the database', async () => {
  const known = await s.db.$queryRaw<{ place: string }[]>`
    SELECT table_name || '.' || column_name AS place FROM information_schema.columns WHERE table_schema = current_schema()`;
  const places = new Set(known.map(({ place }) => place));
  const named = RETENTION.flatMap(({ store, columns }) => columns.map((column) => `${store}.${column}`));
  expect(named.filter((place) => !places.has(place))).toEqual([]);
});
