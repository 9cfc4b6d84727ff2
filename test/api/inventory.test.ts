import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { recordCharge } from '../../domain/payments.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, assertStockConserved } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

const ENTRY = { name: 'Mechanical keyboard', unitPrice: 4_900, currency: 'USD', onHand: 500 };
const put = (sku: string, changed: object = {}) => api.send('PUT', `/inventory/${sku}`, { ...ENTRY, ...changed });

describe('a SKU', () => {
  test('is created, read back, and changed', async () => {
    const whole = { sku: 'KEYBOARD', ...ENTRY, available: 500, reserved: 0, sold: 0 };
    expect(await put('KEYBOARD')).toMatchObject({ status: 200, body: whole });
    expect((await api.get('/inventory/KEYBOARD')).body).toEqual(whole);
    const changed = { ...whole, name: 'Clavier mécanique 🎹', unitPrice: 0, currency: 'EUR', onHand: 7, available: 7 };
    expect((await put('KEYBOARD', { name: changed.name, unitPrice: 0, currency: 'EUR', onHand: 7 })).body).toEqual(
      changed,
    );
    expect((await api.get('/inventory/KEYBOARD')).body).toEqual(changed);
  });

  test('counts what is reserved and sold, below which its stock cannot be set', async () => {
    await put('COUNTED', { onHand: 10 });
    const [sold, held] = [await accept(api.db, { COUNTED: 3 }), await accept(api.db, { COUNTED: 2 })];
    for (const order of [sold, held]) await reserveInventory(api.db, order.id);
    await recordCharge(api.db, sold.id, 'pi_counted');
    await confirmOrder(api.db, sold.id);
    const counted = { onHand: 10, available: 5, reserved: 2, sold: 3 };
    expect((await api.get('/inventory/COUNTED')).body).toMatchObject(counted);

    expectProblem(await put('COUNTED', { onHand: 4, name: 'never' }), 409, 'stock-committed');
    expect((await api.get('/inventory/COUNTED')).body).toMatchObject({ ...counted, name: ENTRY.name });
    expect((await put('COUNTED', { onHand: 5 })).body).toMatchObject({ onHand: 5, available: 0, reserved: 2, sold: 3 });
    expect((await put('COUNTED', { onHand: 12 })).body).toMatchObject({
      onHand: 12,
      available: 7,
      reserved: 2,
      sold: 3,
    });
    await assertStockConserved(api.db);
  });

  test('created by ten at once is there once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => put('CREATED', { onHand: 100 + i })));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    await assertStockConserved(api.db);
  });

  test('that is not in the catalogue is 404', async () => {
    expectProblem(await api.get('/inventory/NONE'), 404, 'not-found');
  });

  test.each(['-x', 'a%20b', '%00', 'S'.repeat(65), '%F0%9F%98%80', '..%2Fx'])('cannot be named %s', async (sku) => {
    expectProblem(await put(sku), 400, 'invalid-request', ['params/sku']);
    expectProblem(await api.get(`/inventory/${sku}`), 400, 'invalid-request', ['params/sku']);
  });

  test.each<[string, object | string, string]>([
    ['no name', { name: undefined }, '/name'],
    ['an empty name', { name: '' }, '/name'],
    ['a name of 201 characters', { name: 'n'.repeat(201) }, '/name'],
    ['a NUL in its name', { name: 'a\0b' }, '/name'],
    ['half a character in its name', { name: 'a\ud800' }, '/name'],
    ['a line break in its name', { name: 'a\nb' }, '/name'],
    ['no price', { unitPrice: undefined }, '/unitPrice'],
    ['a negative price', { unitPrice: -1 }, '/unitPrice'],
    ['a price with cents', { unitPrice: 49.99 }, '/unitPrice'],
    ['a price as text', { unitPrice: '4900' }, '/unitPrice'],
    ['a price beyond the gateway’s limit', { unitPrice: 100_000_000 }, '/unitPrice'],
    ['no currency', { currency: undefined }, '/currency'],
    ['a currency in small letters', { currency: 'usd' }, '/currency'],
    ['a currency that is none', { currency: 'US' }, '/currency'],
    ['no stock', { onHand: undefined }, '/onHand'],
    ['negative stock', { onHand: -1 }, '/onHand'],
    ['half a piece', { onHand: 0.5 }, '/onHand'],
    ['stock as text', { onHand: '5' }, '/onHand'],
    ['endless stock', JSON.stringify(ENTRY).replace('500', '1e309'), '/onHand'],
    ['more stock than anyone has', { onHand: 1e15 }, '/onHand'],
    ['counters that are not the client’s', { available: 5 }, '/available'],
    ['another SKU in its body', { sku: 'OTHER' }, '/sku'],
    ['a prototype', `{"__proto__":{},${JSON.stringify(ENTRY).slice(1)}`, '/__proto__'],
  ])('with %s is refused, naming the field', async (_, body, pointer) => {
    const whole = typeof body === 'string' ? body : { ...ENTRY, ...body };
    expectProblem(await api.send('PUT', '/inventory/REFUSED', whole), 400, 'invalid-request', [pointer]);
    expectProblem(await api.get('/inventory/REFUSED'), 404, 'not-found');
  });
});

test('the catalogue is listed in the order of its SKUs, page by page', async () => {
  for (const sku of ['ZEBRA', 'ANT', 'MOLE']) await put(sku);
  const all = (await api.get<{ items: { sku: string }[]; next: null }>('/inventory')).body;
  const skus = all.items.map((item) => item.sku);
  expect(skus).toEqual([...skus].sort());
  expect(skus).toEqual(expect.arrayContaining(['ANT', 'MOLE', 'ZEBRA']));
  expect(all.next).toBeNull();

  const seen: string[] = [];
  for (let query = '?limit=2'; ; ) {
    const { body } = await api.get<{ items: { sku: string }[]; next: string | null }>(`/inventory${query}`);
    seen.push(...body.items.map((item) => item.sku));
    if (body.next === null) break;
    query = `?limit=2&cursor=${body.next}`;
  }
  expect(seen).toEqual(skus);
});
