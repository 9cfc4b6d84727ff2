/** Orders over HTTP by what many have in common, for operators: of which SKU they are, whose stock is held, what they cost, when they were accepted. */
import { type Static, Type } from 'typebox';
import { ORDER_TOTAL_MAX, type StoredOrder } from '../../contracts/orders.js';
import { beginSearch, type Common, EXAMINED_MAX } from '../../domain/order-finding.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { moment, momentOf } from '../http/moments.js';
import { Cursor, decodeCursor, encodeCursor, Next, sendPage } from '../http/pages.js';
import { Problem } from '../http/problems.js';
import { Currency, OrderSchema, OrderStatus, SkuName, UUID } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';
import { told } from './orders.js';

const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 100;

const amount = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: ORDER_TOTAL_MAX, description }));

const Query = Type.Object(
  {
    sku: Type.Optional(SkuName),
    heldSku: Type.Optional(SkuName),
    currency: Type.Optional(Currency),
    amountFrom: amount('Orders whose total is at least that, in the minor unit of `currency`'),
    amountTo: amount('Orders whose total is at most that; the same as `amountFrom` for an amount that is known'),
    status: Type.Optional(OrderStatus),
    createdFrom: moment('Accepted at or after this moment (ISO 8601; UTC unless it says otherwise)'),
    createdTo: moment('Accepted before this moment'),
    limit: Type.Integer({
      minimum: 1,
      maximum: LIMIT_MAX,
      default: LIMIT_DEFAULT,
      description: 'Orders per page, at most: a page may hold fewer',
    }),
    cursor: Type.Optional(Cursor),
  },
  { additionalProperties: false },
);

export function orderFindingRoutes(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/orders',
    {
      schema: {
        summary: 'Find orders by SKU, by the stock that they hold, by amount or by time',
        description:
          'Newest first; all that is given must fit. `sku`: one of the order’s lines is of it. `heldSku`: the order holds stock of it now, which is reserved ' +
          `for it, and neither bought nor given back. A request looks through ${EXAMINED_MAX} orders at most, so a page may hold fewer orders than \`limit\`, or none, ` +
          'and have a `next`: the search goes on from there. What is found is on record, each order by its id.',
        tags: ['orders'],
        querystring: Query,
        response: {
          200: Type.Object({ orders: Type.Array(OrderSchema), next: Next }),
          '4xx': problemResponses('key-unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { limit, cursor } = request.query;
      const wanted = wantedOf(request.query);
      const before = cursor === undefined ? undefined : decodeCursor(cursor, UUID);
      const look = beginSearch(db, wanted, before, 'opened');
      let end: string | null = null;
      const shown: string[] = [];
      return sendPage<StoredOrder>(reply, {
        name: 'orders',
        schema: OrderSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => {
          const seen = await look(last?.id ?? before, rows);
          end = seen.end;
          return seen.orders;
        },
        show: (order) => {
          shown.push(order.id);
          return told(order);
        },
        next: ({ more, last, texts }) => {
          request.auditedAs = shown.slice(0, texts.length);
          const place = more ? (last?.id ?? null) : end;
          return place === null ? null : encodeCursor(place);
        },
      });
    },
  );
}

/** @throws Problem invalid-request for an amount without its currency, and the other way round, and for a range that is none */
function wantedOf(query: Static<typeof Query>): Common {
  const { sku, heldSku, currency, amountFrom, amountTo, status, createdFrom, createdTo } = query;
  const isOfAmount = amountFrom !== undefined || amountTo !== undefined;
  if (isOfAmount && currency === undefined)
    throw refused('currency', 'is needed with an amount: it is in its minor unit');
  const from = amountFrom ?? 0;
  const to = amountTo ?? ORDER_TOTAL_MAX;
  if (from > to) throw refused('amountFrom', 'must not be more than amountTo');
  return {
    ...(sku !== undefined && { sku }),
    ...(heldSku !== undefined && { heldSku }),
    ...(currency !== undefined && { amount: { currency, from, to } }),
    ...(status !== undefined && { status }),
    ...(createdFrom !== undefined && { createdFromMs: momentOf('createdFrom', createdFrom) }),
    ...(createdTo !== undefined && { createdToMs: momentOf('createdTo', createdTo) }),
  };
}

function refused(name: string, detail: string): Problem {
  const error = { pointer: `querystring/${name}`, detail };
  return new Problem('invalid-request', `${error.pointer}: ${error.detail}`, { errors: [error] });
}
