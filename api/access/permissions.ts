/** Permissions: one table of routes and roles, in which every route must stand. */
import { Problem } from '../http/problems.js';

/** customer: own orders only · service: any customer's orders · operator: also stock and sagas · auditor: reads everything. */
export const ROLES = ['customer', 'service', 'operator', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

/** The authenticated sender of a request. Without authentication every caller is `anonymous`, with every role. */
export type Caller = {
  subject: string;
  roles: readonly Role[];
  /** When the token is good no more, in ms since 1970: what is answered for longer ends then. undefined = no authentication. */
  expiresAt?: number;
};
export const ANONYMOUS: Caller = { subject: 'anonymous', roles: ROLES };

const everyone = ROLES;
const open = 'open';

type Allowed = readonly Role[] | typeof open;

/** Route → the roles that may use it; `open` needs no token. `confinedTo` decides whether an order is the customer's own. */
const TABLE = {
  'POST /orders': ['customer', 'service', 'operator'],
  'GET /orders': everyone,
  'GET /orders/:id': everyone,
  'POST /orders/:id/cancel': ['customer', 'service', 'operator'],
  'GET /orders/:id/saga': everyone,
  'GET /orders/:id/events': everyone,
  'GET /customers/:id/export': everyone,
  'GET /events': ['service', 'operator', 'auditor'],
  'GET /inventory': everyone,
  'GET /inventory/:sku': everyone,
  'PUT /inventory/:sku': ['operator'],
  'GET /whoami': everyone,
  'GET /admin/search': ['operator', 'auditor'],
  'GET /admin/orders': ['operator', 'auditor'],
  'GET /admin/overview': ['operator', 'auditor'],
  'POST /inventory/:sku/adjust': ['operator'],
  'GET /admin/sagas': ['operator', 'auditor'],
  'POST /admin/sagas/:id/resolve': ['operator'],
  'GET /admin/orders/:id/explanation': ['operator', 'auditor'],
  'GET /admin/orders/:id/timeline': ['operator', 'auditor'],
  'GET /admin/audit': ['operator', 'auditor'],
  'GET /admin/audit/entries': ['operator', 'auditor'],
  'GET /admin/audit/verification': ['operator', 'auditor'],
  'GET /admin/brakes': ['operator', 'auditor'],
  'POST /admin/brakes/:brake/engage': ['operator'],
  'POST /admin/brakes/:brake/release': ['operator'],
  'GET /admin/dead-letters': ['operator', 'auditor'],
  'POST /admin/dead-letters/replay': ['operator'],
  'POST /admin/dead-letters/:id/replay': ['operator'],
  'POST /admin/dead-letters/:id/discard': ['operator'],
  'POST /admin/operations/preview': ['operator'],
  'POST /admin/operations': ['operator'],
  'POST /admin/operations/:id/pause': ['operator'],
  'POST /admin/operations/:id/resume': ['operator'],
  'POST /admin/operations/:id/abort': ['operator'],
  'GET /admin/operations': ['operator', 'auditor'],
  'GET /admin/operations/:id': ['operator', 'auditor'],
  'GET /admin/operations/:id/items': ['operator', 'auditor'],
  'GET /admin/destinations': ['operator', 'auditor'],
  'GET /admin/findings': ['operator', 'auditor'],
  'POST /admin/findings/:id/close': ['operator'],
  'POST /admin/findings/:id/refund': ['operator'],
  'POST /admin/customers/:id/erase': ['operator'],
  'GET /admin/erasures': ['operator', 'auditor'],
  'GET /admin/erasures/:id': ['operator', 'auditor'],
  'POST /codec/decode': ['operator', 'auditor'],
  'POST /codec/encode': ['operator'],
  'POST /webhooks/payments': open, // signed
  'GET /livez': open,
  'GET /readyz': open,
  'GET /openapi.json': open,
  'GET /problems/:code': open,
} as const satisfies Record<string, Allowed>;
/** Every route: other tables about routes (`load/costs`) have a line for each, or do not compile. */
export type Route = keyof typeof TABLE;
export const PERMISSIONS: Readonly<Record<string, Allowed>> = TABLE;

/** @throws at start-up for a route that the table does not name: nothing is open by oversight */
export function permissionOf(method: string, url: string): Allowed {
  if (method === 'OPTIONS' && url === '*') return open; // preflights, if CORS is on
  if (url === '/docs' || url.startsWith('/docs/')) return open;
  if (url === '/console' || url.startsWith('/console/')) return open; // files; their data is asked of the routes above
  if (url === '/demo' || url.startsWith('/demo/')) return ['operator']; // only where `npm start` has them
  const permission = PERMISSIONS[`${method === 'HEAD' ? 'GET' : method} ${url}`];
  if (!permission) throw new Error(`Bug! ${method} ${url} is not in the table of permissions`);
  return permission;
}

/** POST because of what they are asked about: they change nothing. */
export const CHANGES_NOTHING: ReadonlySet<string> = new Set(['/codec/decode', '/codec/encode']);

export function requireRole(caller: Caller, allowed: readonly Role[]): void {
  if (!caller.roles.some((role) => allowed.includes(role)))
    throw new Problem('forbidden', `This takes the role ${allowed.join(' or ')}.`);
}

/** The roles that reach beyond their own orders, by access: being an auditor as well does not let a customer order for others. */
const UNCONFINED = {
  read: ['service', 'operator', 'auditor'],
  write: ['service', 'operator'],
} as const satisfies Record<string, readonly Role[]>;

/** Customers are confined to their own orders. @returns the customer id that the caller is confined to, or undefined */
export const confinedTo = (caller: Caller, access: 'read' | 'write'): string | undefined =>
  caller.roles.some((role) => (UNCONFINED[access] as readonly Role[]).includes(role)) ? undefined : caller.subject;

/** No caller decides in another's name. @param named the operator that the request names; undefined = the caller */
export function operatorOf(caller: Caller, named: string | undefined): string {
  if (caller === ANONYMOUS) return named ?? caller.subject;
  if (named !== undefined && named !== caller.subject) {
    throw new Problem('forbidden', 'operator must be the token’s own subject.');
  }
  return caller.subject;
}
