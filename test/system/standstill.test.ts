/** A worker that is frozen reports nothing. All other processes go on, and report it within a minute, wherever an operator looks. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

const SEEN_WITHIN_MS = 60_000;

let installation: Installation;
let running: Running;
let client: ApiClient;
let ports: number[];
beforeAll(async () => {
  installation = await newInstallation({ LOCAL_PROCESSES: 'api,worker,relay' });
  running = await launch(installation);
  client = clientOf(installation);
  ports = running.metricsPorts();
  await client.stock('PLENTY', 1_000);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 60_000);

const readiness = async (port: number | undefined) => {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(3_000) });
  return [answer.status, await answer.json()];
};
type Stuck = { sagas: { orderId: string; failure: string; gatewayReference: string | null }[] };

test('an idle installation is ready in each of its processes, and nothing is said against it', async () => {
  expect(await readiness(ports[0])).toEqual([200, { ready: true, roles: { api: { ready: true, database: 'up' } } }]);
  expect(await readiness(ports[1])).toEqual([
    200,
    { ready: true, roles: { worker: { ready: true, polls: true, temporal: 'up', database: 'up' } } },
  ]);
  expect(await readiness(ports[2])).toEqual([
    200,
    { ready: true, roles: { relay: { ready: true, database: 'up', leases: true } } },
  ]);
  expect(await client.get('/admin/sagas')).toMatchObject({ sagas: [], groups: [], more: false, next: null });
});

test('orders that a frozen worker leaves lying are listed by API, CLI and metrics, while orders are taken', async () => {
  const worker = running.pid('worker');
  process.kill(worker, 'SIGSTOP');
  let id: string;
  try {
    const from = performance.now();
    ({ id } = await client.post({ PLENTY: 1 }));
    const left = () => SEEN_WITHIN_MS - (performance.now() - from);
    await eventually(
      'the API lists it',
      async () =>
        (await client.get<Stuck>('/admin/sagas')).sagas.some((s) => s.orderId === id && s.failure === 'NO_POLLERS'),
      left(),
    );
    await eventually(
      'metrics show it',
      async () => {
        const text = await (await fetch(`http://127.0.0.1:${ports[2]}/metrics`)).text();
        return text.includes('order_saga_sagas_needing_attention{step="",failure="NO_POLLERS",role="relay"} 1');
      },
      left(),
    );
    const { stdout } = await promisify(execFile)(process.execPath, ['local/ops.mjs', 'stuck', '--output', 'json'], {
      env: installation.env,
    });
    expect((JSON.parse(stdout) as Stuck).sagas).toMatchObject([{ orderId: id, failure: 'NO_POLLERS' }]);
    expect(performance.now() - from).toBeLessThan(SEEN_WITHIN_MS + 10_000);
    expect((await fetch(`${installation.api}/readyz`)).status).toBe(200);
    for (const port of [ports[0], ports[2]]) expect((await readiness(port))[0]).toBe(200);
  } finally {
    process.kill(worker, 'SIGCONT');
  }
  expect((await client.final(id, 60_000)).status).toBe('CONFIRMED');
  expect((await client.get<Stuck>('/admin/sagas')).sagas).toEqual([]);
}, 150_000);
