/** Several key stores as one: the first wraps, each unwraps what it has wrapped. So a change of stores is a rotation like any other. */
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import { KeyStoreError } from './errors.js';

/** A store, and how the ids of its keys begin. */
export type KeyStore = KeyEncryption & { readonly prefix: string };

/** @param stores at least one */
export function joinKeyStores(stores: readonly [KeyStore, ...KeyStore[]]): KeyEncryption {
  const [current] = stores;
  return {
    currentId: () => current.currentId(),
    wrap: (dataKey, context) => current.wrap(dataKey, context),
    unwrap: async (key, context) => {
      const store = stores.find(({ prefix }) => key.keyId.startsWith(prefix));
      if (store) return store.unwrap(key, context);
      throw new KeyStoreError(
        `The key "${key.keyId}" has wrapped data keys, and KEY_ENCRYPTION names no store that has it: add it behind the first, and let \`ops keys rewrap\` end before it is removed.`,
        false,
      );
    },
  };
}
