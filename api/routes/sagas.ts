/** How an order's saga stands: from Temporal while it answers, from Postgres when it does not. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { type Static, Type } from 'typebox';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import type { Order } from '../../contracts/orders.js';
import { PIVOT } from '../../contracts/plan.js';
import {
  PROGRESS_QUERY,
  SAGA_STATE,
  SAGA_STATES,
  type SagaProgress,
  type SagaState,
  STEP_STATUSES,
} from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';
import { type OrderState, readOrderState } from '../../domain/orders.js';
import { readSagaLog, stateOf } from '../../domain/saga-log.js';
import { readStandstillSeconds } from '../../domain/stuck-sagas.js';
import { endedFromOutside, withPendingAttempts } from '../../sagas/execution.js';
import { findStandstill, NO_POLLERS, readBuilds } from '../../sagas/standstill.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { requireOrder } from './orders.js';
import { LastErrorSchema, sagaFor } from '../access/customers-view.js';
import type { Caller } from '../access/permissions.js';
import { ProblemSchema } from '../http/problems.js';
import { IdParams, oneOf } from '../http/schemas.js';

/** A worker answers a query in milliseconds, or it is busy or gone; then Postgres is read. */
const ASK_LIMIT_MS = 1_500;

type SagaView = SagaProgress & Pick<Static<typeof SagaSchema>, 'workflowId' | 'runId' | 'webUrl' | 'waitingFor'>;

const nullable = Type.Union([Type.String(), Type.Null()]);
export const SagaSchema = Type.Object(
  {
    state: oneOf(SAGA_STATES, 'Follows the committed order'),
    steps: Type.Array(
      Type.Object({
        name: Type.String(),
        kind: oneOf(['step', 'undo'] as const, 'What the saga does, or how it takes it back'),
        status: oneOf(STEP_STATUSES, 'How it stands'),
        attempts: Type.Integer(),
        startedAt: nullable,
        finishedAt: nullable,
        lastError: LastErrorSchema,
      }),
    ),
    workflowId: Type.String(),
    runId: Type.Union([Type.String(), Type.Null()], {
      description: 'null before the start, or when Temporal cannot tell',
    }),
    webUrl: Type.Union([Type.String(), Type.Null()], {
      description: 'The saga in the Temporal Web UI; null for the role `customer`',
    }),
    waitingFor: Type.Optional(
      oneOf(
        ['worker', 'operator'] as const,
        'There if the saga runs, says nothing, and does not move: no worker takes what it waits to have done, or its code fails. It goes on by itself when that is mended',
      ),
    ),
  },
  { $id: 'Saga' },
);

export function sagaRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/orders/:id/saga',
    {
      schema: {
        summary: 'How the order’s saga stands, step by step',
        tags: ['sagas'],
        params: IdParams,
        response: { 200: SagaSchema, '4xx': ProblemSchema },
      },
    },
    async ({ params, caller }) =>
      sagaFor(caller, await describeSaga(deps, await requireOrder(deps, params.id, caller), caller)),
  );
}

export async function describeSaga(deps: ApiDependencies, order: Order, caller: Caller): Promise<SagaView> {
  const workflowId = orderSagaId(order.id);
  const { progress: answered, runId, shown, waitingFor, isCompleted } = await askTemporal(deps, workflowId);
  // The order as it is after the question: a saga may commit while we ask.
  const now = await requireOrder(deps, order.id, caller);
  const orderState = await readOrderState(deps.db, order.id);
  const cancellation = await describeCancellation(deps, now, orderState, answered);
  if (cancellation) return cancellation;
  // A saga commits its order's end before its own: this one was completed by another client, and what it shows has not happened.
  const isPremature = isCompleted && (now.status === 'PENDING' || orderState.forwardDue);
  const progress = (isPremature ? undefined : answered) ?? (await readSagaLog(deps.db, order));
  return {
    ...progress,
    state: isPremature ? 'NEEDS_ATTENTION' : stateOf(now, shown ?? progress.state, orderState.forwardDue),
    workflowId,
    runId,
    webUrl: webUrl(deps, workflowId, runId),
    ...waitingFor,
  };
}

