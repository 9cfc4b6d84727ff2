/** A person is erased: over HTTP, with the eraser that ships, and everything looked for afterwards in all that the database has. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { verifyAudit } from '../../domain/audit/verification.js';
import { verifyCertificate } from '../../domain/erasure/certificate.js';
import { expectProblem } from '../support/api.js';
import { checkContracts } from '../support/contracts.js';
import { feedShowsAll } from '../support/database.js';
import { cancel, confirm, decline, dump, type Erasure, KEYS, type Stage, startStage } from './stage.js';

let s: Stage;
beforeAll(async () => {
  s = await startStage();
});
afterAll(() => s.stop());

const linesWith = (text: string, words: string[]) =>
  text.split('\n').filter((line) => words.some((word) => line.toLowerCase().includes(word)));

describe('a customer with orders of every outcome', () => {
  const [customer, word] = ['cus_canaryperson', 'canaryperson'];
  let orders: Order[];
  let first: Erasure;
  let erasure: Erasure;
  beforeAll(async () => {
    orders = [];
    for (const n of [1, 2, 3, 4]) orders.push(await s.place(customer, `${word}-${n}`));
    const [confirmed, cancelled, declined, taken] = orders as [Order, Order, Order, Order];
    await confirm(s, confirmed);
    await cancel(s, cancelled, `I am ${word}, and changed my mind`, customer);
    await decline(s, declined);
    await confirm(s, taken);
    await s.db.deadLetter.create({
      data: {
        ...{
          destination: 'webhook',
          orderId: taken.id,
          sequence: 1,
          type: 'order.created',
          cause: 'rejected',
          attempts: 3,
        },
        ...{ error: `they said ${word}`, state: 'DISCARDED', decidedBy: 'op-7', reason: `${word}, they have it` },
        closedAt: new Date(),
      },
    });
    const operation = randomUUID();
    await s.db.$executeRaw`
      INSERT INTO operations (id, action, state, selection, total, amounts, skipped, previewed_by, started_at, started_by, reason, aborted_by, abort_reason, ended_at)
      VALUES (${operation}::uuid, 'retry', 'aborted', '{}', 1, '[]', '[]', 'op-7', now(), 'op-7', ${`${word} called`}, 'op-7', ${`${word} again`}, now())`;
    await s.db.$executeRaw`
      INSERT INTO operation_items (operation_id, no, order_id) VALUES (${operation}::uuid, 1, ${taken.id}::uuid)`;
    await actWithKeys(taken.id, operation);
    expect(linesWith(await dump(s.db), [word]).length).toBeGreaterThan(10);
    const answer = await s.ask(customer);
    expect([answer.status, answer.headers.get('location')]).toEqual([202, `/admin/erasures/${answer.body.id}`]);
    first = answer.body;
    erasure = await s.until(first.id, 'done');
  });

  /** As the console does: its answers are kept, and tell what operators and destinations have said of the person. */
  async function actWithKeys(orderId: string, operation: string): Promise<void> {
    const of = { ...{ destination: 'nats', orderId, sequence: 2, type: 'inventory.reserved', cause: 'rejected' } };
    const { id } = await s.db.deadLetter.create({ data: { ...of, attempts: 3, error: `it said ${word}` } });
    const acts: [string, object][] = [
      ['/admin/dead-letters/replay', { operator: 'op-7', ids: [`${id}`], reason: 'again' }],
      [`/admin/dead-letters/${id}/discard`, { operator: 'op-7', reason: `${word} has it` }],
      [`/admin/operations/${operation}/abort`, { operator: 'op-7', reason: 'enough' }],
    ];
    for (const [path, body] of acts) {
      const answer = await s.api.send('POST', path, body, { 'idempotency-key': randomUUID() });
      expect(answer.status).toBe(200);
    }
    await s.db.deadLetter.update({ where: { id }, data: { closedAt: new Date() } }); // as a relay does
  }

  test('is waited for first, and done later, by name', () => {
    expect(first).toMatchObject({ state: 'waiting', found: true, requestedBy: 'op-7', reason: 'ticket 4711' });
    expect(erasure).toMatchObject({ state: 'done', waitingFor: [], waitingForCount: 0 });
  });

  test('is nowhere in the database any more', async () => {
    expect(linesWith(await dump(s.db), [word])).toEqual([]);
  });

  test('leaves what was sold and paid', async () => {
    for (const [i, status] of (['CONFIRMED', 'CANCELLED', 'CANCELLED', 'CONFIRMED'] as const).entries()) {
      const { id, total } = orders[i] as Order;
      const { body } = await s.api.get<Order>(`/orders/${id}`);
      expect(body).toMatchObject({ id, status, total, customerId: erasure.customerReference });
      expect(body.externalOrderId).toBeUndefined();
    }
  });

  test('is told of in a report without the person', () => {
    const { erased = {}, kept = [] } = erasure.report ?? {};
    expect(erased).toMatchObject({ orders: 4, deadLetters: 2, idempotencyKeys: 5, customers: 1 });
    expect(erased['events']).toBeGreaterThanOrEqual(4);
    expect(kept.length).toBeGreaterThan(3);
    expect(JSON.stringify(erasure)).not.toContain(word);
  });

  test('is told to consumers, as the first event of their reference', async () => {
    await feedShowsAll(s.db);
    const { body } = await s.api.get<{ events: { type: string; subject: string; sequence: number; data: object }[] }>(
      '/events?limit=1000',
    );
    const told = body.events.filter(({ type }) => type === 'customer.erased');
    const reference = erasure.customerReference;
    expect(told).toMatchObject([{ subject: reference, sequence: 1, data: { customerReference: reference } }]);
    expect((await checkContracts(s.db)).breaches).toEqual([]);
    expect(body.events.filter(({ subject }) => orders.some(({ id }) => id === subject)).length).toBeGreaterThan(8);
  });

  test('leaves the audit chain whole, with the request and its end in it', async () => {
    expect(await verifyAudit(s.db, KEYS)).toMatchObject({ flaw: null });
    const { body } = await s.api.get<{ entries: { kind: string; route: string; resource: string; after: object }[] }>(
      '/admin/audit?limit=1000',
    );
    const entries = body.entries.filter(({ resource }) => resource === erasure.id);
    expect(entries).toMatchObject([
      { kind: 'act', route: 'POST /admin/customers/:id/erase', after: { state: 'waiting' } },
      { kind: 'outcome', route: 'erasure', after: { reference: erasure.customerReference, erased: { orders: 4 } } },
    ]);
  });

  test('is certified, and a certificate that was changed is not genuine', () => {
    const { certificate } = erasure;
    expect(certificate).toMatchObject({ erasure: erasure.id, requestedBy: 'op-7', erased: { orders: 4 } });
    expect(verifyCertificate(certificate, { audit: KEYS })).toBe('genuine');
    const changed = { ...certificate, erased: { ...certificate.erased, orders: 5 } };
    expect(verifyCertificate(changed, { audit: KEYS })).toBe('changed');
  });

  test('repeats a request, which makes no second order and says why', async () => {
    const again = async (n: number, changed = {}) =>
      s.api.place(
        { customerId: customer, externalOrderId: `ext-${word}-${n}`, paymentMethod: `pm_${word}_${n}`, ...changed },
        { 'idempotency-key': `key-${word}-${n}` },
      );
    const before = await s.db.order.count();
    for (const n of [1, 2, 3, 4]) expectProblem(await again(n), 410, 'erased');
    expectProblem(await again(1, { items: [{ sku: 'KEYBOARD', quantity: 7 }] }), 410, 'erased');
    expect(await s.db.order.count()).toBe(before);
    // Somebody else's key of the same name is not theirs.
  });

  test('orders again as somebody new, but not under an order number of before', async () => {
    const place = (externalOrderId: string) => s.api.place({ customerId: customer, externalOrderId });
    const before = await s.db.order.count();
    const taken = expectProblem(await place(`ext-${word}-1`), 409, 'order-erased');
    expect(JSON.stringify(taken)).not.toContain(orders[0]?.id);
    expect(await s.db.order.count()).toBe(before);
    // Of an order that was cancelled the number is free, as it was before.
    expect((await place(`ext-${word}-2`)).status).toBe(201);
    const { body } = await place(`ext-new-1`);
    const rows = await s.db.order.findMany({ where: { id: body.id } });
    expect(rows[0]?.customerId).not.toBe(erasure.customerReference);
    expect(rows[0]?.customerId).not.toBe(customer);
  });
});

