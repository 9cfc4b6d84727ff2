/**
 * What a real Prometheus makes of the service: every panel has data, and an alarm is raised, and clears, when what it stands for
 * happens, here the frozen worker; all the others are seen with FULL=1 (alarms/).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Prometheus, startPrometheus } from '../../testbed/prometheus.js';
import { panels } from '../deploy/dashboards.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';
import { describeWithPrometheus } from '../support/prometheus.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { withoutKeeping } from './alarms/shortened.js';

/** What a worker's silence may take to be known. */
const NOTICED_WITHIN_MS = 60_000;

describeWithPrometheus('a real Prometheus', (programs) => {
  let installation: Installation;
  let running: Running;
  let client: ApiClient;
  let receiver: Receiver;
  let prometheus: Prometheus;
  let folder: string;
  beforeAll(async () => {
    receiver = await startReceiver();
    folder = await mkdtemp(join(tmpdir(), 'order-saga-rules-'));
    installation = await newInstallation({
      LOCAL_PROCESSES: 'api,worker,relay',
      WEBHOOK_URL: receiver.url,
      WEBHOOK_SECRET: receiver.secret,
      WEBHOOK_ALLOW_PRIVATE: 'true',
      STEP_RETRY_BUDGET: '1s',
      DELIVERY_BACKOFF_MAX: '500ms',
    });
    running = await launch(installation);
    client = clientOf(installation);
    const targets = running.metricsPorts().map((port) => `127.0.0.1:${port}`);
    prometheus = await startPrometheus(programs, { targets, rules: withoutKeeping(folder) });
    await client.stock('PLENTY', 1_000_000);
    await client.stock('GONE', 0);
    await eventually('all are scraped', async () => (await prometheus.query('up == 1')).length === 3, 60_000);
  }, 180_000);
  afterAll(async () => {
    await prometheus?.stop();
    await running?.stop();
    await receiver?.stop();
    await installation?.remove();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  const orders = async () => {
    const posted = await Promise.all([
      client.post({ PLENTY: 1 }),
      client.post({ PLENTY: 1 }, 'pm_card_chargeDeclined'),
      client.post({ GONE: 1 }),
    ]);
    for (const { id } of posted) await client.final(id);
    await client.list('CONFIRMED', 1);
  };
  /** Of all three processes together. */
  const scrapes = async () => (await prometheus.query('sum(count_over_time(up[10m]))'))[0]?.value ?? 0;
  const isFiring = (alarm: string) => async () => (await prometheus.firing()).includes(alarm);
  const isCalm = (alarms: string[]) => async () => {
    const now = await prometheus.firing();
    return alarms.every((alarm) => !now.includes(alarm));
  };

  test('every panel of every dashboard has data', async () => {
    const inTime = 'order_saga:slo_errors:ratio_rate5m{slo="final-in-time"}';
    await eventually(
      'orders of half a minute ago are counted',
      async () => {
        await orders(); // a rate is one between two scrapes: what is placed in between shows nothing more
        const before = await scrapes();
        await eventually('they are scraped', async () => (await scrapes()) >= before + 3);
        return !Number.isNaN((await prometheus.query(inTime))[0]?.value ?? Number.NaN);
      },
      120_000,
    );
    const asked = panels().flatMap(({ dashboard, title, exprs }) => exprs.map((expr) => ({ dashboard, title, expr })));
    const own = asked.filter(({ expr }) => !expr.includes('node_filesystem_')); // node_exporter's: not part of the service
    await eventually(
      'all have data',
      async () => {
        const answers = await Promise.all(own.map(({ expr }) => prometheus.query(expr)));
        const without = own.filter((_, i) => !answers[i]?.some(({ value }) => !Number.isNaN(value)));
        if (without.length > 0) throw new Error(JSON.stringify(without, null, 1));
        return true;
      },
      60_000,
    );
  }, 200_000);

  test('nothing is said against a service that is well', async () => {
    await eventually('only the watchdog fires', async () => {
      const firing = (await prometheus.firing()).filter((alarm) => alarm !== 'Watchdog');
      // Two of three orders of this test are refused, on purpose.
      const wrong = firing.filter((alarm) => alarm !== 'CompensationRateHigh');
      if (wrong.length > 0) throw new Error(wrong.join());
      return (await prometheus.firing()).includes('Watchdog');
    });
  });

  test('a frozen worker is an alarm within a minute, and none any more once it moves again', async () => {
    const worker = running.pid('worker');
    process.kill(worker, 'SIGSTOP');
    let id: string;
    const from = performance.now();
    try {
      ({ id } = await client.post({ PLENTY: 1 }));
      await eventually('NoWorker is raised', isFiring('NoWorker'), NOTICED_WITHIN_MS);
      expect(performance.now() - from).toBeLessThan(NOTICED_WITHIN_MS);
      await eventually('InstanceDown is raised', isFiring('InstanceDown'), 2 * NOTICED_WITHIN_MS);
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    expect((await client.final(id, 60_000)).status).toBe('CONFIRMED');
    await eventually('they clear', isCalm(['NoWorker', 'InstanceDown', 'NoPollers', 'RoleMissing']), 120_000);
  }, 300_000);
});
