/** Orders over HTTP: place one, read one, list them. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import type { Order } from '../../contracts/orders.js';
import { type Acceptance, acceptOrder } from '../../domain/acceptance.js';
import type { Database } from '../../domain/database.js';
import { earlierAnswer, type KeyClaim } from '../../domain/idempotency.js';
import { listOrders, readOrder } from '../../domain/orders.js';
import { type Admission, createAdmission } from '../load/admission.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { answerUnlessKnown } from '../http/etags.js';
import { whenOver } from '../http/disconnects.js';
import { IdempotencyKeyHeader, parsePreferWait, parseTraceparent } from '../http/headers.js';
import { claimOf, replayable } from '../http/idempotency.js';
import { ordersAccepted, postDuration } from '../metrics.js';
import { refusals } from '../openapi/problems.js';
import { Cursor, decodeCursor, Limit, Next, page } from '../http/pages.js';
import { type Caller, confinedTo } from '../access/permissions.js';
import { createPricing, PRICING_PROBLEMS, type Priced, type Pricing, refuseRepeatedSkus } from './pricing.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { CustomerId, IdParams, NewOrder, OrderSchema, OrderStatus, UUID } from '../http/schemas.js';

export function orderRoutes(app: Api, deps: ApiDependencies): void {
  const { db } = deps;
  const placing = { ...deps, pricing: createPricing(db), admit: createAdmission(() => deps.dispatcher.isBehind()) };

  app.post(
    '/orders',
    {
      ...(deps.limitOrders && { onRequest: deps.limitOrders }),
      schema: {
        summary: 'Place an order',
        description:
          'Answers as soon as the order is durable. It is then worked on by its saga, whatever happens; `Prefer: wait=N` ' +
          'has the answer wait for the final status. With `Idempotency-Key` the request may be repeated safely.',
        tags: ['orders'],
        headers: Type.Object({
          ...IdempotencyKeyHeader,
          prefer: Type.Optional(Type.String({ description: '`wait=N`, N up to 30 seconds' })),
        }),
        body: NewOrder,
        response: {
          201: OrderSchema,
          '4xx': refusals('too-many-requests', 'order-exists', ...PRICING_PROBLEMS),
        },
      },
      onResponse: async (_request, reply) => {
        if (!reply.hasHeader('preference-applied'))
          postDuration.observe({ code: reply.statusCode }, reply.elapsedTime / 1_000);
      },
    },
    async (request, reply) => placeOrder(placing, request as FastifyRequest<{ Body: NewOrder }>, reply),
  );

  app.get(
    '/orders/:id',
    {
      schema: {
        summary: 'Read an order',
        tags: ['orders'],
        params: IdParams,
        headers: Type.Object({
          'if-none-match': Type.Optional(Type.String({ description: 'The ETag that you have' })),
        }),
        response: { 200: OrderSchema, 304: Type.Null({ description: 'As you know it' }), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const order = await requireOrder(deps, request.params.id, request.caller);
      return answerUnlessKnown(request, reply, order);
    },
  );

  app.get(
    '/orders',
    {
      schema: {
        summary: 'List orders, newest first',
        tags: ['orders'],
        querystring: Type.Object(
          {
            status: Type.Optional(OrderStatus),
            customerId: Type.Optional(CustomerId),
            limit: Limit,
            cursor: Type.Optional(Cursor),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ orders: Type.Array(OrderSchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async ({ query: { status, customerId, limit, cursor }, caller }) => {
      const own = confinedTo(caller, 'read');
      if (own !== undefined && customerId !== undefined && customerId !== own) return { orders: [], next: null };
      const whose = own ?? customerId;
      const filter = {
        ...(status && { status }),
        ...(whose && { customerId: whose }),
        ...(cursor && { beforeId: decodeCursor(cursor, UUID) }),
      };
      const { rows, next } = page(await listOrders(db, filter, limit + 1), limit, (order) => order.id);
      return { orders: rows, next };
    },
  );
}

/** @throws Problem not-found, also for what is not an id at all, and for what is none of the caller's business */
export async function requireOrder(
  { db }: Pick<ApiDependencies, 'db'>,
  id: string,
  caller: Caller,
  access: 'read' | 'write' = 'read',
): Promise<Order> {
  const order = UUID.test(id) ? await readOrder(db, id) : null;
  const own = confinedTo(caller, access);
  const conceals = order !== null && own !== undefined && order.customerId !== own;
  if (!order || conceals) throw new Problem('not-found', `There is no order ${id.slice(0, 64)}.`, {}, { conceals });
  return order;
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

  const { order, response, acceptance } = await admit(
    () => request.raw.socket.destroyed,
    () => acceptPriced(db, pricing, request, claim),
  );
  if (acceptance.outcome !== 'accepted') return answerEarlier(deps, acceptance, request, reply);

  ordersAccepted.inc();
  dispatcher.start({ ...order, kind: 'order' });
  request.log.info({ orderId: order.id }, 'order accepted');
  return answer(deps, order.id, response, request, reply);
}

