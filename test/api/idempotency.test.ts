import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readOrder } from '../../domain/orders.js';
import { countStored, expectProblem, ORDER, raw, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => api.stop());

const key = (value: string) => ({ 'idempotency-key': value });

describe('the same request with the same Idempotency-Key', () => {
  test('is answered with the same bytes, and makes one order', async () => {
    const before = await countStored(api.db);
    const first = await api.place({}, { ...key('k-1'), 'x-correlation-id': 'first' });
    const again = await api.place({}, { ...key('k-1'), 'x-correlation-id': 'second' });
    expect(again.text).toBe(first.text);
    expect([again.status, again.headers.get('location')]).toEqual([201, `/orders/${first.body.id}`]);
    expect([first, again].map((answer) => answer.headers.get('idempotent-replayed'))).toEqual([null, 'true']);
    expect([first, again].map((answer) => answer.headers.get('x-correlation-id'))).toEqual(['first', 'second']);
    expect(await countStored(api.db)).toEqual({
      orders: before.orders + 1,
      lines: before.lines + 1,
      events: before.events + 1,
      keys: before.keys + 1,
    });
  });

  test('is the same however its JSON is spelled', async () => {
    const first = await api.place({ externalOrderId: 'spelled' }, key('k-spelled'));
    const { items, ...rest } = ORDER;
    const spelled = JSON.stringify(
      { externalOrderId: 'spelled', items: items.map(({ sku, quantity }) => ({ quantity, sku })), ...rest },
      null,
      2,
    );
    expect((await api.send('POST', '/orders', spelled, key('k-spelled'))).text).toBe(first.text);
  });

  test('is answered the same although the price has changed or the SKU has gone', async () => {
    await stock(api.db, 'FLEETING', 10, 500);
    const changed = { items: [{ sku: 'FLEETING', quantity: 1 }], expectedTotal: { amount: 500, currency: 'USD' } };
    const first = await api.place(changed, key('k-price'));
    await stock(api.db, 'FLEETING', 10, 600);
    expect((await api.place(changed, key('k-price'))).text).toBe(first.text);
    await api.db.inventory.delete({ where: { sku: 'FLEETING' } });
    expect((await api.place(changed, key('k-price'))).text).toBe(first.text);
  });

  test('sent by fifty at once makes one order, and all are answered with it', async () => {
    const keys = process.env['FULL'] === '1' ? 200 : 5;
    const before = await countStored(api.db);
    for (let n = 0; n < keys; n++) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => api.place({ externalOrderId: `race-${n}` }, key(`k-race-${n}`))),
      );
      expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 201));
      expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
      expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === null)).toHaveLength(1);
    }
    expect((await countStored(api.db)).orders).toBe(before.orders + keys);
  }, 180_000);

  test('after the key’s time is over is a new order', async () => {
    const forgetful = await startTestApi({ db: api.db, databaseUrl: api.databaseUrl, idempotencyTtlMs: 1 });
    const first = await forgetful.place({}, key('k-ttl'));
    await eventually(
      'the key is forgotten',
      async () => (await forgetful.place({}, key('k-ttl'))).body.id !== first.body.id,
    );
    await forgetful.stop();
  });
});

describe('another request with the same Idempotency-Key', () => {
  test('is refused, and the first stays as it was', async () => {
    const first = await api.place({}, key('k-other'));
    const before = await countStored(api.db);
    for (const changed of [
      { customerId: 'cus_43' },
      { items: [{ sku: 'KEYBOARD', quantity: 3 }] },
      { paymentMethod: 'pm_card_mastercard' },
      { externalOrderId: 'x' },
    ]) {
      expectProblem(await api.place(changed, key('k-other')), 422, 'idempotency-key-reused');
    }
    expect(await countStored(api.db)).toEqual(before);
    expect((await api.place({}, key('k-other'))).text).toBe(first.text);
  });

  test('sent at the same time is refused, whichever comes first', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => api.place({ customerId: `cus_${i % 2}` }, key('k-mixed'))),
    );
    const [accepted, refused] = [201, 422].map((status) => answers.filter((answer) => answer.status === status));
    expect([accepted?.length, refused?.length]).toEqual([10, 10]);
    expect(new Set(accepted?.map((answer) => answer.text)).size).toBe(1);
  });
});

