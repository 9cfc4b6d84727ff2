import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { countStored, expectProblem, ORDER, type Stored, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';

let api: TestApi;
let untouched: Stored;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
  for (let i = 0; i <= 100; i++) await stock(api.db, `SKU-${i}`, 1_000);
  untouched = await countStored(api.db);
});
afterAll(() => api.stop());

const items = (n: number) => Array.from({ length: n }, (_, i) => ({ sku: `SKU-${i}`, quantity: 1 }));
const withQuantity = (quantity: string) =>
  `{"customerId":"cus_42","items":[{"sku":"KEYBOARD","quantity":${quantity}}],"paymentMethod":"pm_card_visa"}`;
const withText = (field: string, json: string) => JSON.stringify({ ...ORDER, [field]: '?' }).replace('"?"', json);
const without = (field: string) => JSON.stringify({ ...ORDER, [field]: undefined });

/** What is wrong → the body that has it, and the field that the problem must name. */
type Case = [string, string | object, string];

const unknownFields: Case[] = [
  ['in the order', { ...ORDER, note: 'hi' }, '/note'],
  ['in a line', { ...ORDER, items: [{ sku: 'KEYBOARD', quantity: 1, unitPrice: 1 }] }, '/items/0/unitPrice'],
  [
    'in the expected total',
    { ...ORDER, expectedTotal: { amount: 2_000, currency: 'USD', tax: 1 } },
    '/expectedTotal/tax',
  ],
  ['with a price of the client’s', { ...ORDER, total: { amount: 1, currency: 'USD' } }, '/total'],
  ['with a status of the client’s', { ...ORDER, status: 'CONFIRMED' }, '/status'],
  ['named "constructor"', { ...ORDER, constructor: 1 }, '/constructor'],
  ['named "constructor" with a prototype', { ...ORDER, constructor: { prototype: { admin: true } } }, '/constructor'],
  ['named "__proto__"', `{"__proto__":{"admin":true},${JSON.stringify(ORDER).slice(1)}`, '/__proto__'],
  ['named "__proto__", escaped', `{"\\u005f_proto__":{},${JSON.stringify(ORDER).slice(1)}`, '/__proto__'],
  [
    'named "__proto__", in a line',
    withText('items', '[{"sku":"KEYBOARD","quantity":1,"__proto__":{"quantity":2}}]'),
    '/items/0/__proto__',
  ],
  ['named "toString"', { ...ORDER, toString: 'x' }, '/toString'],
  ['with slashes and tildes in its name', { ...ORDER, 'a/b~c': 1 }, '/a~1b~0c'],
  ['without a name', { ...ORDER, '': 1 }, '/'],
];

const quantities = [
  '0',
  '-1',
  '1001',
  '1.5',
  '1e309',
  '-1e309',
  '1e-7',
  '"1"',
  '"NaN"',
  'null',
  'true',
  '[]',
  '[1]',
  '{}',
  '9007199254740993',
];

const customerIds = [
  '""',
  '" "',
  '"a b"',
  '"jane@example.com"',
  '"-x"',
  '"a\\u0000b"',
  '"a\\ud800b"',
  '"\\udc00"',
  '"é"',
  '"a\\n"',
  `"${'x'.repeat(129)}"`,
  '1',
  'null',
  'true',
  '["a"]',
  '{}',
];
const skus = ['""', '"A B"', '"../x"', '"A\\u0000"', '"\\ud83d"', `"${'S'.repeat(65)}"`, '7', 'null'];
const paymentMethods = [
  '""',
  '"4242424242424242"',
  '"tok_visa"',
  '"pm_"',
  '"PM_card"',
  '"pm_a b"',
  `"pm_${'x'.repeat(251)}"`,
  '"pm_\\u0000"',
  '1',
  'null',
  '{"card":{}}',
];
const externalOrderIds = [
  '""',
  '"a b"',
  '"é"',
  '"\\u0000"',
  '"a\\nb"',
  '"\\ud800"',
  `"${'x'.repeat(129)}"`,
  '7',
  'null',
  '[]',
];

