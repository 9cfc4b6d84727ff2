/** Cancelling an order, at any time: recorded in Postgres first, so that it holds whatever Temporal is doing. */
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { orderSagaId } from '../../contracts/ids.js';
import type { CancellationReason, Order, StoredOrder } from '../../contracts/orders.js';
import { cancellation } from '../../domain/audit/changes.js';
import { type RequestedCancellation, readTraceOf } from '../../domain/orders.js';
import { withoutPerson, withPerson } from '../../domain/kept-answers.js';
import { stageOf } from '../../domain/pseudonyms.js';
import { KeyUnavailable } from '../../domain/sealing/errors.js';
import { sealCancellationMessage } from '../../domain/sealing/of-orders.js';
import { wakeSaga } from '../../sagas/wake.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce, type Keeping } from '../http/idempotency.js';
import { problemResponses } from '../openapi/problems.js';
import { requireOrder, told } from './orders.js';
import { ANONYMOUS, confinedTo } from '../access/permissions.js';
import { Problem } from '../http/problems.js';
import { refusePersonalText } from '../http/personal-texts.js';
import { FreeText, IdParams, OrderSchema } from '../http/schemas.js';

/** A saga that backs off or is parked is woken at once; if that fails, it finds the cancellation at its next try. */
const WAKE_LIMIT_MS = 1_000;

const Cancellation = Type.Object(
  { reason: FreeText },
  { $id: 'Cancellation', additionalProperties: false, examples: [{ reason: 'Ordered the wrong colour' }] },
);

export function cancellationRoutes(app: Api, deps: ApiDependencies): void {
  app.post(
    '/orders/:id/cancel',
    {
      schema: {
        summary: 'Cancel an order',
        description:
          'A pending order unwinds, a confirmed one is taken back: refund, release, `order.cancelled`. The answer is the ' +
          'order as it stands; follow it to see it CANCELLED. Repeating it is harmless. Of one order a hundred keys are ' +
          'remembered: what comes with further ones is done as if without a key. An operator’s reason is kept for ever, so ' +
          'it is refused with an e-mail address, an IBAN, the number of a payment card or a phone number in it. While the key of ' +
          'clients’ ids cannot be had, the answer has the customer’s reference as `customerId`, except to that customer.',
        tags: ['orders'],
        params: IdParams,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Cancellation,
        response: { 202: OrderSchema, '4xx': problemResponses('order-cancelled') },
      },
    },
    async (request, reply) => {
      const order = await requireOrder(deps, request.params.id, request.caller, { access: 'write' });
      request.drawFor(order.customerId);
      const { reason } = request.body as Static<typeof Cancellation>;
      if (codeOf(request) === 'OPERATOR') refusePersonalText('/reason', reason); // the audit trail keeps it
      const act = async () => {
        await recordCancellation(deps, request, order, reason);
        return { status: 202, body: told(await asItStands(deps, request, order.id)) };
      };
      return answerOnce(deps, request, reply, act, { orderId: order.id, keep: await keepingOf(deps, request, order) });
    },
  );
}

/** Kept without what is a person's: the order that is read for it has all of that. */
async function keepingOf(deps: ApiDependencies, request: FastifyRequest, order: StoredOrder): Promise<Keeping> {
  const isWhole = (await stageOf(deps.db)) === 'plain'; // the release before may be beside this one
  return {
    strip: (body) => (isWhole ? body : withoutPerson(body as Order)),
    restore: (kept) => withPerson(kept, () => asItStands(deps, request, order.id)),
  };
}

/**
 * For the answer. What was asked for has been done: where a key cannot be had, the answer says the reference instead of the client's
 * id, as of an erased customer, and the standard message. A customer is told its own id all the same.
 */
async function asItStands(deps: ApiDependencies, { caller }: FastifyRequest, orderId: string): Promise<StoredOrder> {
  try {
    return await requireOrder(deps, orderId, caller, { texts: 'opened' });
  } catch (err) {
    if (!(err instanceof KeyUnavailable)) throw err;
    return requireOrder(deps, orderId, caller);
  }
}

async function recordCancellation(
  deps: ApiDependencies,
  request: FastifyRequest,
  order: StoredOrder,
  message: string,
): Promise<void> {
  const code = codeOf(request);
  const actor = actorOf(request, order);
  const stored = await sealCancellationMessage(deps.db, order.id, message);
  if (stored === undefined)
    request.log.warn(
      { orderId: order.id },
      'the key store is away: cancelled without the text that was given as the reason',
    );
  const why = { reason: code, actor, ...(stored !== undefined && { message: stored }) };
  const recorded = await deps.auditor.act(request, cancellation(order.id, why, message));
  if (recorded.reason !== code && recorded.reason !== 'CANCELLED_BY_CUSTOMER') {
    const how = recorded.outcome === 'cancelled' ? 'was cancelled' : 'is being cancelled';
    throw new Problem('order-cancelled', `Order ${order.id} ${how} otherwise: ${recorded.reason}.`, {
      orderId: order.id,
    });
  }
  if (recorded.outcome === 'cancellation-due') {
    // Of the plan that the order was accepted under: this process may be of an older build, or of a newer one.
    const { reason, planVersion } = recorded;
    const traceparent = await readTraceOf(deps.db, order.id).catch(() => null); // then its trace is another one
    deps.dispatcher.start({
      ...order,

      traceparent,
      kind: 'cancellation',
      reason,
      planVersion,
    });
  }
  if (recorded.outcome === 'unwinding') void wakeSoon(deps, order.id);
  logCancellation(request, order, recorded);
}

/** In the order's own story; the saga, which only finds its order unwinding, has nothing to add. */
function logCancellation(
  { server, id: callId, caller }: FastifyRequest,
  { id: orderId, correlationId }: StoredOrder,
  { outcome, reason }: RequestedCancellation,
): void {
  const isOwn = confinedTo(caller, 'write') !== undefined; // then the subject is the customer's id, which no log has
  const about = { correlationId, orderId, callId, actor: isOwn ? 'customer' : caller.subject, outcome, reason };
  server.log.info(about, 'saga: asked to cancel');
}

/** What is kept, and logged, of a customer is the reference. */
const actorOf = ({ caller }: FastifyRequest, { customer }: StoredOrder): string =>
  confinedTo(caller, 'write') === undefined ? caller.subject : customer;

/** An operator's decision has a reason of its own; without authentication no caller is known to be an operator. */
function codeOf({ caller }: FastifyRequest): CancellationReason {
  const isOperator =
    caller !== ANONYMOUS && confinedTo(caller, 'write') === undefined && caller.roles.includes('operator');
  return isOperator ? 'OPERATOR' : 'CANCELLED_BY_CUSTOMER';
}

async function wakeSoon({ temporal }: ApiDependencies, orderId: string): Promise<void> {
  const client = temporal.client();
  if (!client) return;
  const signal = () => wakeSaga(client, orderSagaId(orderId));
  // Not started yet, ended, or Temporal away: the cancellation stands in the order's row, which the saga reads next.
  await client.withDeadline(Date.now() + WAKE_LIMIT_MS, signal).catch(() => undefined);
}
