/** Which of production's sagas are replayed: all that are open, first, and a sample of those that were closed lately. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { CANCEL_ORDER_SAGA, ORDER_SAGA } from '../../contracts/ids.js';

export type History = {
  workflowId: string;
  history: Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>;
};
type Chosen = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId'>[];
/** `open`, `closed`: how many there are; of the chosen, the open ones are the first `openChosen`. */
export type Sample = { open: number; closed: number; openChosen: number; chosen: Chosen };

const OURS = `WorkflowType IN ("${ORDER_SAGA}","${CANCEL_ORDER_SAGA}")`;

/**
 * Open ones may go on under the candidate whatever their age, and so they come first; of closed ones every n-th is taken, over the
 * whole span, since what a saga does differs by hour and not by neighbour.
 */
export async function sampleSagas({ workflow }: Client, since: Date, limit: number): Promise<Sample> {
  const open = `${OURS} AND ExecutionStatus="Running"`;
  const closed = `${OURS} AND ExecutionStatus != "Running" AND CloseTime > "${since.toISOString()}"`;
  const counts = await Promise.all([open, closed].map(async (query) => (await workflow.count(query)).count));
  const [openCount = 0, closedCount = 0] = counts;
  const chosen = await take(workflow, open, limit, 1);
  const openChosen = chosen.length;
  const left = limit - openChosen;
  if (left > 0) chosen.push(...(await take(workflow, closed, left, Math.max(1, Math.ceil(closedCount / left)))));
  return { open: openCount, closed: closedCount, openChosen, chosen };
}

async function take(workflow: Client['workflow'], query: string, limit: number, every: number): Promise<Chosen> {
  const taken: Chosen = [];
  let seen = 0;
  for await (const { workflowId, runId } of workflow.list({ query })) {
    if (seen++ % every === 0) taken.push({ workflowId, runId });
    if (taken.length === limit) break;
  }
  return taken;
}

/** One at a time, so that memory holds a history and not a day of them. One that retention takes meanwhile is passed over. */
export async function* fetchHistories(
  { workflow }: Client,
  { chosen }: Pick<Sample, 'chosen'>,
  onFetched: (workflowId: string, history: History['history']) => void,
): AsyncGenerator<History> {
  for (const { workflowId, runId } of chosen) {
    const history = await workflow
      .getHandle(workflowId, runId)
      .fetchHistory()
      .catch(() => undefined);
    if (history === undefined) continue;
    const name = `${workflowId}/${runId}`;
    onFetched(name, history);
    yield { workflowId: name, history };
  }
}