const shapes: Case[] = [
  ['no customer', without('customerId'), '/customerId'],
  ['no lines', without('items'), '/items'],
  ['no payment method', without('paymentMethod'), '/paymentMethod'],
  ['a line without its SKU', { ...ORDER, items: [{ quantity: 1 }] }, '/items/0/sku'],
  ['a line without its quantity', { ...ORDER, items: [{ sku: 'KEYBOARD' }] }, '/items/0/quantity'],
  ['an expected total without its currency', { ...ORDER, expectedTotal: { amount: 1 } }, '/expectedTotal/currency'],
  [
    'an expected total that is negative',
    { ...ORDER, expectedTotal: { amount: -1, currency: 'USD' } },
    '/expectedTotal/amount',
  ],
  [
    'an expected total with cents',
    { ...ORDER, expectedTotal: { amount: 1.5, currency: 'USD' } },
    '/expectedTotal/amount',
  ],
  [
    'an expected total as text',
    { ...ORDER, expectedTotal: { amount: '2000', currency: 'USD' } },
    '/expectedTotal/amount',
  ],
  [
    'a currency in small letters',
    { ...ORDER, expectedTotal: { amount: 1, currency: 'usd' } },
    '/expectedTotal/currency',
  ],
  ['an expected total of null', { ...ORDER, expectedTotal: null }, '/expectedTotal'],
  ['an empty list of lines', { ...ORDER, items: [] }, '/items'],
  ['101 lines', { ...ORDER, items: items(101) }, '/items'],
  ['a SKU twice', { ...ORDER, items: [...items(2), { sku: 'SKU-0', quantity: 3 }] }, '/items/2/sku'],
  ['lines that are an object', { ...ORDER, items: { 0: ORDER.items[0] } }, '/items'],
  ['lines that are text', { ...ORDER, items: 'KEYBOARD' }, '/items'],
  ['a line that is null', { ...ORDER, items: [null] }, '/items/0'],
  ['a line that is a list', { ...ORDER, items: [['KEYBOARD', 1]] }, '/items/0'],
  ['a list of orders', [ORDER], ''],
  ['null', 'null', ''],
  ['a number', '42', ''],
  ['text', '"order"', ''],
  ['30,000 lists within each other', '['.repeat(30_000) + ']'.repeat(30_000), ''],
  ['a quantity 9,000 lists deep', withQuantity('['.repeat(9_000) + ']'.repeat(9_000)), '/items/0/quantity'],
];

async function expectRefusal(body: string | object, pointer: string): Promise<void> {
  expectProblem(await api.send('POST', '/orders', body), 400, 'invalid-request', [pointer]);
}

describe('an order is refused, naming the field,', () => {
  test.each(unknownFields)('for an unknown field %s', (_, body, pointer) => expectRefusal(body, pointer));
  test.each(quantities)('for a quantity of %s', (quantity) =>
    expectRefusal(withQuantity(quantity), '/items/0/quantity'),
  );
  test.each(customerIds)('for customerId %s', (json) => expectRefusal(withText('customerId', json), '/customerId'));
  test.each(skus)('for SKU %s', (json) =>
    expectRefusal(withText('items', `[{"sku":${json},"quantity":1}]`), '/items/0/sku'),
  );
  test.each(paymentMethods)('for paymentMethod %s', (json) =>
    expectRefusal(withText('paymentMethod', json), '/paymentMethod'),
  );
  test.each(externalOrderIds)('for externalOrderId %s', (json) =>
    expectRefusal(withText('externalOrderId', json), '/externalOrderId'),
  );
  test.each(shapes)('for %s', (_, body, pointer) => expectRefusal(body, pointer));
});

