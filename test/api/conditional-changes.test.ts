/** If-Match and If-None-Match on PUT /inventory/{sku}: an operator changes what he has read, or nothing. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { putSku, reserveInventory } from '../../domain/inventory.js';
import { openDatabase } from '../../runtime/database.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

const ENTRY = { name: 'Keyboard', unitPrice: 4_900, currency: 'USD', onHand: 50 };
const put = (sku: string, changed: object, condition: Record<string, string> = {}) =>
  api.send('PUT', `/inventory/${sku}`, { ...ENTRY, ...changed }, condition);
const tagOf = async (sku: string) => String((await api.get(`/inventory/${sku}`)).headers.get('etag'));
const priceOf = async (sku: string) => (await api.get<{ unitPrice: number }>(`/inventory/${sku}`)).body.unitPrice;
const expectFailed = (answer: Awaited<ReturnType<typeof put>>) => expectProblem(answer, 412, 'precondition-failed');

describe('a SKU’s ETag', () => {
  test('is strong, spares its knower the body, and changes with the price and with the stock', async () => {
    await put('TAGGED', {});
    const first = await tagOf('TAGGED');
    expect(first).toMatch(/^"[\w-]{27}"$/);
    expect((await api.get('/inventory/TAGGED', { 'if-none-match': `W/${first}` })).status).toBe(304);
    await put('TAGGED', { unitPrice: 5_000 });
    const second = await tagOf('TAGGED');
    await reserveInventory(api.db, (await accept(api.db, { TAGGED: 1 })).id);
    expect(new Set([first, second, await tagOf('TAGGED')]).size).toBe(3);
  });
});

describe('If-Match', () => {
  test('lets what was read be changed, once', async () => {
    await put('ONCE', {});
    const tag = await tagOf('ONCE');
    expect((await put('ONCE', { unitPrice: 1 }, { 'if-match': `"other", ${tag}` })).body).toMatchObject({
      unitPrice: 1,
    });
    expectFailed(await put('ONCE', { unitPrice: 2 }, { 'if-match': tag }));
    expect(await priceOf('ONCE')).toBe(1);
  });

  test('is compared strongly: a weakened tag, an empty one, and one without quotes match nothing', async () => {
    await put('STRONG', {});
    const tag = await tagOf('STRONG');
    for (const wrong of [`W/${tag}`, tag.replaceAll('"', ''), '""', '"', 'x', '"*"', ','])
      expectFailed(await put('STRONG', { unitPrice: 1 }, { 'if-match': wrong }));
    expect(await priceOf('STRONG')).toBe(ENTRY.unitPrice);
  });

  test('* changes what is there, and creates nothing', async () => {
    expectFailed(await put('NOT-THERE', {}, { 'if-match': '*' }));
    expectFailed(await put('NOT-THERE', {}, { 'if-match': '"any"' }));
    expectProblem(await api.get('/inventory/NOT-THERE'), 404, 'not-found');
    await put('THERE', {});
    expect((await put('THERE', { unitPrice: 1 }, { 'if-match': '*' })).status).toBe(200);
  });

  test('does not hide that the stock is committed', async () => {
    await put('COMMITTED', {});
    await reserveInventory(api.db, (await accept(api.db, { COMMITTED: 5 })).id);
    for (const condition of ['*', await tagOf('COMMITTED')])
      expectProblem(await put('COMMITTED', { onHand: 4 }, { 'if-match': condition }), 409, 'stock-committed');
  });

  test('of twenty operators with the same tag lets one change it', async () => {
    await put('RACED', {});
    const tag = await tagOf('RACED');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => put('RACED', { unitPrice: i + 1 }, { 'if-match': tag })),
    );
    const winners = answers.filter(({ status }) => status === 200);
    expect(winners).toHaveLength(1);
    for (const loser of answers.filter(({ status }) => status !== 200)) expectFailed(loser);
    expect(winners[0]?.body).toMatchObject({ unitPrice: await priceOf('RACED') });
  });

  test('sees a change that commits between the look and the update', async () => {
    await put('BETWEEN', {});
    const tag = await tagOf('BETWEEN');
    const other = openDatabase(api.databaseUrl, 1);
    let late: ReturnType<typeof put> | undefined;
    await other.$transaction(
      async (tx) => {
        await putSku(tx, 'BETWEEN', { ...ENTRY, unitPrice: 7 });
        late = put('BETWEEN', { unitPrice: 8 }, { 'if-match': tag });
        await eventually('the change waits for the other one', async () => {
          const [waiting] = await api.db.$queryRaw<{ n: number }[]>`
            SELECT count(*)::int AS n FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'inventory.*FOR UPDATE|UPDATE inventory'`;
          return waiting?.n === 1;
        });
      },
      { timeout: 30_000 },
    );
    await other.$disconnect();
    if (!late) throw new Error('the change was not sent');
    expectFailed(await late);
    expect(await priceOf('BETWEEN')).toBe(7);
  });
});

describe('If-None-Match', () => {
  test('* creates, and changes nothing that is there', async () => {
    expect((await put('NEW', {}, { 'if-none-match': '*' })).status).toBe(200);
    expectFailed(await put('NEW', { unitPrice: 1 }, { 'if-none-match': '*' }));
    expect(await priceOf('NEW')).toBe(ENTRY.unitPrice);
  });

  test('* of ten at once lets one create', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => put('NEWEST', {}, { 'if-none-match': '*' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 412)]);
  });

  test('with If-Match needs both to hold', async () => {
    await put('BOTH', {});
    const tag = await tagOf('BOTH');
    expectFailed(await put('BOTH', { unitPrice: 1 }, { 'if-match': tag, 'if-none-match': '*' }));
    expectFailed(await put('BOTH', { unitPrice: 1 }, { 'if-none-match': `W/${tag}` }));
    expect((await put('BOTH', { unitPrice: 1 }, { 'if-match': tag, 'if-none-match': '"other"' })).status).toBe(200);
  });
});
