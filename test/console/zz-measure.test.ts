import { expect, test } from '@jest/globals';
import { STUCK_QUERY } from '../../contracts/saga.js';
import { joinStuckSagas, listWaitingOrders } from '../../domain/stuck-sagas.js';
import { startTestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase } from '../support/database.js';
import { parkSagas } from '../support/parked.js';
import { startTemporal } from '../support/saga.js';

test('measure', async () => {
  const [env, database] = await Promise.all([startTemporal(), createTestDatabase()]);
  const t0 = performance.now();
  await parkSagas({ db: database.db, client: env.client }, 10_000, [
    { step: 'chargePayment', failure: 'GatewayUnknown' },
  ]);
  console.log('parked in', performance.now() - t0);
  await eventually('visible', async () => (await env.client.workflow.count(STUCK_QUERY)).count >= 10_000, {
    timeoutMs: 60_000,
  } as never);
  const temporal = {
    connected: new Promise<never>(() => undefined),
    client: () => env.client,
    namespace: 'default',
    close: async () => undefined,
  };
  const api = await startTestApi({ db: database.db, databaseUrl: database.url, temporal });
  for (const limit of [100, 100, 1000, 1000]) {
    const t = performance.now();
    const { status, body, text } = await api.get<{ sagas: unknown[]; groups: unknown[]; next: string }>(
      `/admin/sagas?limit=${limit}`,
    );
    console.log(limit, status, status === 200 ? '' : text, performance.now() - t);
    if (status !== 200) continue;
    console.log(limit, status, body.sagas.length, text.length, JSON.stringify(body.groups), performance.now() - t);
  }
  for (let i = 0; i < 3; i++) {
    const t = performance.now();
    await listWaitingOrders(database.db, { sagaDeadlineMs: 3_600_000, compensationAttentionAfterMs: 60_000 }, 1_000);
    console.log('waiting', performance.now() - t);
  }
  const t = performance.now();
  let n = 0;
  for await (const _ of env.client.workflow.list({ query: STUCK_QUERY })) n++;
  console.log('list', n, performance.now() - t);
  const found = await database.db.order.findMany({ select: { id: true } });
  for (let i = 0; i < 3; i++) {
    const t = performance.now();
    const r = await joinStuckSagas(
      database.db,
      found.map(({ id }) => ({
        orderId: id,
        workflowId: `order-${id}`,
        runId: 'x',
        state: null,
        step: null,
        failure: null,
        startedAt: new Date(),
      })),
    );
    console.log('join', r.length, performance.now() - t);
  }
  await api.stop();
  await env.teardown();
  await database.drop();
  expect(1).toBe(1);
}, 900_000);
