/** The codec of payloads for the CLI, by the service's own settings. What it cannot have a key for says so where it would be read. */
import type { ClientOptions } from '@temporalio/client';
import type { Database } from '../domain/database.js';
import { createDataKeys, type DataKeys } from '../domain/sealing/data-keys.js';
import { findReferenceOfOrder } from '../domain/sealing/order-references.js';
import { createSealing } from '../domain/sealing/sealing.js';
import { openKeyStores } from '../gateways/key-encryption/configured.js';
import { KeyStoreError } from '../gateways/key-encryption/errors.js';
import type { CodecMode } from '../sagas/payloads/codec.js';
import { usage } from './exit.js';

/** Those of the sagas of one list. */
const KEYS = { customersMax: 1_000, ttlMs: 60_000 };

type Config = Parameters<typeof openKeyStores>[0] & { PAYLOAD_CODEC: CodecMode | 'off' };

/** @returns options of a client. @throws OpsError usage if the settings are wrong; never because a key cannot be had */
export async function codecOptions(
  config: Config,
  database: () => Promise<Database>,
): Promise<Pick<ClientOptions, 'dataConverter' | 'interceptors'>> {
  const mode = config.PAYLOAD_CODEC;
  if (mode === 'off') return {};
  const store = await openKeyStores(config).catch((err: unknown) => {
    throw err instanceof KeyStoreError ? usage(err.message) : err;
  });
  if (!store) throw usage(`PAYLOAD_CODEC is ${mode}, but KEY_ENCRYPTION is off: set it as the service has it.`);
  const keys = database().then((db) => createDataKeys(db, store, KEYS));
  keys.catch(() => undefined); // whoever asks for a key is told
  const dataKeys: Pick<DataKeys, 'newest' | 'ofVersion'> = {
    newest: async (reference) => (await keys).newest(reference),
    ofVersion: async (reference, version) => (await keys).ofVersion(reference, version),
  };
  const { createPayloads } = await import('../sagas/payloads/opened.js'); // as long as the rest of the CLI's start
  const { clientOptions, keys: payloadKeys } = createPayloads({
    mode,
    findReference: async (orderId) => findReferenceOfOrder(await database(), orderId),
    dataKeys,
    sealing: createSealing(dataKeys as DataKeys),
    onFailure: () => undefined,
  });
  await payloadKeys.lookOnce().catch(() => undefined);
  return clientOptions;
}
