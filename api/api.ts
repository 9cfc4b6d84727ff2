/** The API role: HTTP in, JSON out. */
import type { KeyObject } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from 'pino';
import type { CustomersTold } from '../contracts/events.js';
import type { SagaPolicy } from '../contracts/saga.js';
import { type AuditKeys, auditKeys } from '../domain/audit/signatures.js';
import { identityKeyOf } from '../domain/customers.js';
import type { Database } from '../domain/database.js';
import { hashedCaller } from '../domain/kept-claims.js';
import type { Channel } from '../runtime/channel.js';
import type { ReadinessCheck } from '../runtime/health.js';
import { firstAddressOf, listenOnOtherLoopback } from '../runtime/listeners/loopback.js';
import type { TemporalLink } from '../runtime/temporal.js';
import type { SagaSlots } from '../sagas/slots.js';
import { createStuckSnapshots, type StuckSnapshots } from '../sagas/stuck-snapshots.js';
import { createAuditor } from './access/audit-recorder.js';
import { type AuthenticationSettings, createAuthenticator } from './access/authentication.js';
import { rememberVerified } from './access/verified-tokens.js';
import type { Api, Explaining, CodecServer } from './dependencies.js';
import { requireTemporal } from './routes/admin.js';
import { chargeCorrelationOf } from './routes/charge-correlation.js';
import { createApiReadiness } from './routes/health.js';
import { showApiMetrics, exposeStarts } from './metrics.js';
import { createBuckets } from './load/buckets.js';
import { createOverview } from './overview/overview.js';
import type { CallerLimits } from './load/parties.js';
import { limitRate } from './load/rate-limit.js';
import { consoleOf, type SignInOfConsole } from './console/config.js';
import { createServer, type ServerSettings } from './server.js';
import { createSharedBuckets } from './load/shared-buckets.js';
import { createSagaDispatcher } from './dispatcher.js';
import type { PlaceLimits } from './waiting/places.js';
import { createWaiting } from './waiting/waiting.js';

export type ApiSettings = ServerSettings & {
  db: Database;
  /** Changes of orders. */
  changes: Pick<Channel, 'subscribe'>;
  temporal: TemporalLink;
  policy: SagaPolicy;
  host: string;
  port: number;
  temporalUiUrl?: string;
  /** Where links of the console to traces lead. */
  tracesUiUrl?: string;
  idempotencyTtlMs: number;
  /** For explaining orders; absent = the gateway is not asked. */
  explaining?: Explaining;
  /** How the circuit of the worker in this process stands; absent = there is no worker in it. */
  breaker?: () => string;
  /** What events say of their customer; absent = the client's id. */
  customersTold?: CustomersTold;
  /** Of payloads; absent = they are not encrypted. */
  codec?: CodecServer;
  /** Of a list's page; undefined = the default of http/pages. */
  pageBytesMax?: number;
  /** undefined = the payment gateway's webhooks are not taken. */
  paymentsWebhookSecret?: string | (() => string);
  /** undefined = every caller has every role. */
  authentication?: AuthenticationSettings;
  /** How the console's page signs people in there; absent = as a client called order-saga-console. */
  signIn?: SignInOfConsole;
  /** Of POST /orders, per authenticated caller; without authentication there is none. Redis, if given, shares the buckets. */
  rateLimit?: { ordersPerMinute: number; redisUrl?: string };
  /** Of every caller, over all routes; without authentication there are none. */
  callerLimits?: CallerLimits;
  /** Open at a time; absent = the defaults. */
  streams?: PlaceLimits;
  /** Answers that wait for an order's final status; absent = the defaults. */
  waits?: PlaceLimits;
  /** By which acts are signed; undefined = by none, and they prove nothing. */
  auditKeys?: AuditKeys;
  /** Of erasures; absent = the defaults. */
  erasures?: { deadlineMs: number; alertBeforeMs?: number; signingKey?: KeyObject | undefined };
  /** Whether charges carry the correlation id of their order, for which every worker must be of a build that knows how. */
  chargeCorrelation?: boolean;
  /** Of `npm start`; absent = the console has no buttons for trying faults out. */
  launcherUrl?: string;
  /** Of the worker in this process, so that a saga may begin in it at once; absent = sagas run elsewhere. */
  slots?: SagaSlots;
  logger: Logger;
};

/** As ERASURE_DEADLINE says unless it is set. */
const ERASURE_DEADLINE_MS = 30 * 86_400_000;
/** As ERASURE_ALERT_BEFORE does. */
const ERASURE_ALERT_BEFORE_MS = 7 * 86_400_000;
const CLOSE_IDLE_EVERY_MS = 50;
/** No request that has arrived takes longer to answer: what is still open then are clients that do not finish theirs. */
const ANSWER_LIMIT_MS = 5_000;

/** The running API: its port, the orders whose sagas it starts itself, and how to stop it. */
export type RunningApi = {
  port: number;
  inHand: ReadonlySet<string>;
  readiness: ReadinessCheck;
  /** Requests under way are answered first. */
  stop: () => Promise<void>;
};

