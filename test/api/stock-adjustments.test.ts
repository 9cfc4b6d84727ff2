/** Adjusting stock over HTTP, as `ops stock adjust` does: once per key, never below what orders hold, on record. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAuditor } from '../../api/access/audit-recorder.js';
import { adjustmentOfStock } from '../../domain/audit/changes.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { reserveInventory } from '../../domain/inventory.js';
import { expectProblem, SILENT, startServer, startTestApi, type TestApi } from '../support/api.js';
import { accept, assertStockConserved, stock } from '../support/database.js';

let api: TestApi;
let sku: string;
let made = 0;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());
beforeEach(async () => {
  sku = `ADJUSTED-${made++}`;
  await stock(api.db, sku, 10);
});

const REASON = 'counted anew, ticket 12';
const adjust = (by: unknown, key?: string, changed: object = {}) =>
  api.send(
    'POST',
    `/inventory/${sku}/adjust`,
    { by, reason: REASON, ...changed },
    key ? { 'idempotency-key': key } : {},
  );
const read = async () => (await api.get(`/inventory/${sku}`)).body;
const acts = () => api.db.auditAct.findMany({ where: { resource: sku }, orderBy: { id: 'asc' } });

test('adds and removes available pieces, and each adjustment is on record with its reason and what stood before', async () => {
  expect(await adjust(5)).toMatchObject({ status: 200, body: { sku, onHand: 15, available: 15 } });
  expect(await adjust(-12)).toMatchObject({ status: 200, body: { onHand: 3, available: 3 } });
  expect(await acts()).toMatchObject([
    { route: 'POST /inventory/:sku/adjust', reason: REASON, before: { onHand: 10 }, after: { onHand: 15, by: 5 } },
    { reason: REASON, before: { onHand: 15 }, after: { onHand: 3, by: -12 } },
  ]);
  await assertStockConserved(api.db);
});

test('never takes what orders hold, and says how many are available', async () => {
  const order = await accept(api.db, { [sku]: 4 });
  await reserveInventory(api.db, order.id);
  const answer = await adjust(-7);
  expectProblem(answer, 409, 'not-available', ['/by']);
  expect(answer.body).toMatchObject({
    detail: `Nothing was changed: only 6 of ${sku} are available (4 reserved, 0 sold).`,
  });
  expect(await read()).toMatchObject({ onHand: 10, available: 6, reserved: 4 });
  expect(await adjust(-6)).toMatchObject({ status: 200, body: { onHand: 4, available: 0, reserved: 4 } });
  expect(await acts()).toHaveLength(1);
});

describe('with an Idempotency-Key', () => {
  test('is done once however often it is sent, also by ten at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => adjust(3, 'ten-at-once')));
    expect(answers.map(({ status }) => status).filter((status) => status !== 200 && status !== 409)).toEqual([]);
    expect(await adjust(3, 'ten-at-once')).toMatchObject({ status: 200, body: { onHand: 13 } });
    expect(await read()).toMatchObject({ onHand: 13 });
    expect(await acts()).toHaveLength(1);
  });

  test('of one whose answer was lost with its process, the repetition adds nothing and gives the first answer', async () => {
    // The process dies between its commit and its answer: its last statement on the key's row is the commit's own.
    const lost = await startServer(api, {
      keyLock: { lockMs: 1, extendEveryMs: 60_000 },
      auditor: {
        ...createAuditor({ db: api.db, keys: auditKeys([]), logger: SILENT, namesSource: false }),
        act: async (request, change) => {
          await createAuditor({ db: api.db, keys: auditKeys([]), logger: SILENT, namesSource: false }).act(
            request,
            change,
          );
          throw new Error('the process is gone');
        },
      },
    });
    try {
      const first = await lost.client.send(
        'POST',
        `/inventory/${sku}/adjust`,
        { by: 2, reason: REASON },
        {
          'idempotency-key': 'lost',
        },
      );
      expect(first.status).toBe(500);
    } finally {
      await lost.stop();
    }
    expect(await adjust(2, 'lost')).toMatchObject({ status: 200, body: { onHand: 12 } });
    expect(await read()).toMatchObject({ onHand: 12 });
    expect(await acts()).toHaveLength(1);
  });

  test('a refused one is judged anew when it is sent again', async () => {
    expectProblem(await adjust(-11, 'refused'), 409, 'not-available', ['/by']);
    await adjust(1);
    expect(await adjust(-11, 'refused')).toMatchObject({ status: 200, body: { onHand: 0 } });
  });

  test('for another adjustment under the same key is refused', async () => {
    await adjust(1, 'one-key');
    expectProblem(await adjust(2, 'one-key'), 422, 'idempotency-key-reused');
    expect(await read()).toMatchObject({ onHand: 11 });
  });
});

test('an unknown SKU is 404, and one that is full takes no more', async () => {
  expectProblem(await api.send('POST', '/inventory/NONE/adjust', { by: 1, reason: REASON }), 404, 'not-found');
  await api.db.$transaction((tx) => adjustmentOfStock(sku, { by: 1_000_000_000_000 - 10, reason: REASON }).change(tx));
  expectProblem(await adjust(1), 409, 'too-many-pieces', ['/by']);
});

test.each<[string, unknown, object, string]>([
  ['nothing', 0, {}, '/by'],
  ['half a piece', 0.5, {}, '/by'],
  ['a text', '7', {}, '/by'],
  ['more than a billion', 1_000_000_001, {}, '/by'],
  ['no reason', 1, { reason: undefined }, '/reason'],
  ['an empty reason', 1, { reason: '' }, '/reason'],
  ['a person in the reason', 1, { reason: 'for jane@example.com' }, '/reason'],
  ['an unknown field', 1, { force: true }, '/force'],
])('%s is refused, and names its field', async (_what, by, changed, pointer) => {
  expectProblem(await adjust(by, undefined, changed), 400, 'invalid-request', [pointer]);
  expect(await read()).toMatchObject({ onHand: 10 });
});
