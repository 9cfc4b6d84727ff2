/**
 * Vault's transit engine, or OpenBao's: it wraps and unwraps, and its key never leaves it. Two requests are all that is needed of it,
 * so they are made here. The key is of a kind that authenticates additional data: `vault write -f transit/keys/order-saga` (aes256-gcm96).
 */
import { KeyStoreError } from './errors.js';
import type { KeyStore } from './several.js';

export type VaultOptions = {
  /** http(s)://host:port */
  address: string;
  /** Read at each request: an agent renews it. */
  token: () => string;
  /** Under which path transit is mounted, and its key. */
  mount: string;
  key: string;
  namespace?: string;
  /** Of one request. */
  timeoutMs: number;
};

/** An answer of ours has some hundred bytes. */
const ANSWER_BYTES_MAX = 64 * 1024;
const PREFIX = 'vault:';

export function openVault(options: VaultOptions): KeyStore {
  const { mount, key } = options;
  const own = `${PREFIX}${mount}/${key}`;
  const ask = (act: 'encrypt' | 'decrypt', name: string, body: object) => request(options, `${act}/${name}`, body);
  const wrap: KeyStore['wrap'] = async (dataKey, context) => {
    const { ciphertext } = await ask('encrypt', key, { plaintext: base64(dataKey), associated_data: base64(context) });
    const version = /^vault:v(\d+):/.exec(String(ciphertext))?.[1];
    if (version === undefined) throw notUnderstood();
    return { keyId: `${own}/v${version}`, wrapped: Buffer.from(String(ciphertext), 'utf8') };
  };
  return {
    prefix: PREFIX,
    // The policy for these two acts does not let it read the key's properties.
    currentId: async () => (await wrap(Buffer.alloc(32), 'order-saga/which-key')).keyId,
    wrap,
    unwrap: async ({ keyId, wrapped }, context) => {
      const name = /^vault:(.*)\/([^/]+)\/v\d+$/.exec(keyId);
      if (name?.[1] !== mount)
        throw new KeyStoreError(`The key "${keyId}" is not at the mount that VAULT_TRANSIT_MOUNT names.`, false);
      const ciphertext = Buffer.from(wrapped).toString('utf8');
      const { plaintext } = await ask('decrypt', name[2] ?? '', { ciphertext, associated_data: base64(context) });
      if (typeof plaintext !== 'string') throw notUnderstood();
      return Buffer.from(plaintext, 'base64');
    },
  };
}

const base64 = (of: Uint8Array | string): string => Buffer.from(of).toString('base64');
const notUnderstood = () => new KeyStoreError('Vault has answered something else than transit does.', false);

async function request(
  { address, token, mount, namespace, timeoutMs }: VaultOptions,
  path: string,
  body: object,
): Promise<Record<string, unknown>> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(`${address}/v1/${mount}/${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-vault-request': 'true',
        'x-vault-token': token(),
        ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
      },
      body: JSON.stringify(body),
      redirect: 'error', // a standby's redirect would take the token elsewhere
      signal: AbortSignal.timeout(timeoutMs),
    });
    status = response.status;
    text = await bounded(response);
  } catch (err) {
    if (err instanceof KeyStoreError) throw err;
    throw new KeyStoreError('Vault does not answer.', true, { cause: err });
  }
  if (status !== 200) throw refusal(status, text);
  const { data } = parsed(text);
  if (typeof data !== 'object' || data === null) throw notUnderstood();
  return data as Record<string, unknown>;
}

async function bounded({ body }: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body ?? []) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX) throw notUnderstood();
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function parsed(text: string): { data?: unknown; errors?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as { data?: unknown; errors?: unknown };
  } catch {
    throw notUnderstood();
  }
}

/** Its own words are not passed on, but for what is known of them. */
function refusal(status: number, text: string): KeyStoreError {
  if (status === 429 || status === 472 || status === 473 || status >= 500)
    return new KeyStoreError(
      `Vault cannot do it now (${status}${/sealed/i.test(text) ? ', it is sealed' : ''}).`,
      true,
    );
  if (status === 403)
    return new KeyStoreError('Vault refuses the token (403): it has ended, or its policy does not allow this.', false);
  if (/too old|disallowed by policy/i.test(text))
    return new KeyStoreError(
      'Vault’s min_decryption_version is beyond a version that has wrapped data keys: lower it, and let `ops keys rewrap` end before it is raised.',
      false,
    );
  if (status === 404 || /key not found/i.test(text))
    return new KeyStoreError('Vault has no such key, or no transit at this mount.', false);
  if (/authentication failed|unable to decrypt/i.test(text))
    return new KeyStoreError('Vault says that this was not wrapped by this key for this customer.', false);
  return new KeyStoreError(`Vault refuses (${status}).`, false);
}
