/** ERASURE_SIGNING_KEY: a key pair of the installation's own, whose public half may be given to anyone. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { ConfigError } from './config.js';

/** @returns undefined if there is none @throws ConfigError */
export function readSigningKey({ ERASURE_SIGNING_KEY: text }: { ERASURE_SIGNING_KEY: string }): KeyObject | undefined {
  if (text === '') return undefined;
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' });
  } catch {
    key = undefined; // what the library says of it may have some of it
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new ConfigError(
    'ERASURE_SIGNING_KEY: it is not an Ed25519 private key. Make one with `openssl genpkey -algorithm ed25519 -outform DER | base64 -w0`.',
  );
}
