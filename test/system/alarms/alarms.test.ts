/**
 * With FULL=1: every alarm is seen once in a real Prometheus. A fault is made, the alarm fires, the fault ends, the alarm clears.
 * The times in the rules are shortened by one factor. ALARMS_TABLE names a file for what was seen (docs/alarms.md has one).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { type Prometheus, type PrometheusPrograms, startPrometheus } from '../../../testbed/prometheus.js';
import { readRules } from '../../deploy/alarms/promtool.js';
import { cleanEnv, runCli } from '../../ops/cli.js';
import { eventually } from '../../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  isAlive,
  launch,
  newInstallation,
  type Running,
} from '../../support/launcher.js';
import { describeWithPrometheus } from '../../support/prometheus.js';
import { type Receiver, startReceiver } from '../../support/receiver.js';
import { createRecorder, type Fault } from './recorder.js';
import { shortenRules } from './shortened.js';

const LIMIT_MS = 20 * 60_000;

if (process.env['FULL'] === '1') describeWithPrometheus('every alarm', inAPrometheus);
else test.skip('every alarm is seen (FULL=1)', () => undefined);

function inAPrometheus(programs: PrometheusPrograms): void {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-alarms-live-'));
  let installation: Installation;
  let running: Running;
  let client: ApiClient;
  let receiver: Receiver;
  let prometheus: Prometheus;
  let disk: Server & { freeBytes: number };
  let recorder: ReturnType<typeof createRecorder>;
  beforeAll(async () => {
    receiver = await startReceiver();
    disk = await startDisk();
    installation = await newInstallation({
      LOCAL_PROCESSES: 'api,worker,relay',
      WEBHOOK_URL: receiver.url,
      WEBHOOK_SECRET: receiver.secret,
      WEBHOOK_ALLOW_PRIVATE: 'true',
      STEP_RETRY_BUDGET: '1s',
      DELIVERY_BACKOFF_MAX: '500ms',
      RECONCILE_EVERY: '2s',
      VERIFY_EVERY: '2s',
      REFUND_CHECK_EVERY: '3s',
      SANDBOX_REFUND_FAILS_AFTER: '1s',
      RATE_LIMIT_STRANGER: '100000',
    });
    running = await launch(installation);
    client = clientOf(installation);
    const targets = running.metricsPorts().map((port) => `127.0.0.1:${port}`);
    targets.push(`127.0.0.1:${(disk.address() as AddressInfo).port}`);
    prometheus = await startPrometheus(programs, { targets, rules: shortenRules(folder) });
    recorder = createRecorder(prometheus);
    await client.stock('PLENTY', 1_000_000);
    await client.stock('GONE', 0);
    await eventually('all are scraped', async () => (await prometheus.query('up == 1')).length === 4, 60_000);
    for (let i = 0; i < 5; i++) await client.final((await client.post({ PLENTY: 1 })).id, 60_000);
  }, 240_000);
  afterAll(async () => {
    const table = process.env['ALARMS_TABLE'];
    if (table && recorder) writeFileSync(table, recorder.table());
    await prometheus?.stop();
    await running?.stop();
    await receiver?.stop();
    disk?.close();
    await installation?.remove();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const see = (fault: () => Fault) => test(fault.name, () => recorder.see(fault()), LIMIT_MS);
  const frozen = (name: string): Pick<Fault, 'begin' | 'end'> => {
    let pids: number[] = [];
    const send = (signal: NodeJS.Signals) => {
      for (const pid of pids) if (isAlive(pid)) process.kill(pid, signal);
    };
    return {
      begin: async () => {
        pids = family(running.pid(name)); // now: a server's sessions come and go
        send('SIGSTOP');
      },
      end: async () => send('SIGCONT'),
    };
  };
  /** Now frozen, now not, for so long each. */
  const halting = (name: string, frozenMs: number, movingMs: number): Pick<Fault, 'begin' | 'end'> => {
    const { begin, end } = frozen(name);
    const beat = repeat(async () => {
      await begin();
      await pause(frozenMs);
      await end();
      await pause(movingMs);
    });
    return {
      begin: beat.begin,
      end: async () => {
        await beat.end();
        await end();
      },
    };
  };
  const posting = (many: number, items: Record<string, number> = { PLENTY: 1 }) => {
    const all = Array.from({ length: many }, () =>
      repeat(async () => {
        await client.post(items).catch(() => undefined);
        await pause(300);
      }),
    );
    return {
      begin: async () => void (await Promise.all(all.map((each) => each.begin()))),
      end: async () => void (await Promise.all(all.map((each) => each.end()))),
    };
  };
  const both = (...parts: Pick<Fault, 'begin' | 'end'>[]): Pick<Fault, 'begin' | 'end'> => ({
    begin: async () => {
      for (const part of parts) await part.begin();
    },
    end: async () => {
      for (const part of [...parts].reverse()) await part.end();
    },
  });
  const secrets = () =>
    JSON.parse(readFileSync(join(installation.dataDir, 'secrets.json'), 'utf8')) as { postgresSuperuser: string };
  const ownerUrl = () => readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim();
  const sql = async (statements: string[], url = ownerUrl()) => {
    const session = new pg.Client({ connectionString: url });
    await session.connect();
    try {
      for (const statement of statements) await session.query(statement);
    } finally {
      await session.end();
    }
  };
  const asSuperuser = (...statements: string[]) => {
    const url = new URL(ownerUrl());
    url.username = 'postgres';
    url.password = encodeURIComponent(secrets().postgresSuperuser);
    url.pathname = '/postgres';
    return sql(statements, url.href);
  };
  const ops = async (...args: string[]) => {
    const env = { ...cleanEnv(), ...installation.env, DATA_DIR: installation.dataDir, OPS_OPERATOR: 'op-test' };
    const { code, stdout, stderr } = await runCli(args, env);
    if (code !== 0) throw new Error(`ops ${args.join(' ')}: ${code}\n${stdout}${stderr}`);
    return stdout;
  };
  const gateway = async (path: string, body: Record<string, string>) => {
    const answer = await fetch(`${installation.sandbox}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_anything' },
      body: new URLSearchParams(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  };
  const closeFindings = async () => {
    const { rows } = await query<{ id: string }>(`SELECT id FROM reconciliation_findings WHERE action = 'reported'`);
    for (const { id } of rows)
      await ops('reconcile', '--close', id, '--as', 'cancelled', '--reason', 'done by hand', '--yes');
  };
  const query = async <T extends pg.QueryResultRow>(text: string, values: unknown[] = []) => {
    const session = new pg.Client({ connectionString: ownerUrl() });
    await session.connect();
    try {
      return await session.query<T>(text, values);
    } finally {
      await session.end();
    }
  };

  test('Watchdog fires from the start on', async () => {
    await eventually('it fires', async () => (await prometheus.firing()).includes('Watchdog'), 30_000);
  });

  see(function readOnlyDatabase() {
    const traffic = posting(3);
    const onOff = {
      begin: () => asSuperuser('ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()'),
      end: () =>
        asSuperuser(
          'SET default_transaction_read_only = off',
          'ALTER SYSTEM RESET default_transaction_read_only',
          'SELECT pg_reload_conf()',
        ),
    };
    const alarms = ['OrdersFail', 'ErrorBudgetBurnsFast{slo="post-availability"}'];
    return { what: 'the database takes no changes', alarms, ...both(traffic, onOff) };
  });

  see(function frozenPostgres() {
    const alarms = ['FactsUnknown{source="database"}', 'PoolExhausted'];
    return { what: 'Postgres is frozen, and 60 clients order', alarms, ...both(posting(60), frozen('Postgres')) };
  });

  see(function slowPostgres() {
    const alarms = ['OrdersSlow', 'PostLatencyHigh', 'ErrorBudgetBurnsFast{slo="post-latency"}'];
    return {
      what: 'Postgres halts for 1.5 s, time and again',
      alarms,
      ...both(posting(10), halting('Postgres', 1_500, 50)),
    };
  });

  see(function lateEventLoop() {
    return { what: 'the API halts for 0.8 s each second', alarms: ['EventLoopLate'], ...halting('api', 800, 200) };
  });

  see(function frozenWorker() {
    const order = { begin: async () => void (await client.post({ PLENTY: 1 })), end: async () => undefined };
    const alarms = ['NoWorker', 'InstanceDown', 'RoleMissing{missing="worker"}', 'NoPollers'];
    return { what: 'the only worker is frozen', alarms, ...both(frozen('worker'), order) };
  });

  see(function frozenRelay() {
    const alarms = ['NoRelay', 'RoleMissing{missing="relay"}', 'RelayLeasesLapsed'];
    return { what: 'the only relay is frozen', alarms, ...frozen('relay') };
  });

  see(function frozenTemporal() {
    const order = { begin: async () => void (await client.post({ PLENTY: 1 })), end: async () => undefined };
    const alarms = ['FactsUnknown{source="temporal"}', 'OrdersWithoutSaga'];
    return { what: 'Temporal is frozen, and an order comes', alarms, ...both(frozen('Temporal'), order) };
  });

  see(function frozenGateway() {
    const orders = {
      begin: async () => {
        for (let i = 0; i < 8; i++) await client.post({ PLENTY: 1 });
      },
      end: async () => undefined,
    };
    const alarms = [
      'PaymentCircuitOpen',
      'GatewayFails',
      'SagasNeedAttention',
      'ManySagasParked',
      'ErrorBudgetBurnsFast{slo="final-in-time"}',
    ];
    return { what: 'the gateway is silent, and eight orders come', alarms, ...both(frozen('sandbox'), orders) };
  });

  see(function unknownWorkflow() {
    let id = '';
    const temporal = async (act: (temporal: Client) => Promise<unknown>) => {
      const connection = await Connection.connect({ address: `127.0.0.1:${installation.env['TEMPORAL_PORT']}` });
      await act(new Client({ connection })).finally(() => connection.close());
    };
    return {
      what: 'a saga’s code is not in the worker’s release',
      alarms: ['WorkflowTasksFail'],
      begin: async () => {
        await client.fault({ mode: 'down' }); // a saga that is stuck can be replaced
        ({ id } = await client.post({ PLENTY: 1 }));
        const isParked = async () =>
          (await client.get<{ sagas: { orderId: string }[] }>('/admin/sagas')).sagas.some(
            (saga) => saga.orderId === id,
          );
        await eventually('it is parked', isParked, 60_000);
        await temporal(async ({ workflow }) => {
          const handle = workflow.getHandle(`order-${id}`);
          const { taskQueue } = await handle.describe();
          await handle.terminate('a test');
          await workflow.start('OfAnotherRelease', { workflowId: `order-${id}`, taskQueue, args: [] });
        });
        await client.heal();
      },
      end: async () => {
        await temporal(({ workflow }) => workflow.getHandle(`order-${id}`).terminate('a test'));
        await ops('retry', id, '--yes');
      },
    };
  });

  see(function cancelledOrders() {
    return { what: 'all orders are out of stock', alarms: ['CompensationRateHigh'], ...posting(4, { GONE: 1 }) };
  });

  see(function dislikedEvent() {
    return {
      what: 'the receiver answers 422 for an order’s event',
      alarms: ['DeadLetters'],
      begin: async () => {
        receiver.answer = () => 422;
        await client.post({ PLENTY: 1 });
      },
      end: async () => {
        receiver.answer = () => 204;
        await ops('dead-letters', 'replay', '--destination', 'webhook', '--yes', '--reason', 'mended');
      },
    };
  });

  see(function renamedTable() {
    return {
      what: 'a table that metrics read has another name for a while',
      alarms: ['UnexpectedErrors'],
      begin: () => sql(['ALTER TABLE relay_cursors RENAME TO relay_cursors_away']),
      end: () => sql(['ALTER TABLE relay_cursors_away RENAME TO relay_cursors']),
      raisedWithinMs: 60_000,
    };
  });

  see(function fullDisk() {
    const set = (freeBytes: number) => async () => {
      disk.freeBytes = freeBytes;
    };
    return {
      what: 'a disk is nearly full (figures of a stand-in for node_exporter)',
      alarms: ['DiskNearlyFull'],
      begin: set(5),
      end: set(50),
    };
  });

  see(function heldFeed() {
    const session = { client: undefined as pg.Client | undefined };
    return {
      what: 'a transaction stays open',
      alarms: ['FeedHeldBack'],
      begin: async () => {
        session.client = new pg.Client({ connectionString: ownerUrl() });
        await session.client.connect();
        await session.client.query('BEGIN');
        await session.client.query('SELECT pg_current_xact_id()');
      },
      end: async () => session.client?.end(),
    };
  });

  see(function changedAudit() {
    const price = (value: string) =>
      sql([
        'ALTER TABLE audit_acts DISABLE TRIGGER USER',
        `UPDATE audit_acts SET after = jsonb_set(after, '{unitPrice}', '${value}') WHERE id = (SELECT min(id) FROM audit_acts WHERE after ? 'unitPrice')`,
        'ALTER TABLE audit_acts ENABLE TRIGGER USER',
      ]);
    return {
      what: 'an entry of the audit trail is changed, and changed back',
      alarms: ['AuditChainBroken'],
      begin: () => price('1'),
      end: () => price('1000'),
    };
  });

  see(function spoiltOrder() {
    const total = (change: string) =>
      sql([
        'ALTER TABLE orders DISABLE TRIGGER USER',
        `UPDATE orders SET total_amount = total_amount ${change} WHERE id = (SELECT min(id::text)::uuid FROM orders WHERE status = 'CONFIRMED')`,
        'ALTER TABLE orders ENABLE TRIGGER USER',
      ]);
    return {
      what: 'an order’s total is changed behind the service’s back, and changed back',
      alarms: ['InvariantViolated'],
      begin: () => total('+ 1'),
      end: () => total('- 1'),
    };
  });

  see(function refundByHand() {
    return {
      what: 'a confirmed order is refunded at the gateway, by hand',
      alarms: ['ReconciliationReported'],
      begin: async () => {
        const { id } = await client.post({ PLENTY: 1 });
        await client.final(id, 60_000);
        const { rows } = await query<{ reference: string }>(
          `SELECT gateway_reference AS reference FROM payments WHERE order_id = $1`,
          [id],
        );
        await gateway('/v1/refunds', { payment_intent: rows[0]?.reference ?? '' });
      },
      end: closeFindings,
    };
  });

  see(function refundSentBack() {
    return {
      what: 'a refund fails after the gateway had accepted it',
      alarms: ['RefundFailed'],
      begin: async () => {
        const { id } = await client.post({ PLENTY: 1 }, 'pm_card_refundFail');
        await client.final(id, 60_000);
        await client.send('POST', `/orders/${id}/cancel`, { reason: 'changed my mind' });
      },
      end: () =>
        eventually(
          'it is given up',
          async () => {
            await closeFindings();
            const { rows } = await query(`SELECT 1 FROM reconciliation_findings WHERE kind = 'REFUND_FAILED'`);
            return rows.length === 0;
          },
          120_000,
        ),
    };
  });

  see(function lostReceiver() {
    return {
      what: 'the receiver answers 503, and 300 orders come',
      alarms: ['DestinationBehind', 'DestinationFarBehind', 'BacklogHigh'],
      begin: async () => {
        receiver.answer = () => 503;
        for (let i = 0; i < 300; i++) await client.post({ PLENTY: 1 });
      },
      end: async () => {
        receiver.answer = () => 204;
      },
    };
  });

  see(function lockedAudit() {
    const session = { client: undefined as pg.Client | undefined };
    return {
      what: 'a session locks the audit trail for five minutes',
      alarms: ['AuditUnchecked'],
      begin: async () => {
        session.client = new pg.Client({ connectionString: ownerUrl() });
        await session.client.connect();
        await session.client.query('BEGIN');
        await session.client.query('LOCK TABLE audit_acts IN ACCESS EXCLUSIVE MODE');
      },
      end: async () => session.client?.end(),
    };
  });

  test(
    'the slow burn of the first fault is over, and was seen',
    async () => {
      const slow =
        'max_over_time(ALERTS{alertname="ErrorBudgetBurnsSlowly",alertstate="firing",slo="post-availability"}[1h])';
      expect((await prometheus.query(slow)).length).toBe(1);
      const now = 'ALERTS{alertname="ErrorBudgetBurnsSlowly",alertstate="firing",slo="post-availability"}';
      await eventually('it is over', async () => (await prometheus.query(now)).length === 0, LIMIT_MS);
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

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Does it time and again, from begin to end. */
function repeat(act: () => Promise<void>) {
  let ended = false;
  let going = Promise.resolve();
  const go = async () => {
    while (!ended) await act();
  };
  return {
    begin: async () => {
      going = go();
    },
    end: async () => {
      ended = true;
      await going;
    },
  };
}

/** The process and all that it has begun. */
function family(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' });
  return [pid, ...stdout.split('\n').filter(Boolean).map(Number)];
}

/** What node_exporter would say of a disk. */
async function startDisk(): Promise<Server & { freeBytes: number }> {
  const server = Object.assign(
    createServer((_, response) => {
      const labels = '{mountpoint="/data",fstype="ext4"}';
      response.setHeader('content-type', 'text/plain; version=0.0.4');
      response.end(
        `node_filesystem_avail_bytes${labels} ${server.freeBytes}\nnode_filesystem_size_bytes${labels} 100\n`,
      );
    }),
    { freeBytes: 50 },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
