/** A worker that cannot be made, or that dies, does not take the API with it that runs in the same process. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../local/processes/ports.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { isServing, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

let around: Surroundings;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 100);
}, 60_000);
afterAll(() => around?.stop());

test('without its namespace it is created again until it polls, and orders are taken meanwhile', async () => {
  const [port, metrics] = [await freePort(), await freePort()];
  const { temporal, database, sandbox } = around;
  const api = `http://127.0.0.1:${port}`;
  const service = await around.start(
    {
      ROLE: 'all',
      PORT: `${port}`,
      METRICS_PORT: `${metrics}`,
      DATABASE_URL: database.url,
      PAYMENTS_URL: sandbox.url,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: 'not-there-yet',
    },
    () => isServing(api),
  );
  let exit: unknown;
  void service.exited.then((how) => {
    exit = how;
  });
  const readiness = async () =>
    (await (await fetch(`http://127.0.0.1:${metrics}/readyz`)).json()) as { ready: boolean; roles: { worker: object } };
  await eventually('the worker has been tried', async () => {
    const { roles } = await readiness();
    return JSON.stringify(roles.worker).includes('"polls":false');
  });
  expect((await orderOne(api, 'first', 'cus_1')).status).toBe(201);
  await temporal.client.workflowService.registerNamespace({
    namespace: 'not-there-yet',
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await eventually('it polls', async () => (await readiness()).ready, 60_000);
  expect((await orderOne(api, 'second', 'cus_1')).status).toBe(201);
  expect(exit).toBeUndefined();
}, 120_000);
