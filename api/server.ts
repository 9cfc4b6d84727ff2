/** The HTTP server: what every request passes through, and the visible list of routes. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { type FastifyBaseLogger, fastify, LogController } from 'fastify';
import { FRONT_OPTIONS, putFrontBefore } from '../runtime/listeners/front.js';
import { isTracing } from '../runtime/tracing/spans.js';
import { adminRoutes } from './routes/admin.js';
import { explanationRoutes } from './routes/explanations.js';
import { auditRoutes } from './routes/audit.js';
import { auditSearchRoutes } from './routes/audit-search.js';
import { auditAnswers } from './access/audit-recorder.js';
import { brakeRoutes } from './routes/brakes.js';
import { stuckSagaRoutes } from './routes/stuck-sagas.js';
import { serveConsole } from './console/files.js';
import { auditReads } from './access/audited-reads.js';
import { cancellationRoutes } from './routes/cancellations.js';
import { customerRoutes } from './routes/customers.js';
import { demoRoutes } from './demo/routes.js';
import { deadLetterRoutes } from './routes/dead-letters.js';
import { destinationRoutes } from './routes/destinations.js';
import type { Api, ApiDependencies } from './dependencies.js';
import { erasureRoutes } from './routes/erasures.js';
import { eventRoutes } from './routes/events.js';
import { findingRoutes } from './routes/findings.js';
import { stockAdjustmentRoutes } from './routes/stock-adjustments.js';
import { logRequests } from './http/request-log.js';
import { countRequests } from './http/request-metrics.js';
import { allowOrigins, checkRequests } from './http/request-checks.js';
import { answerRefusal, answerUnparsable } from './http/front.js';
import { correlationIdOf } from './http/headers.js';
import { DOCUMENTATION, keepDocuments } from './http/documents.js';
import { traceRequests } from './http/tracing.js';
import { healthRoutes } from './routes/health.js';
import { inventoryRoutes } from './routes/inventory.js';
import { openApi } from './openapi/document.js';
import { operationRoutes } from './routes/operations.js';
import { orderPlacementRoutes } from './routes/order-placement.js';
import { orderRoutes } from './routes/orders.js';
import { permissionOf, requireRole } from './access/permissions.js';
import { answersPersonalData } from './access/personal-routes.js';
import { answerUnroutable, handleProblems, notFoundProblem } from './http/problems.js';
import { overviewRoutes } from './routes/overview.js';
import { payloadRoutes } from './routes/payloads.js';
import { sagaRoutes } from './routes/sagas.js';
import { orderFindingRoutes } from './routes/order-finding.js';
import { searchRoutes } from './routes/search.js';
import { timelineRoutes } from './routes/timelines.js';
import { setStandardHeaders } from './http/security-headers.js';
import { admitCallers } from './load/caller-limits.js';
import { costOf } from './load/costs.js';
import { paceFreeRequests } from './load/free-requests.js';
import { queuePipelined } from './load/pipelining.js';
import { createPace } from './load/refusals.js';
import { type SheddingSettings, shedLoad } from './load/shedding.js';
import { validateStrictly } from './http/validator.js';
import { webhookRoutes } from './routes/webhooks.js';
import { whoamiRoutes } from './routes/whoami.js';

const BODY_MAX_BYTES = 64 * 1024;
/** A client that has not sent the headers, or the whole request, by then never will (slowloris). */
const TIME_LIMITS = { headersMs: 10_000, requestMs: 15_000, checkEveryMs: 1_000 };
/** Above the 60 s of common load balancers, so that they close idle connections, not this server as a request arrives. */
const KEEP_ALIVE_MS = 65_000;
/** How long a client may take nothing of its answer; longer than any wait of ours, and than a stream's heartbeat. */
const STALLED_MS = 90_000;
/** Each costs some 20 KB and a file descriptor, of which a process commonly has 1,024 or more. */
const CONNECTIONS_MAX = 10_000;
/** Twice what one read of a connection brings; a client that sends more before it reads an answer does not want the answers. */
const PIPELINED_MAX = 1_000;
/** The limits of a process that works on nothing but requests; see the settings of the same names. */
const SHEDDING: SheddingSettings = { requestsMax: 1_000, eventLoopDelayMaxMs: 1_000 };

/** Everything from here: the page works offline, and over plain HTTP (no upgrade-insecure-requests). */
const DOCS_CSP = {
  'default-src': "'self'",
  'img-src': "'self' data:",
  'object-src': "'none'",
  'base-uri': "'none'",
  'form-action': "'self'",
  'frame-ancestors': "'none'",
};

/** Settings of the server itself; absent = the defaults above, and nothing of the rest. */
export type ServerSettings = {
  /** Addresses and CIDRs, separated by commas, of the proxies whose X-Forwarded-* is believed. */
  trustProxy?: string;
  /** Origins whose pages may use the API. */
  corsOrigins?: string[];
  /** Callers are authenticated, so that strangers may ask; else only programs and pages of this machine may. */
  authenticates?: boolean;
  /** Names that the server answers to besides those of this machine, while it authenticates nobody. */
  allowedHosts?: string[];
  shedding?: SheddingSettings;
  connectionsMax?: number;
  connectionsPerAddressMax?: number;
  /** Requests that wait on one connection. */
  pipelinedMax?: number;
  timeLimits?: typeof TIME_LIMITS;
};