/**
 * An order that was confirmed and is being taken back has a second saga, whose undos follow the first one's steps. The order's
 * row says which is in charge: Temporal may have forgotten the first.
 */
async function describeCancellation(
  deps: ApiDependencies,
  order: Order,
  { status, unwindingReason }: OrderState,
  first: SagaProgress | undefined,
) {
  if (order.status === 'PENDING' || unwindingReason === null) return undefined;
  const log = await readSagaLog(deps.db, order);
  const before = first ?? { state: log.state, steps: log.steps.filter(({ kind }) => kind === 'step') };
  if (status === 'CANCELLED' && !wasConfirmed(before)) return undefined;
  const workflowId = cancelOrderSagaId(order.id);
  const { progress, runId, shown, waitingFor, isCompleted } = await askTemporal(deps, workflowId);
  const isCancelled =
    status === 'CANCELLED' || (isCompleted && (await readOrderState(deps.db, order.id)).status === 'CANCELLED');
  const isPremature = isCompleted && !isCancelled;
  const steps = progress && !isPremature ? [...before.steps, ...progress.steps] : log.steps;
  const open = isPremature ? 'NEEDS_ATTENTION' : (shown ?? progress?.state ?? 'COMPENSATING');
  const state: SagaState = isCancelled ? 'COMPENSATED' : open;
  return { state, steps, workflowId, runId, webUrl: webUrl(deps, workflowId, runId), ...waitingFor };
}

const wasConfirmed = ({ steps }: SagaProgress): boolean =>
  steps.some(({ name, status }) => name === PIVOT && (status === 'completed' || status === 'skipped'));

/** `shown`: the state that it shows; a saga that was ended from outside needs an operator, whatever it showed before. */
type TemporalView = {
  progress?: SagaProgress | undefined;
  runId: string | null;
  isCompleted: boolean;
  shown?: SagaState | undefined;
  waitingFor?: Pick<Static<typeof SagaSchema>, 'waitingFor'>;
};

async function askTemporal({ db, temporal }: ApiDependencies, workflowId: string): Promise<TemporalView> {
  const client = temporal.client();
  if (!client) return { runId: null, isCompleted: false };
  const handle = client.workflow.getHandle(workflowId);
  const ask = <T>(question: () => Promise<T>) =>
    // Not there, not answering, or no worker to ask: in each case Postgres is read instead.
    client.withDeadline(Date.now() + ASK_LIMIT_MS, question).catch(() => undefined);
  const [queried, description] = await Promise.all([
    ask(() => handle.query<SagaProgress>(PROGRESS_QUERY)),
    ask(() => handle.describe()),
  ]);
  if (!description) return { progress: queried, runId: null, isCompleted: false };
  const progress = queried && withPendingAttempts(queried, description);
  const isSilent = progress === undefined && description.status.name === 'RUNNING';
  const standstill = isSilent ? await ask(() => standstillOf(db, client, description)) : undefined;
  return {
    progress,
    runId: description.runId,
    shown: endedFromOutside(description.status.name) ? 'NEEDS_ATTENTION' : (progress?.state ?? shownBy(description)),
    ...(standstill && { waitingFor: { waitingFor: standstill.failure === NO_POLLERS ? 'worker' : 'operator' } }),
    isCompleted: description.status.name === 'COMPLETED',
  };
}

/** As the list of stuck sagas judges it. */
const standstillOf = async (db: Database, client: Client, saga: WorkflowExecutionDescription) =>
  findStandstill(saga, {
    client,
    standstillSeconds: await readStandstillSeconds(db),
    builds: () => readBuilds(client),
  });

const shownBy = ({ typedSearchAttributes }: WorkflowExecutionDescription): SagaState | undefined =>
  typedSearchAttributes.get(SAGA_STATE) as SagaState | undefined;

function webUrl({ temporalUiUrl, temporal }: ApiDependencies, workflowId: string, runId: string | null): string | null {
  if (temporalUiUrl === undefined) return null;
  return `${temporalUiUrl}/namespaces/${temporal.namespace}/workflows/${workflowId}${runId === null ? '' : `/${runId}/history`}`;
}
