/**
 * With FULL=1: every alarm is seen once in a real Prometheus. A fault is made, the alarm fires, the fault ends, the alarm clears.
 * The times in the rules are shortened by one factor. ALARMS_TABLE names a file for what was seen (docs/alarms.md has one).
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { PrometheusPrograms } from '../../../testbed/prometheus.js';
import { readRules } from '../../deploy/alarms/promtool.js';
import { eventually } from '../../support/conditions.js';
import { describeWithPrometheus } from '../../support/prometheus.js';
import * as neighbours from './neighbour-faults.js';
import * as orders from './order-faults.js';
import { createRecorder, type Fault } from './recorder.js';
import { openStage, type Stage } from './stage.js';

const LIMIT_MS = 20 * 60_000;
/** The first one's slow burn lasts the longest, so that it is over at the end; lasting ones stand behind. */
const FAULTS: ((stage: Stage) => Fault)[] = [
  neighbours.readOnlyDatabase,
  neighbours.frozenPostgres,
  neighbours.slowPostgres,
  neighbours.lateEventLoop,
  neighbours.frozenWorker,
  neighbours.frozenRelay,
  neighbours.frozenTemporal,
  neighbours.frozenGateway,
  neighbours.unknownWorkflow,
  orders.cancelledOrders,
  orders.dislikedEvent,
  neighbours.thrownError,
  neighbours.fullDisk,
  orders.heldFeed,
  orders.engagedBrake,
  orders.pausedOperation,
  orders.changedAudit,
  orders.spoiltOrder,
  orders.refundByHand,
  orders.refundSentBack,
  orders.lostReceiver,
  orders.lockedAudit,
];

if (process.env['FULL'] === '1') describeWithPrometheus('every alarm', inAPrometheus);
else test.skip('every alarm is seen (FULL=1)', () => undefined);

function inAPrometheus(programs: PrometheusPrograms): void {
  let stage: Stage;
  let recorder: ReturnType<typeof createRecorder>;
  beforeAll(async () => {
    stage = await openStage(programs);
    recorder = createRecorder(stage.prometheus);
  }, 240_000);
  afterAll(async () => {
    const table = process.env['ALARMS_TABLE'];
    if (table && recorder) writeFileSync(table, recorder.table());
    await stage?.close();
  }, 60_000);

  test('Watchdog fires from the start on', async () => {
    await eventually('it fires', async () => (await stage.prometheus.firing()).includes('Watchdog'), 30_000);
  });

  for (const fault of FAULTS) test(fault.name, () => recorder.see(fault(stage)), LIMIT_MS);

  test(
    'the slow burn of the first fault is over, and was seen',
    async () => {
      const now = 'ALERTS{alertname="ErrorBudgetBurnsSlowly",alertstate="firing",slo="post-availability"}';
      expect((await stage.prometheus.query(`max_over_time(${now}[1h])`)).length).toBe(1);
      await eventually('it is over', async () => (await stage.prometheus.query(now)).length === 0, LIMIT_MS);
    },
    LIMIT_MS,
  );

  test('every alarm was seen', () => {
    const seen = recorder.seen().add('Watchdog').add('ErrorBudgetBurnsSlowly');
    seen.add('VerificationStalled'); // only after a quarter of an hour
    expect(
      readRules()
        .map(({ alert }) => alert)
        .filter((alert) => !seen.has(alert)),
    ).toEqual([]);
  });
}
