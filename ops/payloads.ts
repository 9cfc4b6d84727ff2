/** The codec of payloads for the CLI, by the service's own settings. What it cannot have a key for says so where it would be read. */
import type { ClientOptions } from '@temporalio/client';
import { createDataKeys, type DataKeys } from '../domain/sealing/data-keys.js';
import { findReferenceOfOrder } from '../domain/sealing/order-references.js';
import { createSealing } from '../domain/sealing/sealing.js';
import type { Connections, OpsConfig } from './connections.js';
import { openStore } from './keys/store.js';

/** Those of the sagas of one list. */
const KEYS = { customersMax: 1_000, ttlMs: 60_000 };

/** @returns options of a client. @throws OpsError usage if the settings are wrong; never because a key cannot be had */
export async function codecOptions(
  config: OpsConfig,
  database: Connections['database'],
): Promise<Pick<ClientOptions, 'dataConverter' | 'interceptors'>> {
  const mode = config.PAYLOAD_CODEC;
  if (mode === 'off') return {};
  const store = await openStore(config);
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
