/** The variables by which a process finds the keys of what is sealed; the service and the operators' CLI read the same. */
import { kinds } from './config.js';

const { count, durationMs, httpUrl, keyStores, pathName, secret, str } = kinds;

export const payloadSettings = {
  PAYLOAD_CODEC: str({
    choices: ['off', 'decode', 'on'] as const,
    default: 'off',
    desc: 'Whether what Temporal keeps of sagas is encrypted: on; decode = read only, before it is switched on and after it is switched off. Takes KEY_ENCRYPTION',
  }),
};

export const keySettings = {
  KEY_ENCRYPTION: keyStores({
    default: 'off',
    desc: 'Where the keys are that wrap customers’ keys: file:/path, vault, aws-kms:<arn> or gcp-kms:<name>; several with commas, of which the first wraps. off = nothing is sealed',
  }),
  KEY_STORE_TIMEOUT: durationMs({ default: 2_000, desc: 'How long it may take to answer, with a second try' }),
  KEY_CACHE_MAX: count({ default: 10_000, desc: 'Customers whose keys a process keeps in memory, at most' }),
  KEY_CACHE_TTL: durationMs({
    default: 60_000,
    desc: 'How long it keeps them: so long an erased customer’s key may still be in the memory of another process',
  }),
  VAULT_ADDR: httpUrl('vault')({ default: undefined, desc: 'Vault or OpenBao, https://vault.internal:8200' }),
  VAULT_TOKEN: secret({ default: '', desc: 'Its token, which may encrypt and decrypt with that key, no more' }),
  VAULT_NAMESPACE: str({ default: undefined, desc: 'Its namespace, if it has any' }),
  VAULT_TRANSIT_MOUNT: pathName({ default: 'transit', desc: 'Where its transit engine is mounted' }),
  VAULT_TRANSIT_KEY: pathName({ default: 'order-saga', desc: 'The key of it that wraps' }),
};