export async function startApi(settings: ApiSettings): Promise<RunningApi> {
  const { db, temporal, policy, slots, logger } = settings;
  showApiMetrics();
  const stopping = new AbortController();
  const dispatcher = createSagaDispatcher({ db, client: temporal.client, policy, logger, ...(slots && { slots }) });
  exposeStarts(dispatcher, slots);
  const { changes, streams, waits, customersTold } = settings;
  const waiting = createWaiting({
    db,
    changes,
    stopping: stopping.signal,
    logger,
    ...(streams && { streams }),
    ...(waits && { waits }),
    ...(customersTold && { customersTold }),
    ...(slots && { onFinal: slots.release }),
  });
  const keys = settings.auditKeys ?? auditKeys([]);
  const auditor = createAuditor({ db, keys, logger, namesSource: settings.trustProxy !== undefined });
  const limit = settings.authentication && settings.rateLimit && (await createLimit(settings.rateLimit, db, logger));
  const authenticate = createAuthenticator(settings.authentication);
  const readiness = createApiReadiness(db, stopping.signal);
  const stuck = createStuckSnapshots({ db, client: () => requireTemporal({ temporal }), policy });
  const overview = openOverview(settings, stuck);
  const { temporalUiUrl, idempotencyTtlMs, pageBytesMax, paymentsWebhookSecret } = settings;
  const app = await createServer(
    {
      authenticate: settings.authentication ? rememberVerified(authenticate) : authenticate,
      auditor,
      erasing: {
        keys: { audit: keys, own: settings.erasures?.signingKey },
        deadlineMs: settings.erasures?.deadlineMs ?? ERASURE_DEADLINE_MS,
      },
      db,
      temporal,
      dispatcher,
      waiting,
      overview,
      stuck,
      policy,
      idempotencyTtlMs,
      readiness,
      stopping: stopping.signal,
      ...(settings.explaining && { explaining: settings.explaining }),
      ...(settings.codec && { codec: settings.codec }),
      ...(limit && { limitOrders: limit.hook }),
      ...(settings.authentication && settings.callerLimits && { callerLimits: settings.callerLimits }),
      ...(temporalUiUrl && { temporalUiUrl }),
      console: consoleOf(settings),
      ...(settings.launcherUrl !== undefined && { launcherUrl: settings.launcherUrl }),
      ...(settings.chargeCorrelation && {
        chargeCorrelationOf: (correlationId) => chargeCorrelationOf(correlationId, keys.signing.secret),
      }),
      ...(pageBytesMax !== undefined && { pageBytesMax }),
      ...(customersTold && { customersTold }),
      ...(paymentsWebhookSecret && { paymentsWebhookSecret }),
    },
    logger,
    { ...settings, authenticates: settings.authentication !== undefined },
  );
  const connections = new Set<Socket>();
  app.server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  await app.listen({ host: firstAddressOf(settings.host), port: settings.port });
  await listenOnOtherLoopback(app.server, settings.host);
  return {
    port: (app.server.address() as AddressInfo).port,
    inHand: dispatcher.inHand,
    readiness,
    stop: async () => {
      stopping.abort();
      await closeServer(app, connections);
      await dispatcher.stop();
      await overview.stop();
      await auditor.stop();
      limit?.stop();
      await waiting.stop();
    },
  };
}

function openOverview(
  { db, temporal, policy, explaining, breaker, erasures, logger }: ApiSettings,
  stuck: StuckSnapshots,
) {
  const { deadlineMs = ERASURE_DEADLINE_MS, alertBeforeMs = ERASURE_ALERT_BEFORE_MS } = erasures ?? {};
  const erasuresLateAfterMs = Math.max(0, deadlineMs - alertBeforeMs);
  return createOverview({
    db,
    temporal,
    policy,
    stuck,
    gatewayPlace: explaining?.gateway,
    breaker,
    erasuresLateAfterMs,
    logger,
  });
}

async function createLimit(
  { ordersPerMinute, redisUrl }: NonNullable<ApiSettings['rateLimit']>,
  db: Database,
  logger: Logger,
) {
  if (redisUrl === undefined)
    return { hook: limitRate(ordersPerMinute, createBuckets(ordersPerMinute)), stop: () => {} };
  const { take, stop } = await createSharedBuckets(redisUrl, ordersPerMinute, logger);
  // Outside this process a caller, who may be a customer, is a keyed hash.
  const named = async (caller: string) => take(hashedCaller(await identityKeyOf(db), caller));
  return { hook: limitRate(ordersPerMinute, named), stop };
}

/**
 * Answers the requests under way, then closes all connections. Node closes those that are idle at this moment only; one that
 * becomes idle a moment later, or on which a browser has never sent a request, would keep the process for a minute.
 */
async function closeServer(app: Api, connections: Set<Socket>): Promise<void> {
  const closingIdle = setInterval(() => {
    app.server.closeIdleConnections();
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  }, CLOSE_IDLE_EVERY_MS);
  const closingAll = setTimeout(() => app.server.closeAllConnections(), ANSWER_LIMIT_MS);
  await app.close();
  clearInterval(closingIdle);
  clearTimeout(closingAll);
}