describe('what is still in hand holds an erasure, by name:', () => {
  test('an order that is pending, until it is confirmed', async () => {
    const order = await s.place('cus_pending', 'pending-1');
    const { body } = await s.ask('cus_pending');
    await s.erase();
    const held = await s.read(body.id);
    expect(held).toMatchObject({
      state: 'waiting',
      waitingForCount: 1,
      waitingFor: [{ orderId: order.id, why: 'pending' }],
    });
    // Whoever placed it still reads it.
    expect((await s.api.get<Order>(`/orders/${order.id}`)).body.customerId).toBe('cus_pending');
    s.parked.add(order.id);
    await s.erase();
    expect((await s.read(body.id)).waitingFor).toEqual([{ orderId: order.id, why: 'parked' }]);
    await confirm(s, order);
    await s.until(body.id, 'done');
  });

  test('a refund that the gateway has accepted, until it is carried out', async () => {
    const order = await s.place('cus_refund', 'refund-1');
    await confirm(s, order);
    await s.db.$executeRaw`
      INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid) VALUES (${order.id}::uuid, 90, 'payment.refunded',
        '{"refundStatus":"pending"}', 'c', pg_current_xact_id()::text::bigint)`;
    s.refunds.set(`pi_${order.id}`, [{ status: 'pending' }]);
    const { body } = await s.ask('cus_refund');
    await s.erase();
    expect((await s.read(body.id)).waitingFor).toEqual([{ orderId: order.id, why: 'refund-in-hand' }]);
    s.refunds.set(`pi_${order.id}`, [{ status: 'succeeded' }]);
    await s.until(body.id, 'done');
    await s.db.$executeRaw`DELETE FROM outbox WHERE order_id = ${order.id}::uuid AND sequence = 90`;
  });

  test('a finding, and a dead letter, until somebody has decided', async () => {
    const [first, second] = [await s.place('cus_finding', 'finding-1'), await s.place('cus_finding', 'finding-2')];
    for (const order of [first, second]) await confirm(s, order);
    const finding = await s.db.reconciliationFinding.create({
      data: {
        ...{ kind: 'AMOUNT_MISMATCH', gatewayReference: 'pi_finding', orderId: first.id, amount: 1n, currency: 'USD' },
        ...{ action: 'reported', detail: 'canary of a finding' },
      },
    });
    const letter = await s.db.deadLetter.create({
      data: {
        ...{
          destination: 'webhook',
          orderId: second.id,
          sequence: 1,
          type: 'order.created',
          cause: 'rejected',
          attempts: 3,
        },
        error: 'no',
      },
    });
    const { body } = await s.ask('cus_finding');
    await s.erase();
    expect((await s.read(body.id)).waitingFor).toEqual([
      { orderId: first.id, why: 'finding-open' },
      { orderId: second.id, why: 'dead-letter-open' },
    ]);
    await s.db.reconciliationFinding.update({ where: { id: finding.id }, data: { action: 'refunded' } });
    await s.db.deadLetter.update({ where: { id: letter.id }, data: { state: 'DELIVERED', closedAt: new Date() } });
    const done = await s.until(body.id, 'done');
    expect(done.report?.erased).toMatchObject({ findings: 1, deadLetters: 1 });
  });

  test('an operation that has not come to its end: what its operator said is written of the others as it was, and erased then', async () => {
    const [own, other] = [await s.place('cus_operation', 'operation-1'), await s.place('cus_beside', 'operation-2')];
    for (const order of [own, other]) await confirm(s, order);
    const [running, previewed] = [randomUUID(), randomUUID()];
    for (const id of [running, previewed]) {
      await s.db.$executeRaw`
        INSERT INTO operations (id, action, selection, total, amounts, skipped, previewed_by)
        VALUES (${id}::uuid, 'compensate', '{}', 2, '{}', '{}', 'op-7')`;
      for (const [no, order] of [own, other].entries())
        await s.db.$executeRaw`
          INSERT INTO operation_items (operation_id, no, order_id) VALUES (${id}::uuid, ${no + 1}, ${order.id}::uuid)`;
    }
    await s.db.$executeRaw`
      UPDATE operations SET state = 'running', started_at = now(), started_by = 'op-7', reason = 'the carrier is on strike'
      WHERE id = ${running}::uuid`;
    const reasonOf = async (id: string) => (await s.db.operation.findUniqueOrThrow({ where: { id } })).reason;
    const { body } = await s.ask('cus_operation');
    await s.erase();
    expect((await s.read(body.id)).waitingFor).toEqual([
      { orderId: own.id, why: 'operation-open', operationId: running },
    ]);
    expect(await reasonOf(running)).toBe('the carrier is on strike');
    await s.db.$executeRaw`UPDATE operations SET state = 'finished', ended_at = now() WHERE id = ${running}::uuid`;
    await s.until(body.id, 'done');
    expect(await reasonOf(running)).toBe('[erased]');
    // One that nobody has started has the others left, and whoever starts it is told that there are fewer.
    const left = await s.db.operationItem.findMany({ where: { operationId: previewed } });
    expect(left.map(({ orderId }) => orderId)).toEqual([other.id]);
  });
});