export async function createServer(
  deps: ApiDependencies,
  logger: FastifyBaseLogger,
  settings: ServerSettings = {},
): Promise<Api> {
  const app = createApp(logger, settings);
  validateStrictly(app);
  app.addHook('onRoute', ({ method, url }) => {
    for (const m of [method].flat()) {
      permissionOf(m, url);
      costOf(m, url);
      answersPersonalData(m, url);
    }
  });
  await addRequestHooks(app, deps, settings);
  auditAnswers(app, () => deps.auditor);
  auditReads(app, deps.db, () => deps.auditor);
  handleProblems(app, deps.callerLimits && createPace(deps.callerLimits.refusalsPerSecond));
  await serveDocumentation(app);
  await serveConsole(app, deps.console);
  await app.register(async (routes: Api) => addRoutes(routes, deps));
  return app;
}

/** The visible list of routes. */
function addRoutes(app: Api, deps: ApiDependencies): void {
  orderPlacementRoutes(app, deps);
  orderRoutes(app, deps);
  customerRoutes(app, deps);
  eventRoutes(app, deps);
  sagaRoutes(app, deps);
  cancellationRoutes(app, deps);
  overviewRoutes(app, deps);
  adminRoutes(app, deps);
  stuckSagaRoutes(app, deps);
  searchRoutes(app, deps);
  orderFindingRoutes(app, deps);
  explanationRoutes(app, deps);
  timelineRoutes(app, deps);
  auditRoutes(app, deps);
  auditSearchRoutes(app, deps);
  brakeRoutes(app, deps);
  deadLetterRoutes(app, deps);
  operationRoutes(app, deps);
  erasureRoutes(app, deps);
  inventoryRoutes(app, deps);
  whoamiRoutes(app);
  destinationRoutes(app, deps);
  findingRoutes(app, deps);
  stockAdjustmentRoutes(app, deps);
  healthRoutes(app, deps);
  webhookRoutes(app, deps);
  payloadRoutes(app, deps);
  if (deps.launcherUrl !== undefined) demoRoutes(app, deps.launcherUrl);
}

/**
 * What every request passes, in this order: security headers are set on every response, whatever becomes of it, and a refused
 * request costs as little as possible. Hooks that wait for nothing are callbacks: a promise each would double what they cost.
 */
async function addRequestHooks(app: Api, deps: ApiDependencies, settings: ServerSettings): Promise<void> {
  countRequests(app);
  logRequests(app);
  if (isTracing()) traceRequests(app, deps);
  app.addHook('onRequest', (_request, reply, done) => {
    setStandardHeaders(reply);
    done();
  });
  queuePipelined(app, settings.pipelinedMax ?? PIPELINED_MAX);
  if (deps.callerLimits) paceFreeRequests(app);
  if (settings.corsOrigins) await allowOrigins(app, settings.corsOrigins);
  const workload = shedLoad(app, settings.shedding ?? SHEDDING);
  // Before the headers are checked: a request to no route would be refused for its headers first.
  app.addHook('onRequest', (request, reply, done) => {
    done(request.is404 ? notFoundProblem(app, request, reply) : undefined);
  });
  checkRequests(app);
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request) => {
    const allowed = permissionOf(request.method, request.routeOptions.url ?? '');
    if (allowed === 'open') return;
    request.caller = await deps.authenticate(request);
    requireRole(request.caller, allowed);
  });
  admitCallers(app, workload, deps.callerLimits);
}

async function serveDocumentation(app: Api): Promise<void> {
  await app.register(swagger, openApi);
  await app.register(async (scope: Api) => {
    keepDocuments(scope, DOCUMENTATION);
    await scope.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_CSP });
    scope.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  });
}

/** Fastify with the limits of a server that strangers reach. */
function createApp(logger: FastifyBaseLogger, settings: ServerSettings): Api {
  const { headersMs, requestMs, checkEveryMs } = settings.timeLimits ?? TIME_LIMITS;
  const app: Api = fastify({
    loggerInstance: logger,
    // Ours tells a route by its template: http/request-log.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'correlationId' }),
    bodyLimit: BODY_MAX_BYTES,
    trustProxy: settings.trustProxy ?? false,
    requestTimeout: requestMs,
    connectionTimeout: STALLED_MS,
    http: { ...FRONT_OPTIONS, headersTimeout: headersMs, connectionsCheckingInterval: checkEveryMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
    frameworkErrors: answerUnroutable,
    clientErrorHandler: answerUnparsable,
    // A body with __proto__ or constructor reaches the schemas, which name the field and refuse it like any unknown one.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    genReqId: ({ headers }) => correlationIdOf(headers),
  }).withTypeProvider<TypeBoxTypeProvider>();

  const { authenticates, allowedHosts = [], corsOrigins = [], trustProxy, connectionsPerAddressMax } = settings;
  putFrontBefore(app.server, {
    listener: 'api',
    trusted: authenticates ? undefined : { allowedHosts, origins: corsOrigins },
    connections: {
      max: settings.connectionsMax ?? CONNECTIONS_MAX,
      ...(connectionsPerAddressMax !== undefined && { perAddressMax: connectionsPerAddressMax }),
      ...(trustProxy !== undefined && { trustProxy }),
    },
    answer: answerRefusal,
  });
  return app;
}
