/**
 * The service: one program, of which each process runs the roles that ROLE names. `all` shares one database pool and one
 * Temporal connection among API, worker and relay, which lets a saga begin in the process that accepted its order.
 */
import type { Logger } from 'pino';
import { startApi } from '../api/api.js';
import { OUTBOX_CHANNEL } from '../contracts/ids.js';
import { protectionOf } from '../prisma/session.mjs';
import { auditKeys } from '../domain/audit/signatures.js';
import { withAnnouncer, withSealing } from '../domain/database.js';
import type { Sealing } from '../domain/sealing/port.js';
import { createSealing } from '../domain/sealing/sealing.js';
import { startAuditGuard } from '../relay/audit-guard.js';
import { createPublishers } from '../relay/publishers/configured.js';
import { sayWhatIsMade } from '../relay/publishers/made.js';
import { startRelay } from '../relay/relay.js';
import { readAuditSecrets } from '../runtime/audit-files.js';
import { type Channel, openChannel } from '../runtime/channel.js';
import { ConfigError, readConfig, runMain } from '../runtime/config.js';
import { checkDatabase } from '../runtime/database-check.js';
import { type Failpoints, openFailpoints } from '../runtime/failpoints.js';
import { guardProcess } from '../runtime/guard.js';
import { createHealth } from '../runtime/health.js';
import { isLoopbackHost } from '../runtime/listeners/loopback.js';
import { affordableConnections } from '../runtime/listeners/open-files.js';
import { createLogger } from '../runtime/logger.js';
import { showForeign, startMetrics } from '../runtime/metrics.js';
import { exposePools } from '../runtime/pool-metrics.js';
import { openPools, type PoolName, type Pools } from '../runtime/pools.js';
import { reportSecretFiles } from '../runtime/secret-files.js';
import { settings } from '../runtime/settings.js';
import { installWithMetrics } from '../runtime/sdk-metrics.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { startStallWatch } from '../runtime/stall-watch.js';
import { installTemporalRuntime, openTemporal } from '../runtime/temporal.js';
import { temporalRefusals } from '../runtime/temporal-config.js';
import { openTracing } from '../runtime/tracing/opened.js';
import { createSagaSlots } from '../sagas/slots.js';
import { signInOfConsole } from './console.js';
import { launcherOf } from './launcher.js';
import { guardErasures, openJournal, requireErasures } from './erasure-journal.js';
import { guardFeedClock, requireFeedClock } from './feed-clock.js';
import { readSigningKey } from '../runtime/signing-key.js';
import { openDataKeys } from './keys.js';
import { periodsOf } from '../explanation/periods.js';
import { ledgerPlace } from './ledger.js';
import { useInstallationId } from './installation.js';
import { openPayloads } from './payloads.js';
import { requireSchema } from './schema.js';
import { whenPostgresIsUnresponsive } from './unresponsive-postgres.js';
import { startWorkerRole } from './worker.js';

type Config = ReturnType<typeof readConfig<typeof settings>>;

const ROLES = ['api', 'worker', 'relay'] as const;
/** The pools of each role: the reconciler's, like the relay's loops, are those of the background. */
const POOLS: Record<Config['ROLE'], [PoolName, ...PoolName[]]> = {
  all: ['requests', 'steps', 'background'],
  api: ['requests'],
  worker: ['steps', 'background'],
  relay: ['background'],
};

