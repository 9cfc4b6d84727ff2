/** The HTTP server: what every request passes through, and the visible list of routes. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import { type FastifyBaseLogger, fastify, LogController } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import { adminRoutes } from './admin.js';
import { cancellationRoutes } from './cancellations.js';
import type { Api, ApiDependencies } from './dependencies.js';
import { eventRoutes } from './events.js';
import { CORRELATION_ID } from './headers.js';
import { healthRoutes } from './health.js';
import { inventoryRoutes } from './inventory.js';
import { openApi } from './openapi-document.js';
import { orderRoutes } from './orders.js';
import { permissionOf, requireRole } from './permissions.js';
import { answerUnparsable, answerUnroutable, handleProblems, nothingHere } from './problems.js';
import { sagaRoutes } from './sagas.js';
import { webhookRoutes } from './webhooks.js';

const BODY_MAX_BYTES = 64 * 1024;
/** A client that has not sent its whole request by then never will (slowloris). */
const REQUEST_LIMIT_MS = 15_000;
/** Above the 60 s of common load balancers, so that it is they who close idle connections, not we under a request. */
const KEEP_ALIVE_MS = 65_000;

/** Everything from here: the page works offline, and over plain HTTP (no upgrade-insecure-requests). */
const DOCS_CSP = {
  'default-src': "'self'",
  'img-src': "'self' data:",
  'object-src': "'none'",
  'base-uri': "'none'",
  'form-action': "'self'",
  'frame-ancestors': "'none'",
};

export async function createServer(deps: ApiDependencies, logger: FastifyBaseLogger): Promise<Api> {
  const app: Api = fastify({
    loggerInstance: logger,
    // One line per accepted order is enough; access logs are the proxy's.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'correlationId' }),
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: REQUEST_LIMIT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
    frameworkErrors: answerUnroutable,
    clientErrorHandler: answerUnparsable,
    // A body with __proto__ or constructor reaches the schemas, which name the field and refuse it like any unknown one.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    genReqId: (request) => {
      const given = request.headers['x-correlation-id'];
      return typeof given === 'string' && CORRELATION_ID.test(given) ? given : uuidv7();
    },
  }).withTypeProvider<TypeBoxTypeProvider>();

  validateStrictly(app);
  app.removeContentTypeParser('text/plain'); // a body is JSON, or it is refused
  app.decorateRequest('caller');
  app.addHook('onRoute', ({ method, url }) => {
    for (const m of [method].flat()) permissionOf(m, url);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-correlation-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    reply.header('cache-control', 'no-store');
    if (request.is404) throw nothingHere(app, request, reply); // before its body is looked at: that would be refused first
    const allowed = permissionOf(request.method, request.routeOptions.url ?? '');
    if (allowed === 'open') return;
    request.caller = await deps.authenticate(request);
    requireRole(request.caller, allowed);
  });

  handleProblems(app);
  await app.register(swagger, openApi);
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_CSP });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.register(async (routes: Api) => {
    orderRoutes(routes, deps);
    eventRoutes(routes, deps);
    sagaRoutes(routes, deps);
    cancellationRoutes(routes, deps);
    adminRoutes(routes, deps);
    inventoryRoutes(routes, deps);
    healthRoutes(routes, deps);
    webhookRoutes(routes, deps);
  });
  return app;
}

/** Bodies are taken as they are: no coercion, no field dropped in silence. Query strings are text, so they are read as such. */
function validateStrictly(app: Api): void {
  const base = {
    removeAdditional: false,
    allErrors: false,
    strict: false,
    formats: { uuid: true, 'date-time': true },
  } as const;
  const strict = new Ajv({ ...base, coerceTypes: false, useDefaults: false });
  const lenient = new Ajv({ ...base, coerceTypes: true, useDefaults: true });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? strict : lenient).compile(schema as object),
  );
}
