/** Search over HTTP: one text, whatever it is of an order, and the orders that it is of. */
import { Type } from 'typebox';
import { type Found, FOUND_BY, SEARCH_TEXT_MAX, searchOrders } from '../../domain/search.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { ProblemSchema } from '../http/problems.js';
import { OrderSchema, oneOf } from '../http/schemas.js';
import { told } from './orders.js';

/** A screenful; who finds more pages through GET /orders. */
const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 100;

const FoundSchema = Type.Object({
  order: OrderSchema,
  foundBy: Type.Array(oneOf(FOUND_BY, 'What the text is of the order; `event`: the order has such an event or had'), {
    minItems: 1,
  }),
});

export function searchRoutes(app: Api, { db }: ApiDependencies): void {
  app.get(
    '/admin/search',
    {
      schema: {
        summary: 'Find orders by whatever is known of them',
        description:
          'The text is tried as the id of an order, of its saga or of an event, as a correlation id, as an `externalOrderId`, as the gateway’s ' +
          'reference of a charge or a refund (`pi_…`, `re_…`), and as a customer’s id or reference. All of it must fit. A charge’s other id ' +
          'at Stripe, `ch_…`, is not kept here: its page there shows the `pi_…`. What a person finds is on record, by order or customer.',
        tags: ['orders'],
        querystring: Type.Object(
          {
            q: Type.String({
              pattern: `^[\\x21-\\x7e]{1,${SEARCH_TEXT_MAX}}$`,
              description: 'One word: printable ASCII without spaces',
              examples: ['pi_3Ab0000000000001'],
            }),
            limit: Type.Integer({
              minimum: 1,
              maximum: LIMIT_MAX,
              default: LIMIT_DEFAULT,
              description: 'Orders, at most',
            }),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            orders: Type.Array(FoundSchema, { description: 'Newest first' }),
            more: Type.Boolean({
              description: 'There are more than `limit`: page through them with a filter of `GET /orders`',
            }),
          }),
          '4xx': ProblemSchema,
        },
      },
    },
    async (request) => {
      const { q, limit } = request.query;
      const found = await searchOrders(db, q, limit + 1);
      const shown = found.slice(0, limit);
      request.auditedAs = whoseWasRead(shown);
      return {
        orders: shown.map(({ order, by }) => ({ order: told(order), foundBy: by })),
        more: found.length > limit,
      };
    },
  );
}

/** A customer's orders are a read of the customer's, by reference; others, and those older than references, each of its own. */
function whoseWasRead(found: Found[]): string[] {
  const named = found.map(({ order: { id, customer, customerId }, by }) => {
    const isOfCustomer = by.includes('customerId') || by.includes('customerReference');
    return isOfCustomer && customer !== customerId ? `customer ${customer}` : id;
  });
  return [...new Set(named)];
}
