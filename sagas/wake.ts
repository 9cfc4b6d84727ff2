/** Waking a saga by machine: it looks again at what it waits for. Not an operator's retry, which is the same signal without this argument. */
import type { Client } from '@temporalio/client';
import { BY_MACHINE, RETRY_SIGNAL } from '../contracts/saga.js';

export async function wakeSaga(client: Client, workflowId: string): Promise<void> {
  await client.workflow.getHandle(workflowId).signal(RETRY_SIGNAL, BY_MACHINE);
}
