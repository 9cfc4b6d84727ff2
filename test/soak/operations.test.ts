/** What holds of the operation log, held against facts in which one thing is wrong: each check sees it, and no check sees what is right. */
import { expect, test } from '@jest/globals';
import type { Call } from '../../soak/operation-log.js';
import type { Facts } from '../../soak/verify/facts.js';
import { CHECKS, type History, holdOperations } from '../../soak/verify/operations.js';

const LINES = [{ sku: 'SOAK-5', quantity: 1, unitPrice: 1_000 }];
const told = (id: string, status = 'PENDING') => JSON.stringify({ id, status, items: LINES });

let calls = 0;
const call = (given: Partial<Call>): Call => ({
  call: calls++,
  operation: calls,
  kind: 'order',
  to: 'api',
  outcome: 'ok',
  status: 201,
  beganMs: calls * 10,
  endedMs: calls * 10 + 5,
  ...given,
});

/** Three orders: one kept, one taken back, one declined; repeats, reads, and what was refused. */
function right(): { calls: Call[]; facts: Facts } {
  const stored = { externalOrderId: null, reason: null, lines: LINES, isByHand: false, paymentMethod: 'pm_card_visa' };
  return {
    calls: [
      call({ customerId: 'c1', key: 'k1', text: told('o1') }),
      call({ kind: 'repeat', customerId: 'c1', key: 'k1', text: told('o1') }),
      call({ customerId: 'c2', text: told('o2') }),
      call({ customerId: 'c3', key: 'k3', text: told('o3') }),
      call({ customerId: 'c4', key: 'k4', outcome: 'refused', status: 409, text: '{}' }),
      call({ kind: 'read', orderId: 'o2', status: 200, text: told('o2', 'CONFIRMED') }),
      call({ kind: 'cancel', orderId: 'o2', status: 202, text: told('o2', 'CONFIRMED') }),
      call({ kind: 'read', orderId: 'o2', status: 200, text: told('o2', 'CANCELLED') }),
      call({ kind: 'sku', body: { name: 'S', unitPrice: 500, onHand: 9 } }),
      call({ kind: 'sku', body: { name: 'S', unitPrice: 700, onHand: 5 } }),
      call({ kind: 'odd', customerId: 'odd', outcome: 'refused', status: 400 }),
      call({ kind: 'resolve', operation: 77, orderId: 'o3', status: 200 }),
      call({ kind: 'order', customerId: 'c5', outcome: 'unknown', status: 503 }),
    ],
    facts: {
      orders: [
        { ...stored, id: 'o1', customerId: 'c1', status: 'CONFIRMED' },
        { ...stored, id: 'o2', customerId: 'c2', status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' },
        {
          ...stored,
          id: 'o3',
          customerId: 'c3',
          status: 'CANCELLED',
          reason: 'PAYMENT_DECLINED',
          paymentMethod: 'pm_card_chargeDeclined',
        },
      ],
      keys: new Map([
        ['k1', 'o1'],
        ['k3', 'o3'],
      ]),
      stock: [{ sku: 'S', onHand: 5, unitPrice: 700 }],
      acts: new Set(['operation 77']),
    },
  };
}
type Right = ReturnType<typeof right>;
const order = ({ facts }: Right, n: number) => facts.orders[n] as Facts['orders'][number];

const wrong: [keyof typeof CHECKS, what: string, (history: Right) => void][] = [
  ['O1 acknowledged orders are there, as they were ordered', 'it is lost', (h) => h.facts.orders.splice(1, 1)],
  [
    'O1 acknowledged orders are there, as they were ordered',
    'it has another quantity',
    (h) => (order(h, 0).lines = [{ sku: 'SOAK-5', quantity: 2, unitPrice: 1_000 }]),
  ],
  [
    'O2 one key, one order',
    'a repeat made another',
    (h) => h.calls.push(call({ kind: 'repeat', customerId: 'c1', key: 'k1', text: told('o9') })),
  ],
  ['O2 one key, one order', 'the key is lost', (h) => h.facts.keys.delete('k1')],
  [
    'O3 the same answer to the same request',
    'a repeat is answered otherwise',
    (h) => h.calls.push(call({ kind: 'repeat', customerId: 'c1', key: 'k1', text: told('o1', 'CONFIRMED') })),
  ],
  ['O4 acknowledged cancellations took effect', 'it is confirmed', (h) => (order(h, 1).status = 'CONFIRMED')],
  ['O5 what was refused is not there', 'the key has an order', (h) => h.facts.keys.set('k4', 'o1')],
  ['O5 what was refused is not there', 'odd input is an order', (h) => (order(h, 0).customerId = 'odd')],
  [
    'O6 nothing is there that nobody asked for',
    'one order is there twice',
    (h) => h.facts.orders.push({ ...order(h, 0), id: 'o1b' }),
  ],
  [
    'O6 nothing is there that nobody asked for',
    'two have one number of the customer’s',
    (h) => {
      order(h, 0).externalOrderId = 'web-1';
      h.facts.orders.push({ ...order(h, 0), id: 'o1b' });
      h.calls.push(call({ kind: 'twin', customerId: 'c1', key: 'k1b', outcome: 'unknown' }));
    },
  ],
  ['O7 an end that was seen stays', 'it has gone', (h) => (order(h, 1).status = 'CONFIRMED')],
  [
    'O7 an end that was seen stays',
    'a later read is older',
    (h) => h.calls.push(call({ kind: 'read', orderId: 'o2', text: told('o2', 'PENDING') })),
  ],
  ['O8 every end has its cause', 'a bank declined a good card', (h) => (order(h, 2).paymentMethod = 'pm_card_visa')],
  [
    'O8 every end has its cause',
    'nobody cancelled it',
    (h) => (h.calls = h.calls.filter(({ kind }) => kind !== 'cancel')),
  ],
  [
    'O9 stock and price are as last set',
    'the first is back',
    (h) => (h.facts.stock = [{ sku: 'S', onHand: 9, unitPrice: 500 }]),
  ],
  [
    'O10 odd input is refused',
    'it is taken',
    (h) => h.calls.push(call({ kind: 'odd', customerId: 'odd2', outcome: 'ok', status: 201 })),
  ],
  ['O11 acknowledged acts are in the audit trail', 'it is not', (h) => h.facts.acts.clear()],
  [
    'O12 no answer but success, refusal, or not now',
    'a bug',
    (h) => h.calls.push(call({ kind: 'read', orderId: 'o1', outcome: 'unknown', status: 500 })),
  ],
];

test('each check has a planted violation', () => {
  expect(new Set(wrong.map(([name]) => name))).toEqual(new Set(Object.keys(CHECKS)));
});

test('what is right holds, and each check has rows to look at', () => {
  const held = holdOperations(right() as History);
  expect(held.flatMap(({ violations }) => violations)).toEqual([]);
  expect(held.filter(({ checked }) => checked === 0)).toEqual([]);
});

test.each(wrong)('%s: %s', (name, _, spoil) => {
  const history = right();
  spoil(history);
  const found = holdOperations(history as History).find(({ invariant }) => invariant === name);
  expect(found?.violations.length).toBeGreaterThan(0);
});
