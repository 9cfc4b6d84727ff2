/** Texts that people write are kept for ever and printed on terminals: what would steer those is refused, and the field named. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TEXT } from '../../contracts/texts.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';

let api: TestApi;
let orderId: string;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
  orderId = (await accept(api.db, { KEYBOARD: 1 })).id;
});
afterAll(() => api.stop());

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const REFUSED: [string, number[]][] = [
  ['a C0 control character', [...range(0x00, 0x1f), 0x7f]],
  ['a C1 control character', range(0x80, 0x9f)],
  [
    'a character that turns the direction',
    [0x061c, 0x200e, 0x200f, ...range(0x202a, 0x202e), ...range(0x2066, 0x2069)],
  ],
  ['a line or paragraph separator', [0x2028, 0x2029]],
  [
    'a character that is not seen',
    [0xad, 0x115f, 0x1160, 0x180e, 0x200b, ...range(0x2060, 0x206f), 0x3164, 0xfeff, 0xffa0, ...range(0xfff9, 0xfffb)],
  ],
  ['half a character', [0xd800, 0xdbff, 0xdc00, 0xdfff]],
];

/** Route, body with the text, and the field that has it. */
const FIELDS: [string, () => [string, string], (text: string) => object, string][] = [
  [
    'a name',
    () => ['PUT', '/inventory/KEYBOARD'],
    (name) => ({ name, unitPrice: 100, currency: 'USD', onHand: 1_000 }),
    '/name',
  ],
  ['a cancellation’s reason', () => ['POST', `/orders/${orderId}/cancel`], (reason) => ({ reason }), '/reason'],
  [
    'a decision’s reason',
    () => ['POST', `/admin/sagas/${orderId}/resolve`],
    (reason) => ({ action: 'retry', operator: 'op_1', reason }),
    '/reason',
  ],
];

describe.each(FIELDS)('in %s', (_, route, bodyWith, field) => {
  test.each(REFUSED)('%s is refused, and the field named', async (_kind, codes) => {
    for (const code of codes) {
      const answer = await api.send(...route(), bodyWith(`a${String.fromCharCode(code)}b`));
      const problem = expectProblem(answer, 400, 'invalid-request');
      expect(JSON.stringify(problem)).toContain(field);
    }
  });
});

test('words and emoji of any script are texts', async () => {
  for (const text of ['Größe – 12″', 'می‌خواهم', 'क्‍ष', '👩‍👩‍👧‍👦', 'שלום', '日本語', 'naïve', '𝒳']) {
    expect(text).toMatch(TEXT);
    const body = { name: text, unitPrice: 100, currency: 'USD', onHand: 1_000 };
    expect((await api.send('PUT', '/inventory/KEYBOARD', body)).status).toBe(200);
  }
});
