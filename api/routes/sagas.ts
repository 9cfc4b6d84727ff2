/** How an order's saga stands: while it runs, from Temporal if that answers; from Postgres when it does not, or all is done. */
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
import { type OrderState, readOrderState, readTraceOf } from '../../domain/orders.js';
import { readSagaLog } from '../../domain/saga-log.js';
import { readStandstillSeconds } from '../../domain/stuck-sagas.js';
import { createSharedReads } from '../../runtime/shared-reads.js';
import { readTraceparent } from '../../runtime/tracing/spans.js';
import { describeRun } from '../../sagas/describe.js';
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

type SagaView = SagaProgress &
  Pick<Static<typeof SagaSchema>, 'workflowId' | 'runId' | 'webUrl' | 'traceId' | 'waitingFor'>;

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
    traceId: Type.Optional(
      Type.String({
        pattern: '^[0-9a-f]{32}$',
        description: 'There if the request that placed the order was traced: where its trace is looked up',
      }),
    ),
    waitingFor: Type.Optional(
      oneOf(
        ['worker', 'operator'] as const,
        'There if the saga runs, says nothing, and does not move: no worker takes what it waits to have done, or its code fails. It goes on by itself when that is mended',
      ),
    ),
  },
  { $id: 'Saga' },
);

/** As long as a description is given to others too, unless the order has moved on; watching is no quicker than that. */
const SHARED_MS = 500;
/** A saga that has ended keeps its run, unless it is begun anew by hand. */
const RUN_SHARED_MS = 60_000;
const SHARED_MAX = 10_000;

export function sagaRoutes(app: Api, deps: ApiDependencies): void {
  const shared = createSharedReads<SagaView>({ freshMs: () => SHARED_MS, keysMax: SHARED_MAX });
  const sharedRuns = createSharedReads<string | null>({
    freshMs: (runId) => (runId === null ? SHARED_MS : RUN_SHARED_MS),
    keysMax: SHARED_MAX,
  });
  const runIdOf = (workflowId: string) => sharedRuns(workflowId, () => askRunId(deps, workflowId));
  app.get(
    '/orders/:id/saga',
    {
      schema: {
        summary: 'How the order’s saga stands, step by step',
        description:
          'Of an order that is final, as its log has it. While a saga runs, what its steps are trying just now may be half a ' +
          'second old; `state` never is older than the order.',
        tags: ['sagas'],
        params: IdParams,
        response: { 200: SagaSchema, '4xx': ProblemSchema },
      },
    },
    async (request) => {
      const { caller } = request;
      const { id } = request.params;
      const order = await requireOrder(deps, id, caller);
      request.drawFor(order.customerId);
      // Whoever may read the order may read its saga: what one is told is good for all of them, as long as the order stays as it is.
      const saga = await shared(`${order.id} ${order.status} ${order.updatedAt}`, () =>
        describeSaga(deps, order, caller, runIdOf),
      );
      return sagaFor(caller, saga);
    },
  );
}

type RunIdOf = (workflowId: string) => Promise<string | null>;

/** @param runIdOf undefined = asked anew */
export async function describeSaga(
  deps: ApiDependencies,
  order: Order,
  caller: Caller,
  runIdOf: RunIdOf = (workflowId) => askRunId(deps, workflowId),
): Promise<SagaView> {
  const [saga, traceparent] = await Promise.all([
    describeProgress(deps, order, caller, runIdOf),
    readTraceOf(deps.db, order.id),
  ]);
  const trace = readTraceparent(traceparent);
  return trace ? { ...saga, traceId: trace.traceId } : saga;
}

async function describeProgress(
  deps: ApiDependencies,
  order: Order,
  caller: Caller,
  runIdOf: RunIdOf,
): Promise<SagaView> {
  const before = await readOrderState(deps.db, order.id);
  if (isFinal(before)) return describeEnded(deps, await asOf(deps, before, order, caller), runIdOf);
  const isTakenBack = isOnItsWayBack(before);
  const workflowId = isTakenBack ? cancelOrderSagaId(order.id) : orderSagaId(order.id);
  const view = await askTemporal(deps, workflowId);
  // The order as it is after the question: a saga may commit while we ask.
  const orderState = await readOrderState(deps.db, order.id);
  const now = await asOf(deps, orderState, order, caller);
  if (isFinal(orderState)) return describeEnded(deps, now, runIdOf);
  if (isOnItsWayBack(orderState) !== isTakenBack) return describeProgress(deps, now, caller, runIdOf);
  const log = await readSagaLog(deps.db, now);
  // A saga commits its order's end before its own: this one was completed by another client, and what it shows has not happened.
  const answered = view.isCompleted ? undefined : view.progress;
  const open = view.isCompleted ? 'NEEDS_ATTENTION' : view.shown;
  const { runId } = view;
  const described = { workflowId, runId, webUrl: webUrl(deps, workflowId, runId), ...view.waitingFor };
  if (!isTakenBack) {
    const progress = answered ?? log;
    return { ...progress, state: open ?? progress.state, ...described };
  }
  // Its undos follow the steps of the saga that confirmed it, which Temporal may have forgotten.
  const steps = answered ? [...log.steps.filter(({ kind }) => kind === 'step'), ...answered.steps] : log.steps;
  return { state: open ?? answered?.state ?? 'COMPENSATING', steps, ...described };
}

/** No saga works for the order any more, and its log is whole. */
const isFinal = ({ status, unwindingReason, forwardDue }: OrderState): boolean =>
  status === 'CANCELLED' || (status === 'CONFIRMED' && unwindingReason === null && !forwardDue);

/** Confirmed, and another saga takes it back. */
const isOnItsWayBack = ({ status, unwindingReason }: OrderState): boolean =>
  status === 'CONFIRMED' && unwindingReason !== null;

/** @returns the order, read again if it has moved on since */
const asOf = async (deps: ApiDependencies, { status }: OrderState, order: Order, caller: Caller): Promise<Order> =>
  status === order.status ? order : requireOrder(deps, order.id, caller);

/**
 * From Postgres alone, which knows all of it but the run. An order that was confirmed and taken back has had two sagas: the
 * second is the one that ended it.
 */
async function describeEnded(deps: ApiDependencies, order: Order, runIdOf: RunIdOf): Promise<SagaView> {
  const log = await readSagaLog(deps.db, order);
  const isTakenBack = order.status === 'CANCELLED' && wasConfirmed(log);
  const workflowId = isTakenBack ? cancelOrderSagaId(order.id) : orderSagaId(order.id);
  const runId = await runIdOf(workflowId);
  return { ...log, workflowId, runId, webUrl: webUrl(deps, workflowId, runId) };
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

/** @returns null if Temporal does not know it any more, or does not answer */
async function askRunId({ temporal }: ApiDependencies, workflowId: string): Promise<string | null> {
  const client = temporal.client();
  if (!client) return null;
  const question = () => describeRun(client, workflowId);
  const description = await client.withDeadline(Date.now() + ASK_LIMIT_MS, question).catch(() => null);
  return description?.runId ?? null;
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

/** @returns null where no Web UI is configured */
export function webUrl(
  { temporalUiUrl, temporal }: ApiDependencies,
  workflowId: string,
  runId: string | null,
): string | null {
  if (temporalUiUrl === undefined) return null;
  return `${temporalUiUrl}/namespaces/${temporal.namespace}/workflows/${workflowId}${runId === null ? '' : `/${runId}/history`}`;
}
