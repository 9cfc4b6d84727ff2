/** Many at once, by the CLI: the service carries them out, and the command follows; without a service it says so, and does nothing. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import { auditKeys } from '../../domain/audit/signatures.js';
import { startOperations } from '../../workers/operations/runner.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

/** More than the CLI decides on by itself. */
const MANY = 21;
const LIMIT_MS = 180_000;
const policy = { ...PATIENT, stepRetryBudgetMs: 2_500, compensationAttentionAfterMs: 1_200 };

let s: SagaStack;
let ops: Cli;
let stopRunner: (() => Promise<void>) | undefined;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'PLENTY', 10_000);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(async () => {
  await stopRunner?.();
  await s.stop();
});

const stuckCount = async () =>
  (await s.client.workflow.count('SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"')).count;
async function park(count: number) {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const few = pLimit(8);
  await Promise.all(Array.from({ length: count }, () => few(() => s.place({ PLENTY: 1 }, { policy }))));
  await eventually('all are parked', async () => (await stuckCount()) >= count, 60_000);
}
const retry = ['retry', '--all', '--step', 'chargePayment', '--rate', '50', '--yes'];

test(
  'where no process carries operations out the command says so, names the way around, and has done nothing',
  async () => {
    await park(MANY);
    const { code, document } = await ops.json(...retry);
    expect(code).toBe(69);
    expect(document.error.message).toContain('No process of the service carries operations out');
    expect(document.error.message).toContain('--direct');
    expect(await stuckCount()).toBe(MANY);
    expect(await s.db.operation.count()).toBe(0);
  },
  LIMIT_MS,
);

test(
  'a canary that fails leaves the operation paused; when the cause is mended it is resumed, followed, and everything is done',
  async () => {
    stopRunner = startOperations({
      ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default', policy, logger: SILENT },
    });
    await eventually('the runner has its lease', async () => (await s.db.workLease.count()) > 0);
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const early = await ops.json(...retry, '--canary', '2');
    expect(early.code).toBe(1);
    expect(early.document).toMatchObject({
      ...{
        action: 'retry',
        operator: 'op-test',
        state: 'paused',
        pause: { by: null, because: 'the canary has failed' },
      },
      summary: { done: 0, failed: 1, 'not-tried': MANY - 1 },
    });
    expect(early.document.items[0]).toMatchObject({ outcome: 'failed', workflowId: expect.stringMatching(/^order-/) });
    expect(early.stderr).toContain('Stopped: the canary has failed');
    const { operation } = early.document;
    const listed = await ops.json('operations');
    expect(listed.document.operations).toMatchObject([{ id: operation, state: 'paused', total: MANY }]);

    await s.heal();
    const unsigned = await ops('operations', 'resume', operation, '--yes');
    expect(unsigned.code).toBe(2);
    expect((await ops('operations', 'resume', operation, '--reason', 'ticket 1', '--yes')).code).toBe(0);
    const followed = await ops('operations', 'follow', operation);
    expect(followed.stdout.trimEnd().split('\n').at(-1)).toBe(`${MANY - 1} done, 1 failed`);
    expect((await ops('operations', 'abort', operation, '--reason', 'ticket 1', '--yes')).code).toBe(1);

    // The one whose first retry failed: it is retried from here, unless a try of its own was faster.
    const rest = await ops.json('retry', '--all', '--yes');
    expect([0, 3]).toContain(rest.code);
    const shown = await ops('operations', 'show', operation, '--items', 'failed');
    expect(shown.stdout).toContain('chargePayment');
    expect((await ops('operations', 'show', '01a1fc4b-2622-70f0-8b6b-725674f9c1d0')).code).toBe(3);
  },
  LIMIT_MS,
);
