/** The payment sandbox's process. */
import { ConfigError, kinds, readConfig, runMain } from '../runtime/config.js';
import { firstAddressOf, listenOnOtherLoopback } from '../runtime/listeners/loopback.js';
import { createLogger } from '../runtime/logger.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { LockedError } from './ledger/lock.js';
import { createSandbox } from './server.js';

const SPEC = {
  HOST: kinds.str({ default: '127.0.0.1', desc: 'Address to listen on' }),
  SANDBOX_PORT: kinds.port({ default: 12111, desc: 'Port to listen on' }),
  ALLOWED_HOSTS: kinds.hosts({ default: undefined, desc: 'Names besides localhost that it answers to' }),
  DATA_DIR: kinds.str({ default: '.data', desc: 'The ledger lives in <DATA_DIR>/sandbox/' }),
  LOG_LEVEL: kinds.str({ default: 'info', choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] }),
  LOG_FORMAT: kinds.str({ default: 'auto', choices: ['auto', 'json'] as const }),
  SANDBOX_SEARCH_LAG: kinds.durationMs({ default: 1_000, desc: 'How long search does not find a new PaymentIntent' }),
  SANDBOX_REFUND_SETTLES_AFTER: kinds.durationMs({
    default: 10_000,
    desc: 'How long refunds of pm_card_pendingRefund are pending',
  }),
  SANDBOX_REFUND_FAILS_AFTER: kinds.durationMs({
    default: 10_000,
    desc: 'How long after they succeeded refunds of pm_card_refundFail fail',
  }),
  SANDBOX_DISPUTE_AFTER: kinds.durationMs({
    default: 2_000,
    desc: 'How long after it was paid a charge of pm_card_createDispute is disputed',
  }),
  SANDBOX_RETENTION: kinds.retentionMs({
    default: 365 * 24 * 3_600_000,
    desc: 'How long what is personal of a record stays after its last change; at least 90d, 0 = for ever',
  }),
  SANDBOX_WEBHOOK_URL: kinds.httpUrl('laptop')({
    default: undefined,
    desc: 'Where signed events go; with STRIPE_WEBHOOK_SECRET',
  }),
  STRIPE_WEBHOOK_SECRET: kinds.secrets({ default: undefined, desc: 'whsec_…, shared with the receiver' }),
};

await runMain(async () => {
  const config = readConfig(SPEC, process.env);
  const logger = createLogger('sandbox', config.LOG_LEVEL, config.LOG_FORMAT);
  const { SANDBOX_WEBHOOK_URL: url, STRIPE_WEBHOOK_SECRET: secret } = config;
  const app = await createSandbox({
    dataDir: config.DATA_DIR,
    logger,
    ...(config.ALLOWED_HOSTS !== undefined && { allowedHosts: config.ALLOWED_HOSTS.split(',') }),
    searchLagMs: config.SANDBOX_SEARCH_LAG,
    refundSettlesAfterMs: config.SANDBOX_REFUND_SETTLES_AFTER,
    refundFailsAfterMs: config.SANDBOX_REFUND_FAILS_AFTER,
    disputeAfterMs: config.SANDBOX_DISPUTE_AFTER,
    retentionMs: config.SANDBOX_RETENTION,
    ...(url && secret ? { webhook: { url, secret } } : {}),
    onFatal: (err) => {
      logger.fatal({ err }, 'the ledger cannot be written: exiting, because what is on disk is unknown');
      process.exit(1);
    },
  }).catch((err: unknown) => {
    throw err instanceof LockedError ? new ConfigError(`DATA_DIR is in use: ${err.message}.`) : err;
  });
  stopOnSignals(logger, () => app.close());
  const address = await app
    .listen({ host: firstAddressOf(config.HOST), port: config.SANDBOX_PORT })
    .catch(async (err: unknown) => {
      await app.close();
      const taken = (err as NodeJS.ErrnoException).code === 'EADDRINUSE';
      throw taken ? new ConfigError(`SANDBOX_PORT ${config.SANDBOX_PORT} is taken.`) : err;
    });
  await listenOnOtherLoopback(app.server, config.HOST);
  logger.info({ address, webhooks: Boolean(url && secret) }, 'the payment sandbox is ready');
});
