/** Google Cloud KMS, by its own client, which finds credentials as every Google client does (GOOGLE_APPLICATION_CREDENTIALS, a workload's identity). */
import { KeyStoreError } from './errors.js';
import type { KeyStore } from './several.js';

export type GcpLibrary = Pick<typeof import('@google-cloud/kms'), 'KeyManagementServiceClient'>;
type ClientOptions = ConstructorParameters<GcpLibrary['KeyManagementServiceClient']>[0];

const PREFIX = 'gcp-kms:';
const KEY_NAME = /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/;
const VERSION = /\/cryptoKeyVersions\/\d+$/;

/**
 * @param client for tests: where it is
 * @throws KeyStoreError if it is not the name of a key
 */
export function openGcpKms(
  { KeyManagementServiceClient }: GcpLibrary,
  { name, timeoutMs, client: options = {} }: { name: string; timeoutMs: number; client?: ClientOptions },
): KeyStore {
  if (!KEY_NAME.test(name))
    throw new KeyStoreError(
      `KEY_ENCRYPTION gcp-kms:${name} is not the name of a key (projects/…/locations/…/keyRings/…/cryptoKeys/…).`,
      false,
    );
  const client = new KeyManagementServiceClient(options);
  const limit = { timeout: timeoutMs, maxRetries: 0 };
  const wrap: KeyStore['wrap'] = async (dataKey, context) => {
    const [answer] = await client
      .encrypt({ name, plaintext: dataKey, additionalAuthenticatedData: Buffer.from(context) }, limit)
      .catch(translate);
    if (!answer.ciphertext || !answer.name)
      throw new KeyStoreError('Google Cloud KMS has answered without a ciphertext.', false);
    return { keyId: PREFIX + answer.name, wrapped: bytesOf(answer.ciphertext) };
  };
  return {
    prefix: PREFIX,
    currentId: async () => (await wrap(Buffer.alloc(32), 'order-saga/which-key')).keyId,
    wrap,
    unwrap: async ({ keyId, wrapped }, context) => {
      const key = keyId.slice(PREFIX.length).replace(VERSION, '');
      const [answer] = await client
        .decrypt({ name: key, ciphertext: wrapped, additionalAuthenticatedData: Buffer.from(context) }, limit)
        .catch(translate);
      if (!answer.plaintext) throw new KeyStoreError('Google Cloud KMS has answered without a plaintext.', false);
      return bytesOf(answer.plaintext);
    },
  };
}

/** Over REST they come as base64. */
const bytesOf = (of: Uint8Array | string): Buffer =>
  typeof of === 'string' ? Buffer.from(of, 'base64') : Buffer.from(of);

/** gRPC: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE. */
const TRANSIENT = [2, 4, 8, 10, 13, 14];

function translate(err: unknown): never {
  const { code } = err as { code?: unknown };
  const isAway = typeof code !== 'number' || TRANSIENT.includes(code) || code >= 500;
  throw new KeyStoreError(
    `Google Cloud KMS ${isAway ? 'does not do it now' : 'refuses'} (${typeof code === 'number' ? code : 'no answer'}).`,
    isAway,
    { cause: err },
  );
}
