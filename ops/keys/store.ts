/** The key stores as the CLI reaches them: by the service's own settings, without a cache, and with an answer that names what is wrong. */
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import { openKeyStores } from '../../gateways/key-encryption/configured.js';
import { KeyStoreError } from '../../gateways/key-encryption/errors.js';
import type { OpsConfig } from '../connections.js';
import { unavailable, usage } from '../exit.js';

/** @throws OpsError usage if KEY_ENCRYPTION is off here, or wrong */
export async function openStore(config: OpsConfig): Promise<KeyEncryption> {
  const store = await openKeyStores(config).catch((err: unknown) => {
    throw err instanceof KeyStoreError ? usage(err.message) : err;
  });
  if (!store) throw usage('KEY_ENCRYPTION is off here: set it as the service has it.');
  return store;
}

/** Why a key store did not do it, in a sentence; undefined = it did. */
export async function whyNot(ask: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (err) {
    return reasonOf(err);
  }
}

export function reasonOf(err: unknown): string {
  for (let each = err; each instanceof Error; each = each.cause) if (each instanceof KeyStoreError) return each.message;
  return err instanceof Error ? err.message : String(err);
}

/** @throws OpsError unavailable */
export async function currentKekOf(store: KeyEncryption): Promise<string> {
  try {
    return await store.currentId();
  } catch (err) {
    throw unavailable(reasonOf(err), err);
  }
}
