import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';

let api: TestApi;
let path: string;
let id: string;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
  id = (await api.place()).body.id;
  path = `/orders/${id}`;
});
afterAll(() => api.stop());

const tagOf = async () => String((await api.get(path)).headers.get('etag'));
const askKnowing = (known: string, at = path) => api.get(at, { 'if-none-match': known });

describe('an order’s ETag', () => {
  test('is strong, and the same as long as the order is', async () => {
    const tag = await tagOf();
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    expect(await tagOf()).toBe(tag);
    const other = (await api.place()).body.id;
    expect((await api.get(`/orders/${other}`)).headers.get('etag')).not.toBe(tag);
  });

  test('spares the client that knows it the body', async () => {
    const tag = await tagOf();
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const answer = await askKnowing(known);
      expect([known, answer.status, answer.text, answer.headers.get('etag')]).toEqual([known, 304, '', tag]);
      expect(answer.headers.get('cache-control')).toBe('private, no-cache');
    }
  });

  test.each(['', '"other"', '"', 'x', ',,,', 'W/"other"', 'W/', '"*"'])('is not %p', async (known) => {
    expect((await askKnowing(known)).status).toBe(200);
  });

  test('changes with the order', async () => {
    const before = await tagOf();
    await beginUnwinding(api.db, id, { reason: 'OPERATOR' });
    await cancelOrder(api.db, id);
    const answer = await askKnowing(before);
    expect(answer).toMatchObject({ status: 200, body: { status: 'CANCELLED' } });
    expect(answer.headers.get('etag')).not.toBe(before);
  });

  test('does not answer 304 for an order that is not there', async () => {
    expectProblem(await askKnowing('*', `/orders/${id.replace(/^./, 'f')}`), 404, 'not-found');
  });
});
