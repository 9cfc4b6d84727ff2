/**
 * Reading what is sealed, for commands that show whose an order is: by the service's own settings, so that whoever may have the keys reads
 * it. Where a key cannot be had the reference stays, and it is said; for what nobody may have `open`, nothing is missing.
 */
import { type Database, withSealing } from '../domain/database.js';
import { createDataKeys } from '../domain/sealing/data-keys.js';
import { KeyUnavailable } from '../domain/sealing/errors.js';
import { createSealing } from '../domain/sealing/sealing.js';
import { openKeyStores } from '../gateways/key-encryption/configured.js';
import { KeyStoreError } from '../gateways/key-encryption/errors.js';
import { protectKeyStore } from '../gateways/key-encryption/protection.js';
import type { Texts } from '../domain/orders.js';
import type { Ops } from './command.js';
import { unavailable, usage } from './exit.js';

/** Those of one command. */
const KEYS = { customersMax: 1_000, ttlMs: 60_000 };

/** @returns the database, through which sealed texts are read. @throws OpsError usage if KEY_ENCRYPTION is wrong; unavailable */
export async function openedDatabase({ to, config }: Pick<Ops, 'to' | 'config'>): Promise<Database> {
  const db = await to.database();
  const store = await openKeyStores(config).catch((err: unknown) => {
    throw err instanceof KeyStoreError ? usage(err.message) : err;
  });
  if (!store) return db;
  return withSealing(db, createSealing(createDataKeys(db, protectKeyStore(store, config.KEY_STORE_TIMEOUT), KEYS)));
}

/** Opened if it can be, and else closed, said in a line. */
export async function openedIfPossible<T>({ out }: Pick<Ops, 'out'>, read: (texts: Texts) => Promise<T>): Promise<T> {
  try {
    return await read('opened');
  } catch (err) {
    if (!(err instanceof KeyUnavailable)) throw err;
    out.notice(`What is sealed cannot be read here (${err.message}): customers are shown by their references.`);
    return read('closed');
  }
}

/** For what must be whole. @throws OpsError unavailable instead of KeyUnavailable */
export async function whole<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (err) {
    if (!(err instanceof KeyUnavailable)) throw err;
    throw unavailable(`What is sealed cannot be read here, and nothing is to be missing: ${err.message}.`, err);
  }
}
