/** Orders over HTTP: read one, list them. */
import { Type } from 'typebox';
import type { Order } from '../../contracts/orders.js';
import { listOrders, readOrder } from '../../domain/orders.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { answerUnlessKnown } from '../http/etags.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { type Caller, confinedTo } from '../access/permissions.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { CustomerId, IdParams, OrderSchema, OrderStatus, UUID } from '../http/schemas.js';

export function orderRoutes(app: Api, deps: ApiDependencies): void {
  readRoute(app, deps);
  listRoute(app, deps);
}

function readRoute(app: Api, deps: ApiDependencies): void {
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
}

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
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
    async ({ query: { status, customerId, limit, cursor }, caller }, reply) => {
      const own = confinedTo(caller, 'read');
      if (own !== undefined && customerId !== undefined && customerId !== own) return { orders: [], next: null };
      const whose = own ?? customerId;
      const filter = {
        ...(status && { status }),
        ...(whose && { customerId: whose }),
      };
      const before = cursor === undefined ? undefined : decodeCursor(cursor, UUID);
      return sendPage<Order>(reply, {
        name: 'orders',
        schema: OrderSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listOrders(db, { ...filter, beforeId: last?.id ?? before }, rows),
        next: nextBy((order) => order.id),
      });
    },
  );
}

/** @throws Problem not-found, also for what is not an id at all, and for an order that the caller may not see */
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