await runMain(async () => {
  const config = readConfig(settings, process.env, temporalRefusals);
  const logger = createLogger(config.ROLE, config.LOG_LEVEL, config.LOG_FORMAT);
  guardProcess(logger);
  const stopReporting = reportSecretFiles(logger);
  startStallWatch(config.ROLE, config.EVENT_LOOP_STALL_MAX);
  const stopTracing = await openTracing(config, logger);
  const runs = (role: (typeof ROLES)[number]) => config.ROLE === 'all' || config.ROLE === role;
  const health = createHealth(ROLES.filter(runs));
  warnOfUnverified(config, logger);
  const failpoints = readFailpoints(config, logger);
  const authentication = readAuthentication(config);
  if (runs('api') && !authentication) refuseUnprotected(config, logger);
  const launcherUrl = launcherOf(config);
  const neighbours = readNeighbours(config);
  requireKeysOfPayloads(config);
  const keys = readAuditKeys(config, runs('api') && authentication !== undefined, logger);

  if (config.METRICS_PORT === 0) installTemporalRuntime(logger);
  else showForeign(await installWithMetrics((metrics) => installTemporalRuntime(logger, metrics)));
  await requireDatabase(config.DATABASE_URL, logger);
  const changes = openChannel({ url: () => config.DATABASE_URL, name: OUTBOX_CHANNEL, logger });
  const feedClock = guardFeedClock(logger);
  const erasures = guardErasures(logger);
  const connections = {
    openSocket: failpoints?.openSocket,
    onConnect: async (connection: Parameters<typeof erasures.ask>[0] & Parameters<typeof feedClock.ask>[0]) => {
      await feedClock.ask(connection);
      await erasures.ask(connection);
    },
  };
  const opened = openPools(() => config.DATABASE_URL, config.DATABASE_POOL, POOLS[config.ROLE], connections);
  const keyed = opened[runs('api') ? 'requests' : 'background'];
  const dataKeys = await openDataKeys(keyed, config, logger);
  const sealing = createSealing(dataKeys);
  const payloads = openPayloads({ mode: config.PAYLOAD_CODEC, db: keyed, dataKeys, sealing, logger });
  const pools = equip(opened, changes, sealing);
  exposePools(pools.opened);
  const db = pools.background;
  const stopMetrics =
    config.METRICS_PORT === 0
      ? undefined
      : startMetrics({
          host: config.METRICS_HOST,
          port: config.METRICS_PORT,
          role: config.ROLE,
          health,
          connectionsMax: config.METRICS_CONNECTIONS_MAX,
          ...(!authentication && { trusted: { ...neighbours, origins: neighbours.corsOrigins } }),
          logger,
        });
  await requireSchema(db, { health, roles: ROLES.filter(runs), logger });
  await requireFeedClock(db, logger);
  feedClock.arm();
  const journal = openJournal(config, db, logger);
  if (journal) {
    await requireErasures(db, journal, logger);
    await erasures.arm(journal, db);
  }
  if (config.INSTALLATION_ID !== undefined) await useInstallationId(db, config.INSTALLATION_ID, logger);
  payloads?.start(); // the keys are in a table, whose schema is there by now
  const temporal = openTemporal(logger, process.env, payloads?.clientOptions);
  const policy = {
    stepRetryBudgetMs: config.STEP_RETRY_BUDGET,
    sagaDeadlineMs: config.SAGA_DEADLINE,
    compensationAttentionAfterMs: config.COMPENSATION_ATTENTION_AFTER,
  };
  const common = { db, changes, temporal, policy, customersTold: config.EVENTS_CUSTOMER, logger };

  // Where sagas run in the process that accepts their orders, no more are begun than it has slots for. Not so where workers know their
  // build: which of them begins a saga is Temporal's to say, and an eager start, which slots go with, would begin it here in any case.
  const begins = runs('api') && runs('worker') && config.TEMPORAL_WORKER_BUILD_ID === '';
  const slots = begins ? createSagaSlots({ atWorkMax: config.SAGAS_AT_WORK_MAX }) : undefined;
  const publishers = runs('relay') ? await createPublishers(config, sayWhatIsMade(db, logger)) : undefined;
  const worker = runs('worker')
    ? startWorkerRole({ pools, temporal, payloads, config, logger, failpoints, journal, slots, keys, policy })
    : undefined;
  if (worker) health.add('worker', worker.readiness);
  const api = runs('api')
    ? await startApi({
        ...common,
        db: pools.requests,
        host: config.HOST,
        port: config.PORT,
        idempotencyTtlMs: config.IDEMPOTENCY_TTL,
        pageBytesMax: config.PAGE_BYTES_MAX,
        ...(config.STRIPE_WEBHOOK_SECRET !== '' && { paymentsWebhookSecret: () => config.STRIPE_WEBHOOK_SECRET }),
        explaining: {
          ...{ gateway: ledgerPlace(config), probeEveryMs: config.PROBE_EVERY, periods: periodsOf(config) },
        },
        ...(slots && { slots }),
        ...(payloads && { codec: payloads.codec }),
        auditKeys: keys,
        erasures: {
          deadlineMs: config.ERASURE_DEADLINE,
          alertBeforeMs: config.ERASURE_ALERT_BEFORE,
          signingKey: readSigningKey(config),
        },
        ...(worker && { breaker: worker.breakerState }),
        chargeCorrelation: config.CHARGE_CORRELATION_ID,
        ...readLimits(config, logger),
        ...neighbours,
        ...(authentication && { authentication }),
        ...(launcherUrl !== undefined && { launcherUrl }),
        signIn: signInOfConsole(config),
        ...(config.TEMPORAL_UI_URL !== undefined && { temporalUiUrl: config.TEMPORAL_UI_URL }),
        ...(config.TRACES_UI_URL !== undefined && { tracesUiUrl: config.TRACES_UI_URL }),
      })
    : undefined;
  if (api) health.add('api', api.readiness);
  const relay = publishers
    ? startRelay({
        ...common,
        inHand: api?.inHand ?? new Set(),
        publishers,
        deliveryBackoffMaxMs: config.DELIVERY_BACKOFF_MAX,
        destinationsBegin: config.DESTINATIONS_BEGIN,
        outboxRetentionMs: config.OUTBOX_RETENTION,
        personalRetention: {
          ordersMs: config.RETENTION_ORDERS_PERSONAL,
          deadLettersMs: config.RETENTION_DEAD_LETTERS,
          erasuresMs: config.RETENTION_ERASURE_REASONS,
        },
        erasuresLateAfterMs: Math.max(0, config.ERASURE_DEADLINE - config.ERASURE_ALERT_BEFORE),
      })
    : undefined;
  if (relay) health.add('relay', relay.readiness);
  const stopAuditGuard = relay
    ? startAuditGuard({
        ...{
          db,
          keys,
          logger,
          anchorFile: config.AUDIT_ANCHOR_FILE,
          anchorUrl: config.AUDIT_ANCHOR_URL,
          callsRetentionMs: config.AUDIT_CALLS_RETENTION,
        },
      })
    : undefined;

  const stopInOrder = async () => {
    // Upstream first: no new orders, then no new work, then what the work needs.
    await api?.stop();
    await Promise.all([worker?.stop(), relay?.stop(), stopAuditGuard?.()]);
    await stopMetrics?.();
    await temporal.close();
    await payloads?.stop();
    await changes.stop();
    await journal?.close();
    await pools.close();
    await stopTracing();
    stopReporting();
  };
  stopOnSignals(logger, () => Promise.race([stopInOrder(), whenPostgresIsUnresponsive(db, logger)]));
});

