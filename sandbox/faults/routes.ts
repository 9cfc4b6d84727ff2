/** Fault routes: `/sandbox/faults`, where faults are set, seen and ended. No key needed. */
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import { invalid } from '../protocol/errors.js';
import type { FaultRequest, Faults } from './faults.js';
import { AHEAD_MAX_MS } from '../time/clock.js';
import { canStrike, MODES, type Mode, ROUTES } from './modes.js';

const DELAY_MAX_MS = 10 * 60 * 1000;

const Body = Type.Object(
  {
    mode: Type.Enum(Object.keys(MODES) as Mode[]),
    route: Type.Optional(Type.Enum([...ROUTES])),
    /** Requests that it still applies to; null = until it is cleared. */
    count: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
    delayMs: Type.Optional(Type.Integer({ minimum: 0, maximum: DELAY_MAX_MS })),
    orderId: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
    /** Anything that a header can hold: whether it makes sense is for its reader. */
    retryAfter: Type.Optional(Type.String({ maxLength: 1_000, pattern: '^[\\x20-\\x7e]*$' })),
    amount: Type.Optional(Type.Integer()),
    currency: Type.Optional(Type.String({ maxLength: 10 })),
    event: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    date: Type.Optional(Type.String({ maxLength: 100, pattern: '^[\\x20-\\x7e]*$' })),
    aheadMs: Type.Optional(Type.Integer({ minimum: -AHEAD_MAX_MS, maximum: AHEAD_MAX_MS })),
  },
  { additionalProperties: false },
);

/** For `GET /`, which says what the sandbox can do. */
export const FAULTS_HELP = {
  how: 'POST /sandbox/faults with a body like `example`, as application/json; DELETE /sandbox/faults ends them all.',
  example: { mode: 'down', route: 'charge', count: 3 } satisfies Static<typeof Body>,
  mode: Object.keys(MODES),
  modes: Object.fromEntries(Object.entries(MODES).map(([mode, { says }]) => [mode, says])),
  route: ROUTES,
  routes:
    'charge, refund: a POST. lookup: any GET; list, search, retrieve: one kind of it; page: of lists, with ' +
    'starting_after or ending_before. customer: anything below /v1/customers. all: any request; webhooks are struck by ' +
    'webhook_… only.',
  optional:
    'route (default all), count of requests (default: until it is ended), delayMs, orderId (default: any), retryAfter ' +
    '(down, busy; sent as it is), amount and currency (wrong_echo), event (webhook_…: a type of event, default any), date or ' +
    'aheadMs (wrong_date, which is on every answer of the provider: it has no route and no orderId)',
};

export function faultRoutes(app: FastifyInstance, faults: Faults): void {
  app.post<{ Body: Static<typeof Body> }>('/sandbox/faults', { schema: { body: Body } }, ({ body }, reply) => {
    refuseContradictions(body);
    reply.code(201);
    return faults.add(body);
  });
  app.get('/sandbox/faults', () => ({ faults: faults.list() }));
  app.delete('/sandbox/faults', (_request, reply) => {
    faults.clear();
    return reply.code(204).send();
  });
}

/** A fault that can never strike, or not as it says, would let its test pass for nothing. */
function refuseContradictions(request: FaultRequest): void {
  const { mode, route = 'all', retryAfter, amount, currency, event, orderId, date, aheadMs } = request;
  const isEcho = amount !== undefined || currency !== undefined;
  const wrong = [
    !canStrike(mode, route) && `${mode} never happens on the route ${route}`,
    retryAfter !== undefined && mode !== 'down' && mode !== 'busy' && `${mode} has no retryAfter`,
    isEcho !== (mode === 'wrong_echo') &&
      (isEcho ? `${mode} has no amount or currency` : `${mode} lacks its amount or currency`),
    event !== undefined && !mode.startsWith('webhook_') && `${mode} is about no event`,
    mode === 'wrong_date' && (route !== 'all' || orderId !== undefined) && `${mode} has no route and no orderId`,
    mode === 'wrong_date'
      ? (date === undefined) === (aheadMs === undefined) && `${mode} takes either date or aheadMs`
      : (date !== undefined || aheadMs !== undefined) && `${mode} has no date or aheadMs`,
  ].find((sentence) => sentence !== false);
  if (wrong) throw invalid(`body: ${wrong}`);
}
