/**
 * Which routes answer what is kept of a person, one table in which every route must stand: an order, its number, its events, its saga
 * and whatever lists those are a person's, also under a reference. The OpenAPI document says it of each operation
 * (`x-personal-data`), and reads of these by operators and auditors are on record (audited-reads).
 */
import { permissionOf, type Route } from './permissions.js';

const ANSWERS_PERSONAL_DATA: Record<Route, boolean> = {
  'POST /orders': true,
  'GET /orders': true,
  'GET /orders/:id': true,
  'POST /orders/:id/cancel': true,
  'GET /orders/:id/saga': true,
  'GET /orders/:id/events': true,
  'GET /customers/:id/export': true,
  'GET /events': true,
  'GET /inventory': false,
  'GET /inventory/:sku': false,
  'PUT /inventory/:sku': false,
  // Whoever asks, of itself.
  'GET /whoami': false,
  'GET /admin/search': true,
  'GET /admin/orders': true,
  // Counts and sums.
  'GET /admin/overview': false,
  'POST /inventory/:sku/adjust': false,
  'GET /admin/sagas': true,
  'POST /admin/sagas/:id/resolve': true,
  'GET /admin/orders/:id/explanation': true,
  'GET /admin/orders/:id/timeline': true,
  // Who has read and done what: operators are persons, too.
  'GET /admin/audit': true,
  'GET /admin/audit/entries': true,
  'GET /admin/audit/verification': false,
  'GET /admin/brakes': false,
  'POST /admin/brakes/:brake/engage': false,
  'POST /admin/brakes/:brake/release': false,
  'GET /admin/dead-letters': true,
  'POST /admin/dead-letters/replay': true,
  'POST /admin/dead-letters/:id/replay': true,
  'POST /admin/dead-letters/:id/discard': true,
  // Counts, and sums of money; which orders they are is what the items say.
  'POST /admin/operations/preview': false,
  'POST /admin/operations': false,
  'POST /admin/operations/:id/pause': false,
  'POST /admin/operations/:id/resume': false,
  'POST /admin/operations/:id/abort': false,
  'GET /admin/operations': false,
  'GET /admin/operations/:id': false,
  'GET /admin/operations/:id/items': true,
  'GET /admin/destinations': false,
  'GET /admin/findings': true,
  'POST /admin/findings/:id/close': true,
  'POST /admin/findings/:id/refund': true,
  // Whose erasure it is, is what they do not say.
  'POST /admin/customers/:id/erase': false,
  'GET /admin/erasures': false,
  'GET /admin/erasures/:id': false,
  'POST /codec/decode': true,
  'POST /codec/encode': false,
  'POST /webhooks/payments': false,
  'GET /livez': false,
  'GET /readyz': false,
  'GET /openapi.json': false,
  'GET /problems/:code': false,
};

/** @throws at start-up for a route that neither table names: no read goes unrecorded by oversight */
export function answersPersonalData(method: string, url: string): boolean {
  const answers = ANSWERS_PERSONAL_DATA[`${method === 'HEAD' ? 'GET' : method} ${url}` as Route] as boolean | undefined;
  if (url === '/demo' || url.startsWith('/demo/')) return false;
  if (answers === undefined && permissionOf(method, url) !== 'open')
    throw new Error(`Bug! ${method} ${url} is not in the table of what answers personal data`);
  return answers ?? false;
}

/** Whether a path's id is a client's id of a customer, which no log and no trail keeps. */
export const namesCustomer = (url: string): boolean => url.includes('/customers/:id');
