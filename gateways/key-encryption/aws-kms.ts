/** AWS KMS, by its own client, which finds region, credentials and endpoint as every AWS client does (AWS_… variables, a role). */
import { KeyStoreError } from './errors.js';
import type { KeyStore } from './several.js';

export type AwsLibrary = Pick<typeof import('@aws-sdk/client-kms'), 'KMSClient' | 'EncryptCommand' | 'DecryptCommand'>;

const PREFIX = 'aws-kms:';
/** A key itself: an alias may come to point to another one, and then unwraps nothing that was wrapped before. */
const KEY_ARN = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/;

/** @throws KeyStoreError if it is not the ARN of a key */
export function openAwsKms(
  { KMSClient, EncryptCommand, DecryptCommand }: AwsLibrary,
  { arn, timeoutMs }: { arn: string; timeoutMs: number },
): KeyStore {
  const region = KEY_ARN.exec(arn)?.[1];
  if (region === undefined)
    throw new KeyStoreError(`KEY_ENCRYPTION aws-kms:${arn} is not the ARN of a key (arn:aws:kms:…:key/…).`, false);
  const client = new KMSClient({
    region,
    maxAttempts: 1, // tried again by whoever knows how long it may take
    requestHandler: { connectionTimeout: timeoutMs, requestTimeout: timeoutMs, throwOnRequestTimeout: true },
  });
  const about = (context: string) => ({ 'order-saga': context });
  return {
    prefix: PREFIX,
    currentId: async () => PREFIX + arn,
    wrap: async (dataKey, context) => {
      const command = new EncryptCommand({ KeyId: arn, Plaintext: dataKey, EncryptionContext: about(context) });
      const { CiphertextBlob } = await client.send(command).catch(translate);
      if (!CiphertextBlob) throw new KeyStoreError('AWS KMS has answered without a ciphertext.', false);
      return { keyId: PREFIX + arn, wrapped: CiphertextBlob };
    },
    unwrap: async ({ keyId, wrapped }, context) => {
      const command = new DecryptCommand({
        KeyId: keyId.slice(PREFIX.length),
        CiphertextBlob: wrapped,
        EncryptionContext: about(context),
      });
      const { Plaintext } = await client.send(command).catch(translate);
      if (!Plaintext) throw new KeyStoreError('AWS KMS has answered without a plaintext.', false);
      return Buffer.from(Plaintext);
    },
  };
}

/** What its service names so is a matter of time; so is what has no answer at all. */
const TRANSIENT =
  /^(Throttling|TooManyRequests|LimitExceeded|KMSInternal|DependencyTimeout|KeyUnavailable|ServiceUnavailable|Timeout)/;

function translate(err: unknown): never {
  const {
    name = 'Error',
    $metadata,
    $fault,
  } = err as {
    name?: string;
    $metadata?: { httpStatusCode?: number };
    $fault?: string;
  };
  const isAway = TRANSIENT.test(name) || $fault === 'server' || $metadata?.httpStatusCode === undefined;
  throw new KeyStoreError(`AWS KMS ${isAway ? 'does not do it now' : 'refuses'} (${word(name)}).`, isAway, {
    cause: err,
  });
}
const word = (name: string) => (/^[A-Za-z]{1,60}$/.test(name) ? name : 'Error');
