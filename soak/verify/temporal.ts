/** What Temporal says of sagas: the newest run of each. */
import { Client, Connection } from '@temporalio/client';
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

export const readSagas = (address: string): Promise<LedgerSaga[]> =>
  withTemporal(address, async (client) => {
    const listed: { workflowId: string; status: string }[] = [];
    for await (const { workflowId, status } of client.workflow.list()) listed.push({ workflowId, status: status.name });
    const sagas: LedgerSaga[] = [];
    for (let at = 0; at < listed.length; at += AT_ONCE) {
      const some = listed.slice(at, at + AT_ONCE).map(async ({ workflowId, status }) => {
        const result = status === 'COMPLETED' ? await client.workflow.getHandle(workflowId).result() : null;
        return { workflowId, status, result: result as LedgerSaga['result'] };
      });
      sagas.push(...(await Promise.all(some)));
    }
    return sagas;
  });