describe('all that is wrong with an order is reported at once,', () => {
  const pointersOf = async (body: string | object) => {
    const problem = expectProblem(await api.send('POST', '/orders', body), 400, 'invalid-request');
    return { detail: problem.detail, pointers: problem.errors?.map(({ pointer }) => pointer) ?? [] };
  };

  test('what is missing, what is wrong, and what is unknown, each field once', async () => {
    expect((await pointersOf({})).pointers).toEqual(['/customerId', '/items', '/paymentMethod']);
    const { pointers } = await pointersOf({
      note: 'hi',
      items: [{ sku: '', quantity: 0, colour: 'red' }, { quantity: 2_000 }],
      paymentMethod: 7,
    });
    expect(pointers.toSorted()).toEqual([
      '/customerId',
      '/items/0/colour',
      '/items/0/quantity',
      '/items/0/sku',
      '/items/1/quantity',
      '/items/1/sku',
      '/note',
      '/paymentMethod',
    ]);
    const { pointers: free } = await pointersOf({ ...ORDER, customerId: '', externalOrderId: '\n'.repeat(200) });
    expect(free).toEqual(['/customerId', '/externalOrderId']);
  });

  test('but no more than twenty, with what is missing before what is unknown', async () => {
    const unknown = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`u${i}`, i]));
    const { pointers, detail } = await pointersOf(unknown);
    expect([pointers.length, ...pointers.slice(0, 4)]).toEqual([20, '/customerId', '/items', '/paymentMethod', '/u0']);
    expect(detail).toMatch(/; and more$/);
  });

  test('in an answer that stays small, and soon, whatever is sent', async () => {
    const bodies = [
      { ...ORDER, items: Array.from({ length: 30_000 }, () => 0) },
      { ...ORDER, items: Array.from({ length: 20_000 }, () => ({})) },
      Object.fromEntries(Array.from({ length: 6_000 }, (_, i) => [`u${i}`, 0])),
      { ...ORDER, ['~'.repeat(60_000)]: 0 },
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${i}${'u'.repeat(3_000)}`, 0])),
    ];
    for (const body of bodies) {
      const began = performance.now();
      const { text } = await api.send('POST', '/orders', body);
      expect(text.length).toBeLessThan(8_000);
      expect(performance.now() - began).toBeLessThan(2_000);
    }
  });
});

describe('an order is refused as no JSON', () => {
  const texts = [
    '',
    ' ',
    '{',
    '{}x',
    "{'a':1}",
    '{"a":1,}',
    'undefined',
    'NaN',
    '{"quantity":NaN}',
    '{"a":"\u0001"}',
    '\u0000',
    '[1',
    '{"a":01}',
    '// x\n{}',
    '<order/>',
    'customerId=cus_42',
  ];
  test.each(texts)('for the body %p', async (text) => {
    expectProblem(await api.send('POST', '/orders', text), 400, 'malformed-json');
  });

  test.each([
    ['Latin-1', Buffer.from(JSON.stringify(ORDER).replace('cus_42', 'cus_\u00ff'), 'latin1')],
    ['UTF-16', Buffer.from(`\ufeff${JSON.stringify(ORDER)}`, 'utf16le')],
    ['an overlong slash', Buffer.concat([Buffer.from('"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"')])],
    ['half a character', Buffer.concat([Buffer.from('"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"')])],
    ['a character cut off', Buffer.concat([Buffer.from(JSON.stringify(ORDER)), Buffer.from([0xe2, 0x82])])],
  ])('for bytes that are not UTF-8: %s', async (_, bytes) => {
    expectProblem(await api.send('POST', '/orders', bytes), 400, 'malformed-json');
  });

  const order = JSON.stringify(ORDER).slice(1);
  test.each([
    `{"customerId":"cus_1",${order}`,
    `{"\\u0063ustomerId":"cus_42",${order}`,
    `{"unknown":{"a":1,"b":{"a":[{"c":1,"c":2}]}},${order}`,
    JSON.stringify(ORDER).replace('"quantity":2', '"quantity":2,"quantity":3'),
    `{"__proto__":1,"__proto__":2,${order}`,
    `{"":1,"":2,${order}`,
  ])('for a key that stands twice: %s', async (text) => {
    const { detail } = expectProblem(await api.send('POST', '/orders', text), 400, 'malformed-json');
    expect(detail).toBe('A key stands twice in one object.');
  });

  test('but not for text that looks like keys', async () => {
    for (const text of ['","', '":"', 'a\\":"', '{"a":1,"a":2}', '\\', '\\"', ':', '"a" :']) {
      const name = { name: text, unitPrice: 1, currency: 'USD', onHand: 1 };
      expect((await api.send('PUT', '/inventory/ODD', JSON.stringify(name, null, 1))).status).toBe(200);
    }
  });
});

describe('size', () => {
  const ofBytes = (n: number) => JSON.stringify(ORDER).padEnd(n, ' ');
  test('over 64 KiB is refused', async () => {
    expectProblem(await api.send('POST', '/orders', ofBytes(65_537)), 413, 'payload-too-large');
    expectProblem(await api.send('PUT', '/inventory/KEYBOARD', ofBytes(1_000_000)), 413, 'payload-too-large');
  });
});

test('none of the refusals above has left anything behind', async () => {
  expect(await countStored(api.db)).toEqual(untouched);
});

describe('an order at its limits is accepted:', () => {
  test.each([
    ['100 lines', { items: items(100) }],
    ['1,000 pieces', { items: [{ sku: 'KEYBOARD', quantity: 1_000 }] }],
    ['a quantity written 1.0', withQuantity('1.0')],
    ['a quantity written 1e3', withQuantity('1e3')],
    [
      'the longest ids',
      { customerId: 'c'.repeat(128), externalOrderId: 'e'.repeat(128), paymentMethod: `pm_${'x'.repeat(250)}` },
    ],
    ['ids of an identity provider', { customerId: 'auth0|5f7c8ec7c33c6c004bbafe82' }],
    ['64 KiB', JSON.stringify(ORDER).padEnd(65_536, ' ')],
  ])('%s', async (_, body) => {
    const whole = typeof body === 'string' ? body : { ...ORDER, ...body };
    expect(await api.send('POST', '/orders', whole)).toMatchObject({ status: 201, body: { status: 'PENDING' } });
  });
});