test('a refused request does not burn its key', async () => {
  for (const bad of [
    { items: [] },
    { items: [{ sku: 'LATER', quantity: 1 }] },
    { expectedTotal: { amount: 1, currency: 'USD' } },
  ]) {
    expect((await api.place(bad, key('k-unburnt'))).status).toBeGreaterThanOrEqual(400);
  }
  await stock(api.db, 'LATER', 1);
  expect((await api.place({ items: [{ sku: 'LATER', quantity: 1 }] }, key('k-unburnt'))).status).toBe(201);
});

test('without an Idempotency-Key the same request is another order', async () => {
  const [a, b] = [await api.place(), await api.place()];
  expect([a.status, b.status, b.headers.get('idempotent-replayed')]).toEqual([201, 201, null]);
  expect(a.body.id).not.toBe(b.body.id);
});

describe('an Idempotency-Key', () => {
  test('means the same bare and quoted', async () => {
    const first = await api.place({}, key('bare-1'));
    expect((await api.place({}, key('"bare-1"'))).text).toBe(first.text);
  });

  test('is case-sensitive', async () => {
    const first = await api.place({}, key('Case'));
    expect((await api.place({}, key('case'))).body.id).not.toBe(first.body.id);
  });

  test.each([
    'k',
    'k'.repeat(255),
    `"${'q'.repeat(255)}"`,
    '8e03978e-40d5-43dd-bc93-6894a57f9324',
    'a:b/c=d+e',
    "it's",
    '{}',
    '\\',
    '"say-\\"hi\\""',
  ])('may be %p', async (value) => {
    const first = await api.place({}, key(value));
    expect(first.status).toBe(201);
    expect((await api.place({}, key(value))).text).toBe(first.text);
  });

  test.each([
    '',
    ' ',
    '""',
    'k'.repeat(256),
    `"${'q'.repeat(256)}"`,
    '"',
    '"open',
    'open"',
    'in"side',
    '"a"b"',
    '"a\\b"',
    '"a";p=1',
    '"a", "b"',
    'a b',
    'clé',
    '"clé"',
    '\u00a0',
    'a\tb',
  ])('must not be %p', async (value) => {
    const before = await countStored(api.db);
    expectProblem(await api.place({}, key(value)), 400, 'invalid-idempotency-key');
    expect(await countStored(api.db)).toEqual(before);
  });

  test('must not be sent twice', async () => {
    const body = JSON.stringify(ORDER);
    const head = `POST /orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    expectProblem(
      await raw(api.port, `${head}Idempotency-Key: "a"\r\nIdempotency-Key: "b"\r\n\r\n${body}`),
      400,
      'invalid-idempotency-key',
    );
  });
});

describe('an externalOrderId', () => {
  test('is one order’s per customer: the second is refused with the name of the first', async () => {
    const first = await api.place({ externalOrderId: 'web-1' });
    const before = await countStored(api.db);
    const problem = expectProblem(
      await api.place({ externalOrderId: 'web-1', items: [{ sku: 'KEYBOARD', quantity: 9 }] }),
      409,
      'order-exists',
    );
    expect(problem.orderId).toBe(first.body.id);
    expect(problem.detail).toContain(first.body.id);
    expect(await countStored(api.db)).toEqual(before);
  });

  test('may be another customer’s as well', async () => {
    expect((await api.place({ externalOrderId: 'web-2' })).status).toBe(201);
    expect((await api.place({ externalOrderId: 'web-2', customerId: 'cus_43' })).status).toBe(201);
  });

  test('does not burn the key of the request that it refuses', async () => {
    await api.place({ externalOrderId: 'web-3' });
    expectProblem(await api.place({ externalOrderId: 'web-3' }, key('k-web-3')), 409, 'order-exists');
    expect((await api.place({ externalOrderId: 'web-3b' }, key('k-web-3'))).status).toBe(201);
  });

  test('claimed by twenty at once without a key is one order’s, which the others’ problems name', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.place({ externalOrderId: 'web-race' })));
    const winner = answers.filter((answer) => answer.status === 201);
    expect(winner).toHaveLength(1);
    for (const loser of answers.filter((answer) => answer.status !== 201)) {
      expect(expectProblem(loser, 409, 'order-exists').orderId).toBe(winner[0]?.body.id);
    }
    expect(await readOrder(api.db, String(winner[0]?.body.id))).toMatchObject({ externalOrderId: 'web-race' });
  });
});
