/** What Temporal says of sagas: the newest run of each. */
import { Client, Connection } from '@temporalio/client';
import { SAGA_STATE } from '../../contracts/saga.js';
import type { LedgerSaga } from '../../verification/ledgers.js';

const AT_ONCE = 16;

export async function withTemporal<T>(address: string, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 10_000 });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

export const countRunning = (address: string): Promise<number> =>
  withTemporal(address, async (client) => (await client.workflow.count('ExecutionStatus="Running"')).count);

/** Those at work, as its list shows them. */
export const readRunning = (address: string): Promise<LedgerSaga[]> =>
  withTemporal(address, async (client) => {
    const running: LedgerSaga[] = [];
    for await (const { workflowId, typedSearchAttributes } of client.workflow.list({
      query: 'ExecutionStatus="Running"',
    }))
      running.push({
        workflowId,
        status: 'RUNNING',
        result: null,
        state: typedSearchAttributes.get(SAGA_STATE) ?? null,
      });
    return running;
  });

export const readSagas = (address: string): Promise<LedgerSaga[]> =>
  withTemporal(address, async (client) => {
    const listed: Omit<LedgerSaga, 'result'>[] = [];
    for await (const { workflowId, status, typedSearchAttributes } of client.workflow.list())
      listed.push({ workflowId, status: status.name, state: typedSearchAttributes.get(SAGA_STATE) ?? null });
    const sagas: LedgerSaga[] = [];
    for (let at = 0; at < listed.length; at += AT_ONCE) {
      const some = listed.slice(at, at + AT_ONCE).map(async (saga) => {
        const result = saga.status === 'COMPLETED' ? await client.workflow.getHandle(saga.workflowId).result() : null;
        return { ...saga, result: result as LedgerSaga['result'] };
      });
      sagas.push(...(await Promise.all(some)));
    }
    return sagas;
  });