/** Each needs another change of the catalogue between two statements; whoever meets that many is told to come again. */
const PRICINGS_MAX = 4;

/**
 * Accepts the order at the remembered prices, if the catalogue still has them, else at those that are read anew.
 * @throws Problem if it is refused, or if its prices change all the time
 */
async function acceptPriced(
  db: Database,
  pricing: Pricing,
  { body, id: correlationId, headers }: FastifyRequest<{ Body: NewOrder }>,
  claim: KeyClaim | undefined,
) {
  refuseRepeatedSkus(body.items);
  const traceparent = parseTraceparent(headers['traceparent']);
  for (let pricings = 0; pricings < PRICINGS_MAX; pricings++) {
    const priced = (pricings === 0 && pricing.recall(body)) || (await pricing.read(body));
    const order = newOrder(body, priced, correlationId);
    const response = JSON.stringify(order);
    const acceptance = await acceptOrder(
      db,
      { order, paymentMethod: body.paymentMethod, ...(traceparent && { traceparent }) },
      claim && { ...claim, response },
    );
    if (acceptance.outcome !== 'prices-changed') return { order, response, acceptance };
  }
  throw new Problem('unavailable', 'The prices of these SKUs are changing just now; nothing was ordered.');
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
  earlier: Exclude<Acceptance, { outcome: 'accepted' | 'prices-changed' }>,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  if (earlier.outcome === 'external-id-taken') {
    throw new Problem('order-exists', `The customer’s order with this externalOrderId is ${earlier.orderId}.`, {
      orderId: earlier.orderId,
    });
  }
  const { orderId, response } = replayable(earlier);
  if (orderId === null) throw new Error('Bug! An accepted order is kept without its id');
  reply.header('idempotent-replayed', 'true');
  return answer(deps, orderId, response, request, reply);
}

async function answer(
  deps: ApiDependencies,
  orderId: string,
  response: string,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  reply.code(201).header('location', `/orders/${orderId}`).type('application/json; charset=utf-8');
  const wait = parsePreferWait(request.headers['prefer']);
  if (wait === undefined) return reply.send(response);
  reply.header('preference-applied', `wait=${wait}`);
  request.leave();
  // The order is accepted, whatever happens while we wait: a database that goes away must not make this a failure.
  const order = await waitForFinal(deps, orderId, wait * 1000, reply).catch((err: unknown) => {
    request.log.warn({ err, orderId }, 'could not wait for the final status');
  });
  return reply.send(order ? JSON.stringify(order) : response);
}

/** @returns the order once it is final, or as it stands when the time is up, the client gone or the server stopping */
async function waitForFinal(
  { db, watch, stopping }: ApiDependencies,
  orderId: string,
  waitMs: number,
  reply: FastifyReply,
) {
  const gone = new AbortController();
  whenOver(reply, () => gone.abort());
  // Not AbortSignal.timeout: nothing but AbortSignal.any would hold it, weakly, and a collected one never fires.
  const timer = setTimeout(() => gone.abort(), waitMs);
  const enough = AbortSignal.any([gone.signal, stopping]);
  try {
    for (;;) {
      const news = watch.news({ signal: enough, orderId }); // registered before the read, so that nothing falls between the two
      const order = await requireOrder({ db }, orderId, reply.request.caller);
      if (order.status !== 'PENDING' || enough.aborted) return order;
      await news;
    }
  } finally {
    clearTimeout(timer);
  }
}
