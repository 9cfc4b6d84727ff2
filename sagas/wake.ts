/** Waking a saga by machine: it looks again at what it waits for. No operator's word; that is the signal as people send it. */
import type { Client } from '@temporalio/client';
import { RETRY_SIGNAL } from '../contracts/saga.js';

/** What a machine gives to the signal; a person gives nothing, so that a button in the Web UI will do. */
const BY_MACHINE = { by: 'machine' } as const;

export async function wakeSaga(client: Client, workflowId: string): Promise<void> {
  await client.workflow.getHandle(workflowId).signal(RETRY_SIGNAL, BY_MACHINE);
}
