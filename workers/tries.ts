import { Context } from '@temporalio/activity';
import type { SagaActivities } from '../contracts/steps.js';
import { pendingActivities } from '../sagas/execution.js';

/** What Temporal's server alone knows of a saga, asked by the saga itself. */
export const createCountingActivities = () =>
  ({
    countTries: async ({ activity }) => {
      const { client, info } = Context.current();
      const { workflowId, runId } = info.workflowExecution ?? { workflowId: '' };
      const saga = await client.workflow.getHandle(workflowId, runId).describe();
      return pendingActivities(saga).find(({ name }) => name === activity)?.tries ?? null;
    },
  }) satisfies Partial<SagaActivities>;
