/** What the payment provider could not charge is refused where it comes in: as a price, or as an order's total. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CURRENCIES } from '../../contracts/currencies.js';
import { countStored, expectProblem, startTestApi, type TestApi } from '../support/api.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

const put = (sku: string, unitPrice: number, currency: string) =>
  api.send('PUT', `/inventory/${sku}`, { name: sku, unitPrice, currency, onHand: 1_000 });
const place = (sku: string, quantity = 1, headers = {}) => api.place({ items: [{ sku, quantity }] }, headers);
/** As it stands in the catalogue of an installation that is older than the rules. */
const putLongAgo = (sku: string, unitPrice: number, currency: string) =>
  api.db.inventory.create({ data: { sku, name: sku, unitPrice, currency, onHandTotal: 1_000, available: 1_000 } });

describe('a price', () => {
  test.each([
    ['a currency that is none', 1_000, 'ZZZ', 'unsupported-currency', '/currency'],
    ['a metal', 1_000, 'XAU', 'unsupported-currency', '/currency'],
    ['a currency that has gone', 1_000, 'HRK', 'unsupported-currency', '/currency'],
    ['fils that no card carries', 5_124, 'KWD', 'unsupported-unit-price', '/unitPrice'],
    ['baisa that no card carries', 1, 'OMR', 'unsupported-unit-price', '/unitPrice'],
  ])('in %s is refused, naming the field, and nothing of it is stored', async (_, price, currency, code, pointer) => {
    expectProblem(await put('REFUSED', price, currency), 422, code, [pointer]);
    expectProblem(await api.get('/inventory/REFUSED'), 404, 'not-found');
  });

  test.each([
    ['a cent', 1, 'USD'],
    ['nothing', 0, 'KWD'],
    ['the largest', 99_999_999, 'USD'],
    ['fils in tens', 5_120, 'KWD'],
    ['five krónur', 5, 'ISK'],
    ['five shillings', 5, 'UGX'],
    ['one yen', 1, 'JPY'],
    ['a forint and a half', 150, 'HUF'],
  ])('of %s is taken', async (_, price, currency) => {
    expect(await put('TAKEN', price, currency)).toMatchObject({ status: 200, body: { unitPrice: price, currency } });
  });
});

describe('a total', () => {
  test.each([
    ['a cent short of what is charged', 7, 7, 'USD', 'amount-too-small'],
    ['one yen short', 49, 1, 'JPY', 'amount-too-small'],
    ['a haler short', 1_499, 1, 'CZK', 'amount-too-small'],
    ['a cent beyond eight digits', 50_000_000, 2, 'USD', 'amount-too-large'],
    ['of a million krónur, which the provider counts in hundredths', 1_000_000, 1, 'ISK', 'amount-too-large'],
  ])('%s is refused: nothing is stored, and the key may be used again', async (_, price, quantity, currency, code) => {
    const [sku, key] = [`REFUSED-${currency}-${price}`, { 'idempotency-key': `${currency}-${price}` }];
    await put(sku, price, currency);
    const before = await countStored(api.db);
    const { total, minimum, maximum } = expectProblem(await place(sku, quantity, key), 422, code);
    expect(total).toEqual({ amount: price * quantity, currency });
    expect([minimum, maximum]).toEqual([
      { amount: CURRENCIES.get(currency)?.minimum, currency },
      { amount: CURRENCIES.get(currency)?.maximum, currency },
    ]);
    expect(await countStored(api.db)).toEqual(before);
    await put(sku, 5_000, currency);
    expect((await place(sku, 1, key)).status).toBe(201);
  });

  test.each([
    ['fifty cents, of pieces at one', 1, 50, 'USD'],
    ['nothing at all', 0, 1, 'USD'],
    ['eight digits', 99_999_999, 1, 'USD'],
    ['ten digits of rupiah', 50_000_000, 100, 'IDR'],
    ['999,999 krónur', 999_999, 1, 'ISK'],
    ['what has no documented least', 1, 1, 'KES'],
  ])('of %s is taken', async (_, price, quantity, currency) => {
    const sku = `TAKEN-${currency}-${price}`;
    await put(sku, price, currency);
    const answer = await place(sku, quantity);
    expect([answer.status, answer.body.total]).toEqual([201, { amount: price * quantity, currency }]);
  });
});

describe('a SKU that has long had a price that cannot be charged', () => {
  test.each([
    ['OLD-ZZZ', 1_000, 'ZZZ', 'unsupported-currency'],
    ['OLD-KWD', 5_124, 'KWD', 'unsupported-unit-price'],
  ])('%s is not sold, and its line is named', async (sku, price, currency, code) => {
    await putLongAgo(sku, price, currency);
    const before = await countStored(api.db);
    const items = [{ sku, quantity: 10 }];
    expectProblem(await api.place({ items }, { 'idempotency-key': sku }), 422, code, ['/items/0/sku']);
    expect(await countStored(api.db)).toEqual(before);
  });

  test('can be read, and sold as soon as its price is corrected', async () => {
    await putLongAgo('MENDED', 1_000, 'ZZZ');
    expect((await api.get('/inventory/MENDED')).body).toMatchObject({ currency: 'ZZZ', available: 1_000 });
    await put('MENDED', 1_000, 'EUR');
    expect((await place('MENDED')).status).toBe(201);
  });
});
