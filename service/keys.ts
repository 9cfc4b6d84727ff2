/** What is sealed, and what opens it, in this process: the key stores that KEY_ENCRYPTION names, behind limits, counted. */
import type { Logger } from 'pino';
import { Counter, Gauge, type Metric } from 'prom-client';
import type { KeyEncryption } from '../contracts/key-encryption.js';
import type { Statements } from '../domain/database.js';
import { createDataKeys, type DataKeys } from '../domain/sealing/data-keys.js';
import { listKeksInUse } from '../domain/sealing/rotation.js';
import { openKeyStores } from '../gateways/key-encryption/configured.js';
import { KeyStoreError } from '../gateways/key-encryption/errors.js';
import { protectKeyStore } from '../gateways/key-encryption/protection.js';
import { ConfigError, type readConfig } from '../runtime/config.js';
import type { keySettings } from '../runtime/key-settings.js';
import { onScrape, show } from '../runtime/metrics.js';

type Config = ReturnType<typeof readConfig<typeof keySettings>>;

const calls = new Counter({
  name: 'order_saga_key_store_calls_total',
  help: 'Calls to the store of key-encryption keys by outcome: done, away, or refused, which an operator has to mend',
  labelNames: ['call', 'outcome'],
  registers: [],
});
const away = new Gauge({
  name: 'order_saga_key_store_away',
  help: '1 while the key store does not answer this process: what is sealed cannot be read, and nothing is sealed',
  registers: [],
});
const made = new Counter({
  name: 'order_saga_customer_keys_made_total',
  help: 'Data keys that were made: of new customers, and by rotations',
  registers: [],
});
export const keyMetrics: Metric[] = [calls, away, made];

/**
 * @param db where the wrapped keys are
 * @returns undefined with KEY_ENCRYPTION=off
 * @throws ConfigError naming what is wrong with KEY_ENCRYPTION. A store that is away stops no process from starting
 */
export async function openDataKeys(db: Statements, config: Config, logger: Logger): Promise<DataKeys | undefined> {
  const store = await openStores(config, logger);
  if (!store) return undefined;
  show(keyMetrics);
  let isAwayNow = false;
  const onAway = (isAway: boolean, err?: unknown) => {
    isAwayNow = isAway;
    away.set(isAway ? 1 : 0);
    if (isAway) logger.warn({ err }, 'the key store does not answer: what is sealed cannot be read');
    else logger.info('the key store answers again');
  };
  const limited = protectKeyStore(store, config.KEY_STORE_TIMEOUT, {
    onCall: (call, outcome) => calls.inc({ call, outcome }),
    onAway,
  });
  // Without a request that needs a key nobody would notice that it answers again.
  onScrape(async () => {
    if (isAwayNow) await limited.currentId().catch(() => undefined);
  });
  void warnOfLostKeys(db, limited, logger);
  const limits = { customersMax: config.KEY_CACHE_MAX, ttlMs: config.KEY_CACHE_TTL };
  return createDataKeys(db, limited, limits, { onMake: () => made.inc() });
}

/** A key that was removed too early is told as the process starts, not when the first of its texts is to be read. */
async function warnOfLostKeys(db: Statements, store: KeyEncryption, logger: Logger): Promise<void> {
  try {
    for (const { keyId, keys, sample } of await listKeksInUse(db))
      await store.unwrap(sample, sample.context).catch((err: unknown) => {
        if (err instanceof KeyStoreError && !err.isAway) logger.error({ keyId, keys, reason: err.message }, LOST);
      });
  } catch (err) {
    logger.warn({ err }, 'it could not be read which keys wrap those of customers');
  }
}
const LOST = 'a key that wraps keys of customers cannot be had: what they protect cannot be read';

async function openStores(config: Config, logger: Logger): Promise<KeyEncryption | undefined> {
  try {
    return await openKeyStores(config, ({ message }) =>
      logger.warn({ reason: message }, 'the key file has changed, and cannot be used: the keys of before stay'),
    );
  } catch (err) {
    throw err instanceof KeyStoreError ? new ConfigError(err.message) : err;
  }
}
