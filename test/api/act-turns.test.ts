/** Operators' acts wait for each other at the chain's lock; customers' requests do not wait with them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { ORDER, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => api.stop());

test('twenty acts that wait for the chain leave connections for orders', async () => {
  const other = new pg.Client({ connectionString: api.databaseUrl });
  await other.connect();
  await other.query(`SELECT pg_advisory_lock(hashtext('audit_acts'))`);
  let answered = 0;
  const put = async (n: number) => {
    const body = { name: 'Turn', unitPrice: 1, currency: 'USD', onHand: 1 };
    const { status } = await api.send('PUT', `/inventory/TURN-${n}`, body);
    answered++;
    return status;
  };
  const puts = Promise.all(Array.from({ length: 20 }, (_, n) => put(n)));
  const waiting = async () =>
    (await other.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount ?? 0;
  await eventually('acts wait for the chain', async () => (await waiting()) > 0);
  expect((await api.send('POST', '/orders', ORDER)).status).toBe(201);
  expect(answered).toBe(0);
  await other.end();
  expect(new Set(await puts)).toEqual(new Set([200]));
});
