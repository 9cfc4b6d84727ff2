/** Orders over HTTP: read one, list them. */
import { type Static, Type } from 'typebox';
import type { Order, StoredOrder } from '../../contracts/orders.js';
import { listOrders, type OrderFilter, readOrder, readOrderFor, type Texts } from '../../domain/orders.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { problemResponses } from '../openapi/problems.js';
import { answerUnlessKnown } from '../http/etags.js';
import { moment, momentOf } from '../http/moments.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { type Caller, confinedTo } from '../access/permissions.js';
import { Problem } from '../http/problems.js';
import { CustomerId, ExternalOrderId, IdParams, OrderSchema, OrderStatus, UUID } from '../http/schemas.js';

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
        response: {
          200: OrderSchema,
          304: Type.Null({ description: 'As you know it' }),
          '4xx': problemResponses('key-unavailable'),
        },
      },
    },
    async (request, reply) => {
      const order = await requireOrder(deps, request.params.id, request.caller, { texts: 'opened' });
      request.drawFor(order.customerId);
      return answerUnlessKnown(request, reply, told(order));
    },
  );
}

const reference = (description: string, pattern = '^[\\x21-\\x7e]{1,200}$') =>
  Type.Optional(Type.String({ pattern, description }));

const ListQuery = Type.Object(
  {
    status: Type.Optional(OrderStatus),
    customerId: Type.Optional(CustomerId),
    externalOrderId: Type.Optional(ExternalOrderId),
    gatewayReference: reference('The payment provider’s id of a charge or a refund'),
    correlationId: reference('Of the request that placed the order'),
    eventId: reference('Of any of its events', `${UUID.source.replace('$', '')}-\\d{1,9}$`),
    createdFrom: moment('Accepted at or after this moment (ISO 8601; UTC unless it says otherwise)'),
    createdTo: moment('Accepted before this moment'),
    limit: Limit,
    cursor: Type.Optional(Cursor),
  },
  { additionalProperties: false },
);

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/orders',
    {
      schema: {
        summary: 'List orders, newest first',
        description:
          'All filters that are given must fit. An `externalOrderId` may have several orders: of several customers, and of one ' +
          'whose earlier order with it was cancelled. Customers find their own orders only.',
        tags: ['orders'],
        querystring: ListQuery,
        response: {
          200: Type.Object({ orders: Type.Array(OrderSchema), next: Next }),
          '4xx': problemResponses('key-unavailable'),
        },
      },
    },
    async ({ query, caller }, reply) => {
      const { limit, cursor, customerId } = query;
      const own = confinedTo(caller, 'read');
      if (own !== undefined && customerId !== undefined && customerId !== own) return { orders: [], next: null };
      const filter = filterOf(query, own);
      const before = cursor === undefined ? undefined : decodeCursor(cursor, UUID);
      return sendPage<StoredOrder>(reply, {
        name: 'orders',
        schema: OrderSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listOrders(db, { ...filter, beforeId: last?.id ?? before }, rows, 'opened'),
        show: told,
        next: nextBy((order) => order.id),
      });
    },
  );
}

/** @param own the customer that the caller is confined to. @throws Problem invalid-request for a day that there is not */
function filterOf(query: Static<typeof ListQuery>, own: string | undefined): OrderFilter {
  const { status, customerId, externalOrderId, gatewayReference, correlationId, eventId } = query;
  const whose = own ?? customerId;
  return {
    ...(status && { status }),
    ...(whose && { customerId: whose }),
    ...(externalOrderId !== undefined && { externalOrderId }),
    ...(gatewayReference !== undefined && { gatewayReference }),
    ...(correlationId !== undefined && { correlationId }),
    ...(eventId !== undefined && { eventId }),
    ...(query.createdFrom !== undefined && { createdFromMs: momentOf('createdFrom', query.createdFrom) }),
    ...(query.createdTo !== undefined && { createdToMs: momentOf('createdTo', query.createdTo) }),
  };
}

/**
 * @param texts opened, if the order is shown
 * @throws Problem not-found, also for what is not an id at all, and for an order that the caller may not see
 */
export async function requireOrder(
  { db }: Pick<ApiDependencies, 'db'>,
  id: string,
  caller: Caller,
  { access = 'read', texts = 'closed' }: { access?: 'read' | 'write'; texts?: Texts } = {},
): Promise<StoredOrder> {
  const own = confinedTo(caller, access);
  const found = UUID.test(id) ? await find(db, id, { own, texts }) : null;
  if (!found?.isOwn)
    throw new Problem('not-found', `There is no order ${id.slice(0, 64)}.`, {}, { conceals: found !== null });
  return found.order;
}

/** @param own the customer that the caller is confined to */
async function find(db: ApiDependencies['db'], id: string, { own, texts }: { own: string | undefined; texts: Texts }) {
  if (own !== undefined) return readOrderFor(db, id, own, texts);
  const order = await readOrder(db, id, texts);
  return order && { order, isOwn: true };
}

/** What is told of an order: by the customer's reference it is known inside, and to consumers of events. */
export const told = ({ customer: _, ...order }: StoredOrder): Order => order;
