/** The key stores that KEY_ENCRYPTION names. The clients of clouds are large, so they are optional packages, loaded where one is named. */
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import { openAwsKms } from './aws-kms.js';
import { KeyStoreError } from './errors.js';
import { openKeyFile } from './file.js';
import { openGcpKms } from './gcp-kms.js';
import { joinKeyStores, type KeyStore } from './several.js';
import { openVault } from './vault.js';

export type KeyEncryptionSettings = {
  /** `off`, or one or several of file:<path>, vault, aws-kms:<arn>, gcp-kms:<name>, with commas; the first wraps. */
  KEY_ENCRYPTION: string;
  KEY_STORE_TIMEOUT: number;
  VAULT_ADDR: string | undefined;
  VAULT_TOKEN: string;
  VAULT_NAMESPACE: string | undefined;
  VAULT_TRANSIT_MOUNT: string;
  VAULT_TRANSIT_KEY: string;
};

/**
 * @param onUnreadable of a key file that has changed
 * @returns undefined = off
 * @throws KeyStoreError with a sentence that names the variable
 */
export async function openKeyStores(
  settings: KeyEncryptionSettings,
  onUnreadable: (err: KeyStoreError) => void = () => undefined,
): Promise<KeyEncryption | undefined> {
  if (settings.KEY_ENCRYPTION === 'off') return undefined;
  const [first, ...others] = await Promise.all(
    settings.KEY_ENCRYPTION.split(',').map((word) => openOne(word.trim(), settings, onUnreadable)),
  );
  return first && joinKeyStores([first, ...others]);
}

async function openOne(
  word: string,
  settings: KeyEncryptionSettings,
  onUnreadable: (err: KeyStoreError) => void,
): Promise<KeyStore> {
  const { KEY_STORE_TIMEOUT: timeoutMs } = settings;
  const at = word.indexOf(':');
  const [kind, place] = at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)];
  switch (kind) {
    case 'file':
      return openKeyFile(place, onUnreadable);
    case 'vault':
      return openConfiguredVault(settings);
    case 'aws-kms':
      return openAwsKms(await load('@aws-sdk/client-kms', () => import('@aws-sdk/client-kms')), {
        arn: place,
        timeoutMs,
      });
    case 'gcp-kms':
      return openGcpKms(await load('@google-cloud/kms', () => import('@google-cloud/kms')), { name: place, timeoutMs });
    default:
      throw new KeyStoreError(`KEY_ENCRYPTION names "${kind}", which is no key store.`, false);
  }
}

function openConfiguredVault(settings: KeyEncryptionSettings): KeyStore {
  const { VAULT_ADDR: address, VAULT_NAMESPACE: namespace, KEY_STORE_TIMEOUT: timeoutMs } = settings;
  if (address === undefined) throw new KeyStoreError('KEY_ENCRYPTION is vault, but VAULT_ADDR is not set.', false);
  if (settings.VAULT_TOKEN === '')
    throw new KeyStoreError('KEY_ENCRYPTION is vault, but neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set.', false);
  return openVault({
    address,
    token: () => settings.VAULT_TOKEN,
    mount: settings.VAULT_TRANSIT_MOUNT,
    key: settings.VAULT_TRANSIT_KEY,
    ...(namespace !== undefined && { namespace }),
    timeoutMs,
  });
}

async function load<T>(name: string, importClient: () => Promise<T>): Promise<T> {
  try {
    return await importClient();
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw err;
    throw new KeyStoreError(
      `KEY_ENCRYPTION needs the optional package ${name}, which is not installed: npm install ${name}`,
      false,
      { cause: err },
    );
  }
}
