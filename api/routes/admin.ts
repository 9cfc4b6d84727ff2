/** Operators' decisions on stuck sagas over HTTP. */
import {
  ApplicationFailure,
  type Client,
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import type { Order } from '../../contracts/orders.js';
import { STEPS, UNDOS } from '../../contracts/plan.js';
import {
  NOT_AS_SEEN,
  RESOLVE_UPDATE,
  type Resolution,
  type SagaProgress,
  type SagaStanding,
  sagaStart,
} from '../../contracts/saga.js';
import { readDueSaga } from '../../domain/acceptance.js';
import type { Values } from '../../domain/audit/acts.js';
import { describe as describeExecution } from '../../sagas/deciding/asking.js';
import { isSeenEnded, standingOfEnded } from '../../sagas/ended.js';
import { restartSaga } from '../../sagas/restart.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { problemResponses } from '../openapi/problems.js';
import { requireOrder } from './orders.js';
import { operatorOf } from '../access/permissions.js';
import { Problem, PROBLEMS } from '../http/problems.js';
import { describeSaga, SagaSchema } from './sagas.js';
import { IdParams, OperatorId, oneOf, Reason } from '../http/schemas.js';

const ASK_LIMIT_MS = 5_000;

const ResolutionBody = Type.Object(
  {
    action: oneOf(['retry', 'skip', 'compensate'] as const, 'skip = done by hand; compensate = unwind now'),
    operator: Type.Optional(OperatorId),
    reason: Reason,
    expectedStep: Type.Optional(
      oneOf(
        [...STEPS, ...UNDOS, 'beginUnwinding'],
        'The step or undo that you have seen it at: at another one by now it is refused (409 `saga-moved`), and nothing is decided',
      ),
    ),
    expectedFailure: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_]{1,64}$',
        description:
          'What it was listed as stuck for, likewise: `failure` of GET /admin/sagas, of one that is marked itself. Of one that has ended: how it ended; ' +
          '`retry` begins it anew only with that, or with no expectation at all',
      }),
    ),
  },
  {
    $id: 'Resolution',
    additionalProperties: false,
    examples: [{ action: 'retry', operator: 'op-7', reason: 'gateway is back' }],
  },
);

export function adminRoutes(app: Api, deps: ApiDependencies): void {
  resolveRoute(app, deps);
}

function resolveRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/sagas/:id/resolve',
    {
      schema: {
        summary: 'Decide what becomes of a stuck saga',
        description:
          'The answer says that the decision is accepted and on record. It shows the saga at that moment, so its state may ' +
          'still be NEEDS_ATTENTION and its step `parked`: read GET /orders/{id}/saga for what has come of it.',
        tags: ['sagas'],
        params: IdParams,
        headers: Type.Object(IdempotencyKeyHeader),
        body: ResolutionBody,
        response: { 200: SagaSchema, '4xx': problemResponses('not-possible-now', 'saga-moved') },
      },
    },
    async (request, reply) => {
      const order = await requireOrder(deps, request.params.id, request.caller);
      const { action, reason, operator, expectedStep, expectedFailure } = request.body as Static<typeof ResolutionBody>;
      const decision = {
        action: action as Resolution['action'],
        reason,
        operator: operatorOf(request.caller, operator),
        ...(expectedStep !== undefined && { expectedStep }),
        ...(expectedFailure !== undefined && { expectedFailure }),
      };
      const act = async (updateId?: string) => ({
        status: 200,
        body: await decideOnRecord(deps, request, order, decision, updateId),
      });
      return answerOnce(deps, request, reply, act, { orderId: order.id });
    },
  );
}

/** What Temporal carries out is on record before it is sent, and what has come of it before it is answered. */
async function decideOnRecord(
  deps: ApiDependencies,
  request: FastifyRequest,
  order: Order,
  decision: Resolution,
  updateId: string | undefined,
) {
  const describe = () => describeSaga(deps, order, request.caller);
  const { action, reason } = decision;
  const about = { resource: order.id, reason };
  await deps.auditor.announce(request, { ...about, before: placeOf(await describe()), after: { decision: action } });
  const conclude = (status: number, after: Values) =>
    deps.auditor.conclude(request, { ...about, status, before: { decision: action }, after });
  try {
    await callTemporal(() => resolveSaga(deps, order.id, decision, updateId));
  } catch (err) {
    const outcome = err instanceof Problem ? err.code : 'unavailable';
    await conclude(PROBLEMS[outcome][0], { outcome }).catch(() => undefined); // it is logged; the failure is what is answered
    throw err;
  }
  const body = await describe();
  await conclude(200, { outcome: 'taken', ...placeOf(body) });
  return body;
}