function equip(pools: Pools, changes: Channel, sealing: Sealing): Pools {
  const each = (client: Pools['requests']) =>
    withAnnouncer(sealing.isOn ? withSealing(client, sealing) : client, changes);
  return { ...pools, requests: each(pools.requests), steps: each(pools.steps), background: each(pools.background) };
}

/** A database that does not answer yet stops no process from starting; one that never will, does. */
async function requireDatabase(url: string, logger: Logger): Promise<void> {
  const failure = await checkDatabase(url);
  if (failure?.isFinal) throw new ConfigError(failure.sentence);
  if (failure) logger.warn(`${failure.sentence} It is asked until it does.`);
}

function readLimits(config: Config, logger: Logger) {
  const { REDIS_URL: redisUrl, CONNECTIONS_PER_ADDRESS_MAX: connectionsPerAddressMax } = config;
  return {
    rateLimit: { ordersPerMinute: config.RATE_LIMIT_ORDERS_PER_MINUTE, ...(redisUrl !== undefined && { redisUrl }) },
    shedding: { requestsMax: config.REQUESTS_MAX, eventLoopDelayMaxMs: config.EVENT_LOOP_DELAY_MAX },
    callerLimits: {
      customerPerSecond: config.RATE_LIMIT_CUSTOMER,
      servicePerSecond: config.RATE_LIMIT_SERVICE,
      strangerPerSecond: config.RATE_LIMIT_STRANGER,
      customerAtATime: config.REQUESTS_MAX_CUSTOMER,
      serviceAtATime: config.REQUESTS_MAX_SERVICE,
      turnWaitMaxMs: config.REQUEST_TURN_WAIT_MAX,
      refusalsPerSecond: config.REFUSALS_MAX,
    },
    connectionsMax: affordableConnections(config.CONNECTIONS_MAX, logger),
    ...(connectionsPerAddressMax !== undefined && { connectionsPerAddressMax }),
    pipelinedMax: config.PIPELINED_MAX,
    streams: {
      perProcess: config.STREAMS_MAX,
      perCustomer: config.STREAMS_MAX_CUSTOMER,
      perService: config.STREAMS_MAX_SERVICE,
    },
    waits: {
      perProcess: config.WAITS_MAX,
      perCustomer: config.WAITS_MAX_CUSTOMER,
      perService: config.WAITS_MAX_SERVICE,
    },
  };
}

