/** Which of some orders have a saga that waits for an operator, as it says itself. */
import type { Client } from '@temporalio/client';
import { cancelOrderSagaId, orderIdOf, orderSagaId } from '../contracts/ids.js';
import { STUCK_QUERY } from '../contracts/saga.js';

/** @param orderIds a few: each is named in the question. */
export async function listParked(client: Client, orderIds: string[]): Promise<ReadonlySet<string>> {
  if (orderIds.length === 0) return new Set();
  const ids = orderIds.flatMap((id) => [orderSagaId(id), cancelOrderSagaId(id)]).map((id) => `'${id}'`);
  const query = `(${STUCK_QUERY}) AND WorkflowId IN (${ids.join(', ')})`;
  const parked = new Set<string>();
  for await (const { workflowId } of client.workflow.list({ query })) parked.add(orderIdOf(workflowId));
  return parked;
}
