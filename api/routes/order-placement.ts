/** Placing an order over HTTP: priced, accepted in one transaction, handed to the dispatcher. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import { BRAKE_RETRY_AFTER_S } from '../../contracts/brakes.js';
import type { Order, StoredOrder } from '../../contracts/orders.js';
import type { Acceptance } from '../../domain/acceptance.js';
import { placing } from '../../domain/audit/changes.js';
import type { Brake } from '../../domain/brakes.js';
import { earlierAnswer } from '../../domain/idempotency.js';
import { withPerson } from '../../domain/kept-answers.js';
import type { KeyClaim } from '../../domain/kept-claims.js';
import { type Admission, createAdmission } from '../load/admission.js';
import { observeTraced } from '../../runtime/exemplars.js';
import { activeTraceparent } from '../../runtime/tracing/spans.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader, parseTraceparent } from '../http/headers.js';
import { claimOf, replayable } from '../http/idempotency.js';
import { recordedTraceOf } from '../http/tracing.js';
import { ordersAccepted, postDuration } from '../metrics.js';
import { problemResponses } from '../openapi/problems.js';
import { confinedTo } from '../access/permissions.js';
import { requireOrder, told } from './orders.js';
import { createPricing, PRICING_PROBLEMS, type Priced, type Pricing, refuseRepeatedSkus } from './pricing.js';
import { Problem } from '../http/problems.js';
import { NewOrder, OrderSchema } from '../http/schemas.js';
import { beginWait, type FinalStatusWait } from '../waiting/final-status.js';

export function orderPlacementRoutes(app: Api, deps: ApiDependencies): void {
  const pricing = createPricing(deps.db);
  const placing = { ...deps, pricing, admit: createAdmission(() => deps.dispatcher.isBehind()) };
  app.post(
    '/orders',
    {
      ...(deps.limitOrders && { preHandler: deps.limitOrders }),
      schema: {
        summary: 'Place an order',
        description:
          'Answers as soon as the order is durable. It is then worked on by its saga, whatever happens; `Prefer: wait=N` ' +
          'has the answer wait for the final status, unless too many wait already: then it comes at once, without ' +
          '`Preference-Applied`. With `Idempotency-Key` the request may be repeated safely.',
        tags: ['orders'],
        headers: Type.Object({
          ...IdempotencyKeyHeader,
          prefer: Type.Optional(Type.String({ description: '`wait=N`, N up to 30 seconds' })),
        }),
        body: NewOrder,
        response: {
          201: OrderSchema,
          '4xx': problemResponses(
            'not-accepting',
            'too-many-requests',
            'order-exists',
            'order-erased',
            'erased',
            ...PRICING_PROBLEMS,
          ),
        },
      },
      onResponse: async (request, reply) => {
        if (!reply.hasHeader('preference-applied'))
          observeTraced(postDuration, { code: reply.statusCode }, reply.elapsedTime / 1_000, recordedTraceOf(request));
      },
    },
    async (request, reply) => placeOrder(placing, request as FastifyRequest<{ Body: NewOrder }>, reply),
  );
}

async function placeOrder(
  deps: ApiDependencies & { pricing: Pricing; admit: Admission },
  request: FastifyRequest<{ Body: NewOrder }>,
  reply: FastifyReply,
) {
  const { db, dispatcher, pricing, admit } = deps;
  const own = confinedTo(request.caller, 'write');
  if (own !== undefined && request.body.customerId !== own) {
    throw new Problem('forbidden', 'A customer places orders for itself only: customerId must be the token’s subject.');
  }
  const claim = claimOf(request, deps.idempotencyTtlMs);
  const earlier = await earlierAnswer(db, claim);
  if (earlier) return answerEarlier(deps, earlier, request, reply);

  const { order, response, acceptance, traceparent } = await admit(
    () => request.raw.socket.destroyed,
    () => acceptPriced(deps, pricing, request, claim),
  );
  if (acceptance.outcome !== 'accepted') return answerEarlier(deps, acceptance, request, reply);

  ordersAccepted.inc();
  // Before the saga starts: the order is read once, when it is final.
  const wait = beginWait(deps, request, reply, { orderId: order.id, customerId: order.customerId, isDue: false });
  request.log.info({ orderId: order.id }, 'order accepted');
  const answered = answer(order.id, response, wait, request, reply);
  dispatcher.start({ ...order, customer: acceptance.customer, ...(traceparent && { traceparent }), kind: 'order' }); // once the answer is on its way: the client does not wait for what this costs
  return answered;
}

/** Each needs another change of the catalogue between two statements; a request that meets that many is answered 503. */
const PRICINGS_MAX = 4;