/** Who is let in where nobody is authenticated, and which proxies are believed where somebody is. */
function readNeighbours({ ALLOWED_HOSTS: hosts, CORS_ORIGINS: corsOrigins, TRUST_PROXY: trustProxy }: Config) {
  return {
    ...(hosts !== undefined && { allowedHosts: hosts.split(',') }),
    ...(corsOrigins !== undefined && { corsOrigins: corsOrigins.split(',') }),
    ...(trustProxy !== undefined && { trustProxy }),
  };
}

function readAuthentication({
  AUTH_ISSUER: issuer,
  AUTH_AUDIENCE: audience,
  AUTH_JWKS_URL,
  AUTH_ROLES_CLAIM: rolesClaim,
  AUTH_TOKEN_AGE_MAX: tokenAgeMaxMs,
  AUTH_REQUIRE_AT_JWT: requireAtJwt,
  ALLOW_PLAINTEXT,
}: Config) {
  if (issuer === undefined) {
    // A name that is misspelt would leave everybody with every role.
    for (const [name, isSet] of Object.entries({
      AUTH_AUDIENCE: audience !== '',
      AUTH_JWKS_URL,
      AUTH_REQUIRE_AT_JWT: requireAtJwt,
    }))
      if (isSet) throw new ConfigError(`AUTH_ISSUER is not set, but ${name} is.`);
    return undefined;
  }
  if (audience === '') throw new ConfigError('AUTH_AUDIENCE is not set, but AUTH_ISSUER is.');
  const allowPlaintext = ALLOW_PLAINTEXT?.split(',').includes('issuer') ?? false;
  const common = { issuer, audience, rolesClaim, tokenAgeMaxMs, requireAtJwt, allowPlaintext };
  return { ...common, ...(AUTH_JWKS_URL !== undefined && { jwksUrl: AUTH_JWKS_URL }) };
}

function requireKeysOfPayloads({ PAYLOAD_CODEC: mode, KEY_ENCRYPTION: stores }: Config): void {
  if (mode !== 'off' && stores === 'off')
    throw new ConfigError(`PAYLOAD_CODEC is ${mode}, but KEY_ENCRYPTION is off: it says where the key is.`);
}

/** Encrypted, and perhaps with somebody else. */
function warnOfUnverified({ DATABASE_URL }: Config, logger: Logger): void {
  if (protectionOf(DATABASE_URL, process.env).tls === 'unverified')
    logger.warn('DATABASE_URL: TLS does not verify with whom it is spoken. sslmode=verify-full does.');
}

/** Where operators are known by name, what they did should be provable. A chain that was signed once takes no act without a key. */
function readAuditKeys(config: Config, isNeeded: boolean, logger: Logger) {
  const secrets = readAuditSecrets(config);
  if (isNeeded && secrets.length === 0)
    logger.error(
      'AUDIT_KEY and AUDIT_KEY_FILE are not set, but AUTH_ISSUER is: what operators do is recorded, and proves nothing. Make a key with `openssl rand -hex 32`.',
    );
  return auditKeys(secrets);
}

/** Without authentication every caller may do everything; that is for loopback only. */
function refuseUnprotected({ HOST, TRUST_PROXY }: Config, logger: Logger): void {
  if (!isLoopbackHost(HOST))
    throw new ConfigError(
      `HOST is ${HOST}, beyond loopback, but no authentication is configured: set AUTH_ISSUER and AUTH_AUDIENCE.`,
    );
  if (TRUST_PROXY !== undefined)
    throw new ConfigError(
      'TRUST_PROXY is set, but AUTH_ISSUER is not: whoever comes through that proxy would have every role. Set AUTH_ISSUER and AUTH_AUDIENCE, or unset TRUST_PROXY.',
    );
  logger.warn('No authentication is configured: every caller has every role. The API serves loopback only.');
}

/** For this product's own tests only, and refused beside a database or a gateway that is not theirs. */
function readFailpoints({ FAILPOINTS, DATABASE_URL, PAYMENTS_URL }: Config, logger: Logger): Failpoints | undefined {
  if (FAILPOINTS === undefined) return undefined;
  const failpoints = openFailpoints(FAILPOINTS, { databaseUrl: DATABASE_URL, paymentsUrl: PAYMENTS_URL });
  logger.warn('FAILPOINTS is set: this process fails as its tests have planned.');
  return failpoints;
}