/** Where the saga stands: its state, and what it is at, or is parked at. */
function placeOf({ state, steps }: Awaited<ReturnType<typeof describeSaga>>): Values {
  const open = steps.find(
    ({ status, startedAt, finishedAt }) => status === 'parked' || (startedAt !== null && !finishedAt),
  );
  return { state, step: open?.name ?? null };
}

export function requireTemporal({ temporal }: Pick<ApiDependencies, 'temporal'>): Client {
  const client = temporal.client();
  if (!client) throw new Problem('unavailable', 'Temporal does not answer, and only it knows.');
  return client;
}

/** Answers 503 when Temporal does not answer: a transient failure, neither ours nor the caller's. */
export async function callTemporal<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (err) {
    const isSilent = err instanceof WorkflowUpdateRPCTimeoutOrCancelledError;
    if (isSilent || err instanceof ServiceError || isGrpcServiceError(err)) {
      throw new Problem('unavailable', 'Temporal does not answer; what was asked may still be carried out.');
    }
    throw err;
  }
}

/** @param updateId by which Temporal recognizes a repetition: a second `skip` must not skip the step after the one meant */
async function resolveSaga(
  deps: ApiDependencies,
  orderId: string,
  resolution: Resolution,
  updateId: string | undefined,
): Promise<void> {
  const client = requireTemporal(deps);
  for (const workflowId of [orderSagaId(orderId), cancelOrderSagaId(orderId)]) {
    try {
      await client.withDeadline(Date.now() + ASK_LIMIT_MS, () =>
        client.workflow.getHandle(workflowId).executeUpdate<SagaProgress, [Resolution]>(RESOLVE_UPDATE, {
          args: [resolution],
          ...(updateId !== undefined && { updateId }),
        }),
      );
      return;
    } catch (err) {
      if (err instanceof WorkflowUpdateFailedError) throw problemOfFailure(err);
      if (!(err instanceof WorkflowNotFoundError)) throw err;
    }
  }
  await resolveEndedSaga(deps, client, orderId, resolution);
}

/** A saga refuses by an ApplicationFailure; an activity's failure means that the decision could not be put on record. */
function problemOfFailure({ cause, message }: WorkflowUpdateFailedError): Problem {
  if (cause instanceof ApplicationFailure && cause.type === NOT_AS_SEEN) {
    const [saga] = (cause.details ?? []) as [SagaStanding?];
    return new Problem('saga-moved', cause.message, saga && { saga });
  }
  if (cause instanceof ApplicationFailure) return new Problem('not-possible-now', cause.message || message);
  return new Problem('unavailable', 'The decision could not be put on record, and was not taken.');
}

/**
 * No saga runs. If one is due all the same, it was ended from outside, and every step finds what it had done. Whoever has seen it at a
 * step has not seen that: somebody may have ended it so that it does not go on.
 */
async function resolveEndedSaga(deps: ApiDependencies, client: Client, orderId: string, resolution: Resolution) {
  const { action, operator, reason } = resolution;
  const due = await readDueSaga(deps.db, orderId);
  if (due) {
    const { workflowId } = sagaStart(due, deps.policy).options;
    const saga = standingOfEnded(await describeExecution({ client }, workflowId));
    if (!isSeenEnded(resolution, saga))
      throw new Problem(
        'saga-moved',
        `The saga of order ${orderId} has ended by now (${saga.failure}), which you have not seen: nothing was decided.`,
        { saga },
      );
  }
  if (action !== 'retry' && due) {
    throw new Problem(
      'not-possible-now',
      `No saga of order ${orderId} runs: \`retry\` begins it anew, then it can be decided.`,
    );
  }
  const restarted = await restartSaga({ ...deps, client }, orderId, { operator, reason, before: 'ended from outside' });
  if (restarted === null)
    throw new Problem('not-possible-now', `The saga of order ${orderId} has ended; there is nothing to ${action}.`);
}
