/** Who may do what: one table, in which every route must stand. */
import { Problem } from './problems.js';

/** customer: own orders only · service: any customer's orders · operator: also stock and sagas · auditor: reads everything. */
export const ROLES = ['customer', 'service', 'operator', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

/** Who asks. Without authentication everybody is `anonymous`, with every role. */
export type Caller = { subject: string; roles: readonly Role[] };
export const ANONYMOUS: Caller = { subject: 'anonymous', roles: ROLES };

const everyone = ROLES;
const open = 'open';

/** Route → the roles that may use it; `open` needs no token. A customer's own orders are told apart by `mayRead`. */
export const PERMISSIONS: Readonly<Record<string, readonly Role[] | typeof open>> = {
  'POST /orders': ['customer', 'service', 'operator'],
  'GET /orders': everyone,
  'GET /orders/:id': everyone,
  'GET /orders/:id/saga': everyone,
  'GET /orders/:id/events': everyone,
  'GET /events': ['service', 'operator', 'auditor'],
  'GET /inventory': everyone,
  'GET /inventory/:sku': everyone,
  'PUT /inventory/:sku': ['operator'],
  'GET /livez': open,
  'GET /readyz': open,
  'GET /openapi.json': open,
  'GET /problems/:code': open,
};

/** @throws at start-up for a route that the table does not name: nothing is open by oversight */
export function permissionOf(method: string, url: string): readonly Role[] | typeof open {
  if (url === '/docs' || url.startsWith('/docs/')) return open;
  const permission = PERMISSIONS[`${method === 'HEAD' ? 'GET' : method} ${url}`];
  if (!permission) throw new Error(`Bug! ${method} ${url} is not in the table of permissions`);
  return permission;
}

export function requireRole(caller: Caller, allowed: readonly Role[]): void {
  if (!caller.roles.some((role) => allowed.includes(role))) {
    throw new Problem('forbidden', `This takes the role ${allowed.join(' or ')}.`);
  }
}

/** A caller who is nothing more than a customer is confined to its own orders. @returns its customer id, or undefined */
export const confinedTo = (caller: Caller): string | undefined =>
  caller.roles.some((role) => role !== 'customer') ? undefined : caller.subject;
