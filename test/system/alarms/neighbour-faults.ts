/** Faults of what our processes need, and of the processes themselves. */
import { Client, Connection } from '@temporalio/client';
import { eventually } from '../../support/conditions.js';
import type { Fault } from './recorder.js';
import { both, halting, once, type Stage } from './stage.js';

export function readOnlyDatabase({ posting, asSuperuser }: Stage): Fault {
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
  return { what: 'the database takes no changes', alarms, ...both(posting(3), onOff) };
}

export function frozenPostgres({ posting, frozen }: Stage): Fault {
  const alarms = ['FactsUnknown{source="database"}', 'PoolExhausted'];
  return { what: 'Postgres is frozen, and 60 clients order', alarms, ...both(posting(60), frozen('Postgres')) };
}

export function slowPostgres({ posting, frozen }: Stage): Fault {
  const alarms = ['OrdersSlow', 'PostLatencyHigh', 'ErrorBudgetBurnsFast{slo="post-latency"}'];
  const what = 'Postgres halts for 1.5 s, time and again';
  return { what, alarms, ...both(posting(10), halting(frozen('Postgres'), 1_500, 50)) };
}

export function lateEventLoop({ frozen }: Stage): Fault {
  const what = 'the API halts for 0.8 s each second';
  return { what, alarms: ['EventLoopLate'], ...halting(frozen('api'), 800, 200) };
}

export function frozenWorker({ client, frozen }: Stage): Fault {
  const order = once(() => client.post({ PLENTY: 1 }));
  const alarms = ['NoWorker', 'InstanceDown', 'RoleMissing{missing="worker"}', 'NoPollers'];
  return { what: 'the only worker is frozen', alarms, ...both(frozen('worker'), order) };
}

export function frozenRelay({ frozen }: Stage): Fault {
  const alarms = ['NoRelay', 'RoleMissing{missing="relay"}', 'RelayLeasesLapsed'];
  return { what: 'the only relay is frozen', alarms, ...frozen('relay') };
}

export function frozenTemporal({ client, frozen }: Stage): Fault {
  const order = once(() => client.post({ PLENTY: 1 }));
  const alarms = ['FactsUnknown{source="temporal"}', 'OrdersWithoutSaga'];
  return { what: 'Temporal is frozen, and an order comes', alarms, ...both(frozen('Temporal'), order) };
}

export function frozenGateway({ client, frozen }: Stage): Fault {
  const orders = once(async () => {
    for (let i = 0; i < 8; i++) await client.post({ PLENTY: 1 });
  });
  const alarms = [
    'PaymentCircuitOpen',
    'GatewayFails',
    'SagasNeedAttention',
    'ManySagasParked',
    'ErrorBudgetBurnsFast{slo="final-in-time"}',
  ];
  return { what: 'the gateway is silent, and eight orders come', alarms, ...both(frozen('sandbox'), orders) };
}

export function unknownWorkflow({ client, installation, ops }: Stage): Fault {
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
        (await client.get<{ sagas: { orderId: string }[] }>('/admin/sagas')).sagas.some((saga) => saga.orderId === id);
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
}

export function thrownError({ running }: Stage): Fault {
  return {
    what: 'a listener in the worker throws, each second',
    alarms: ['UnexpectedErrors{place="exception"}'],
    // Below "the process has this bug": stage.ts.
    ...throwing(() => process.kill(running.pid('worker'), 'SIGUSR2')),
  };
}

function throwing(act: () => void) {
  let timer: NodeJS.Timeout | undefined;
  return {
    begin: async () => {
      act();
      timer = setInterval(act, 1_000);
    },
    end: async () => clearInterval(timer),
  };
}

export function fullDisk({ disk }: Stage): Fault {
  const set = (freeBytes: number) => async () => {
    disk.freeBytes = freeBytes;
  };
  const what = 'a disk is nearly full (figures of a stand-in for node_exporter)';
  return { what, alarms: ['DiskNearlyFull'], begin: set(5), end: set(50) };
}