/**
 * Accepts the order at the remembered prices, if the catalogue still has them, else at those that are read anew.
 * @throws Problem if it is refused, or if its prices change all the time
 */
async function acceptPriced(
  { db, auditor, chargeCorrelationOf }: ApiDependencies,
  pricing: Pricing,
  request: FastifyRequest<{ Body: NewOrder }>,
  claim: KeyClaim | undefined,
) {
  const { body, id: correlationId, headers } = request;
  refuseRepeatedSkus(body.items);
  const carried = chargeCorrelationOf && { chargeCorrelationId: chargeCorrelationOf(correlationId) };
  const traceparent = activeTraceparent() ?? parseTraceparent(headers['traceparent']);
  for (let pricings = 0; pricings < PRICINGS_MAX; pricings++) {
    const priced = (pricings === 0 && pricing.recall(body)) || (await pricing.read(body));
    const order = newOrder(body, priced, correlationId);
    const response = JSON.stringify(order);
    const toAccept = { order, paymentMethod: body.paymentMethod, ...(traceparent && { traceparent }), ...carried };
    const acceptance = await auditor.act(request, placing(toAccept, claim && { ...claim, response }, db));
    if (acceptance.outcome === 'not-accepting') throw notAccepting(acceptance.brake);
    if (acceptance.outcome !== 'prices-changed') return { order, response, acceptance, traceparent };
  }
  throw new Problem('unavailable', 'The prices of these SKUs are changing just now; nothing was ordered.');
}

function notAccepting({ message, retryAfterS }: Brake): Problem {
  return new Problem(
    'not-accepting',
    message ?? 'Orders are not accepted for the moment; nothing was ordered.',
    {},
    {
      retryAfterS: retryAfterS ?? BRAKE_RETRY_AFTER_S.default,
    },
  );
}

function newOrder(body: NewOrder, { items, total }: Priced, correlationId: string): Order {
  const now = new Date().toISOString();
  return {
    id: uuidv7(),
    status: 'PENDING',
    customerId: body.customerId,
    items,
    total,
    ...(body.externalOrderId !== undefined && { externalOrderId: body.externalOrderId }),
    createdAt: now,
    updatedAt: now,
    correlationId,
  };
}

/** The same bytes as at the first time; or the order as it is now, if the client is ready to wait for that. */
async function answerEarlier(
  deps: ApiDependencies,
  earlier: Exclude<Acceptance, { outcome: 'accepted' | 'prices-changed' | 'not-accepting' }>,
  request: FastifyRequest<{ Body: NewOrder }>,
  reply: FastifyReply,
) {
  if (earlier.outcome === 'external-id-taken') {
    throw new Problem('order-exists', `The customer’s order with this externalOrderId is ${earlier.orderId}.`, {
      orderId: earlier.orderId,
    });
  }
  if (earlier.outcome === 'external-id-erased')
    throw new Problem('order-erased', 'The customer had an order with this externalOrderId before they were erased.');
  const { orderId, correlationId, response: kept } = replayable(earlier);
  if (orderId === null || correlationId === null) throw new Error('Bug! An accepted order is kept without its id');
  reply.header('idempotent-replayed', 'true');
  const { customerId, externalOrderId } = request.body; // the same as at the first time
  const response = await withPerson(kept, () => ({
    ...{ customerId, correlationId },
    ...(externalOrderId !== undefined && { externalOrderId }),
  }));
  const wait = beginWait(deps, request, reply, { orderId, customerId, isDue: true });
  return answer(orderId, response, wait, request, reply, () =>
    requireOrder(deps, orderId, request.caller, { texts: 'opened' }),
  );
}

/** @param readNow what is answered when the order is not final in time; undefined = as it was accepted */
async function answer(
  orderId: string,
  response: string,
  wait: FinalStatusWait | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
  readNow?: () => Promise<StoredOrder>,
) {
  reply.code(201).header('location', `/orders/${orderId}`).type('application/json; charset=utf-8');
  if (wait === undefined) return reply.send(response);
  reply.header('preference-applied', `wait=${wait.seconds}`);
  request.releaseSlot();
  const final = await wait.order();
  // The order is accepted, whatever happens while we wait: a database that goes away must not make this a failure.
  const order = final ?? (await readNow?.().catch((err: unknown) => request.log.warn({ err, orderId }, 'not read')));
  return reply.send(order ? JSON.stringify(told(order)) : response);
}
