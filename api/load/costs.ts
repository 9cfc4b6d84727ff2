/**
 * Costs: what a request takes out of its caller's bucket, one table in which every route must stand. The unit is a cheap
 * request, such as `GET /orders/{id}`: about two milliseconds of this process. Dearer ones count as more, by what was measured or, where it
 * was not, by their statements,
 * sagas and undos that they set off included.
 */
import type { FastifyRequest } from 'fastify';
import type { Route } from '../access/permissions.js';

type Cost = number | ((request: FastifyRequest) => number);

/** Rows that cost as much as a cheap request: a page of 1,000 orders is some 50 times as dear as one order. */
const ROWS_PER_UNIT = 20;
const PAGE_DEFAULT = 100;
const PAGE_MAX = 1_000;

/** Of a list, by the rows asked for. The parameter is not validated yet: what is no number will be refused, and costs little. */
const page = ({ query }: FastifyRequest): number => {
  const limit = Number((query as { limit?: unknown }).limit ?? PAGE_DEFAULT);
  const rows = Number.isFinite(limit) ? Math.min(Math.max(limit, 1), PAGE_MAX) : 1;
  return 1 + Math.floor(rows / ROWS_PER_UNIT);
};

/** Of a page, that cost as much as a cheap request: 20 orders of a hundred lines are 120 KB, and 4 ms. */
const BYTES_PER_UNIT = 10_240;
/** Of a body. To read one of 64 KiB and find it wrong takes 2.4 ms. */
const BODY_BYTES_PER_UNIT = 8_192;
const BODY_UNITS_MAX = 8;

/** Health is never refused. The documents are large, and read by people. */
const FREE = 0;
const DOCUMENTS: Cost = 2;
/** Some thirty small ones make the console, from memory. */
const CONSOLE_FILE: Cost = 1;

const COSTS: Record<Route, Cost> = {
  // With its saga, which takes 10 to 15 ms of other processes, too.
  'POST /orders': 12,
  'GET /orders': page,
  'GET /orders/:id': 1,
  // Two statements, a signal, an answer that is kept for its Idempotency-Key, and the undos.
  'POST /orders/:id/cancel': 10,
  // Asks the worker, which runs everybody's sagas.
  'GET /orders/:id/saga': 15,
  // An order has some ten events, whatever the limit.
  'GET /orders/:id/events': 2,
  // As a page of a thousand orders, and then by its bytes.
  'GET /customers/:id/export': 1 + PAGE_MAX / ROWS_PER_UNIT,
  'GET /events': page,
  'GET /inventory': page,
  'GET /inventory/:sku': 1,
  'PUT /inventory/:sku': 3,
  'GET /whoami': 1,
  // Six looks into indexes, and then by its rows.
  'GET /admin/search': (request) => 6 + page(request),
  // Looks through twenty thousand orders at most, in some 40 ms, of Postgres'.
  'GET /admin/orders': (request) => 10 + page(request),
  // Shared by all who look within a second.
  'GET /admin/overview': 3,
  'POST /inventory/:sku/adjust': 5,
  // Asks Temporal for all that is stuck.
  'GET /admin/sagas': 30,
  'POST /admin/sagas/:id/resolve': 15,
  // Ten statements, four questions to Temporal, two to the gateway.
  'GET /admin/orders/:id/explanation': 30,
  // The same, and four statements more.
  'GET /admin/orders/:id/timeline': 35,
  'GET /admin/audit': page,
  'GET /admin/audit/entries': page,
  // A thousand signatures of each of the trail's tables.
  'GET /admin/audit/verification': 25,
  'GET /admin/brakes': 3,
  'POST /admin/brakes/:brake/engage': 5,
  'POST /admin/brakes/:brake/release': 5,
  'GET /admin/dead-letters': page,
  'POST /admin/dead-letters/replay': 20,
  'POST /admin/dead-letters/:id/replay': 5,
  'POST /admin/dead-letters/:id/discard': 5,
  // Asks Temporal for all that is stuck, and writes down ten thousand at most.
  'POST /admin/operations/preview': 50,
  'POST /admin/operations': 10,
  'POST /admin/operations/:id/pause': 5,
  'POST /admin/operations/:id/resume': 5,
  'POST /admin/operations/:id/abort': 10,
  'GET /admin/operations': page,
  // Its items are counted: ten thousand of them in some 2 ms.
  'GET /admin/operations/:id': 2,
  'GET /admin/operations/:id/items': page,
  // What is owed is counted in each partition, to 500.
  'GET /admin/destinations': 5,
  // Counts all that match, however few are shown.
  'GET /admin/findings': (request) => 10 + page(request),
  'POST /admin/findings/:id/close': 5,
  'POST /admin/findings/:id/refund': 5,
  'POST /admin/customers/:id/erase': 5,
  'GET /admin/erasures': page,
  'GET /admin/erasures/:id': 2,
  'POST /webhooks/payments': 2,
  'POST /codec/decode': 2,
  'POST /codec/encode': 2,
  'GET /livez': FREE,
  'GET /readyz': FREE,
  'GET /openapi.json': 10,
  'GET /problems/:code': 1,
};

/**
 * @returns what a service pays besides the one that it pays at first, when the customer in whose name it asks has paid. Nothing for an
 * order: how many a service may place, RATE_LIMIT_ORDERS_PER_MINUTE says, and a shop may place them all at once.
 */
export const restOfService = (request: FastifyRequest): number =>
  request.method === 'POST' && request.routeOptions.url === '/orders' ? 0 : costOfRequest(request) - 1;

/** The dearest request there is must fit into every bucket, or its callers would wait for ever. */
export const COST_MAX = 1 + PAGE_MAX / ROWS_PER_UNIT;

/** @throws at start-up for a route that the table does not name: nothing is free by oversight */
export function costOf(method: string, url: string): Cost {
  if (method === 'OPTIONS' && url === '*') return FREE; // preflights, if CORS is on
  if (url === '/docs' || url.startsWith('/docs/')) return DOCUMENTS;
  if (url === '/console' || url.startsWith('/console/')) return CONSOLE_FILE;
  if (url === '/demo' || url.startsWith('/demo/')) return 1;
  const cost = COSTS[`${method === 'HEAD' ? 'GET' : method} ${url}` as Route] as Cost | undefined;
  if (cost === undefined) throw new Error(`Bug! ${method} ${url} is not in the table of costs`);
  return cost;
}

/** @returns what this request takes out of its caller's bucket */
export function costOfRequest(request: FastifyRequest): number {
  const cost = costOf(request.method, request.routeOptions.url ?? '');
  return typeof cost === 'number' ? cost : cost(request);
}

/** @returns what a page turns out to cost beyond what its rows did, once it is known how large they are */
export const costOfBytes = (request: FastifyRequest, bytes: number): number =>
  Math.max(0, Math.ceil(bytes / BYTES_PER_UNIT) - costOfRequest(request));

/** What a body costs whoever sends it in a customer's name, which stands in the body. One that does not say its length counts as the longest. */
export function costOfBody({ headers }: FastifyRequest): number {
  if (headers['transfer-encoding'] !== undefined) return BODY_UNITS_MAX;
  return Math.min(BODY_UNITS_MAX, Math.floor(Number(headers['content-length'] ?? 0) / BODY_BYTES_PER_UNIT));
}
