/**
 * The issuer's keys: what its tokens are verified with. Found by discovery, fetched again when they are old or when a token
 * names one that is unknown, and kept through an outage: an issuer that is away must not lock all callers out. A client
 * that sends tokens of made-up keys makes us ask the issuer once per cooldown, no more.
 */
import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWTHeaderParameters } from 'jose';
import { isPlainHttp } from '../../runtime/plain-text.js';

/** @returns the key that the token names. @throws KeysMissing, or an error of `jose` that says what is wrong with the token */
export type IssuerKeys = (header: JWTHeaderParameters, token: Parameters<KeySet>[1]) => Promise<CryptoKey>;
type KeySet = ReturnType<typeof createLocalJWKSet>;
type Source = { issuer: string; jwksUrl?: string; allowPlaintext?: boolean };

/** There are no keys to verify with: our failure, not the token's. */
export class KeysMissing extends Error {
  override name = 'KeysMissing';
}

/** How long a key that the issuer has withdrawn is still taken. */
const MAX_AGE_MS = 10 * 60_000;
const COOLDOWN_MS = 30_000;
/** As long as there are none at all, every caller waits for them. */
const COOLDOWN_WITHOUT_MS = 1_000;
const FETCH_LIMIT_MS = 5_000;
/** What a request waits for fresher keys when there are old ones to go on with. */
const PATIENCE_MS = 1_000;
/** Real ones have 1 to 20 KB: the largest name a certificate chain with each key. */
const DOCUMENT_MAX_BYTES = 256 * 1024;

export function createIssuerKeys(source: Source): IssuerKeys {
  let keys: KeySet | undefined;
  let fetchedAt = 0;
  let triedAt = Number.NEGATIVE_INFINITY;
  let failure: unknown;
  let trying: Promise<void> | undefined;

  const fetchKeys = async () => {
    triedAt = performance.now(); // monotonic: a clock that is set back must not keep old keys for ever
    try {
      keys = readKeySet(await fetchJson(source.jwksUrl ?? (await discover(source)), source));
      fetchedAt = performance.now();
      failure = undefined;
    } catch (err) {
      failure = err;
    }
    trying = undefined;
  };
  const refresh = () => {
    trying ??= fetchKeys();
    return trying;
  };
  const mayTry = (cooldownMs = COOLDOWN_MS) => trying !== undefined || performance.now() - triedAt >= cooldownMs;

  return async (header, token) => {
    if (!keys && mayTry(COOLDOWN_WITHOUT_MS)) await refresh();
    else if (keys && performance.now() - fetchedAt >= MAX_AGE_MS && mayTry()) await atMost(PATIENCE_MS, refresh());
    if (!keys) throw new KeysMissing('the issuer’s keys cannot be had', { cause: failure });
    try {
      return await keys(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
    }
    if (mayTry()) await refresh();
    // The token may be good all the same: the issuer could not be asked.
    if (failure !== undefined)
      throw new KeysMissing('the key is unknown, and the issuer does not answer', { cause: failure });
    return keys(header, token);
  };
}

/** @throws unless there is a key in it that verifies: an issuer that shows none has not withdrawn its keys, but a fault */
function readKeySet(document: unknown): KeySet {
  const set = createLocalJWKSet(document as JSONWebKeySet);
  if (!set.jwks().keys.some(({ kty, use }) => ['RSA', 'EC', 'OKP'].includes(kty ?? '') && use !== 'enc'))
    throw new Error('the issuer’s key set has no key that verifies');
  return set;
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig */
async function discover(source: Source): Promise<string> {
  const { issuer } = source;
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = (await fetchJson(url, source)) as { issuer?: unknown; jwks_uri?: unknown } | null;
  if (document?.issuer !== issuer || typeof document.jwks_uri !== 'string')
    throw new Error('the discovery document is not the issuer’s');
  return document.jwks_uri;
}

async function fetchJson(url: string, { allowPlaintext }: Source): Promise<unknown> {
  // Also what an issuer names by itself: who can change its keys on the way is every caller.
  if (!/^https?:/i.test(url) || (isPlainHttp(url) && !allowPlaintext))
    throw new Error(
      `the issuer’s keys would come from ${url.slice(0, 200)} in plain text: set AUTH_JWKS_URL to an https address, or add issuer to ALLOW_PLAINTEXT`,
    );
  // No redirects: where the keys come from is the operator's or the issuer's word alone.
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_LIMIT_MS) });
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
  return JSON.parse(await readText(answer, url));
}

async function readText({ body }: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels what is still to come.
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_MAX_BYTES) throw new Error(`${url} answered more than ${DOCUMENT_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function atMost(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  return Promise.race([work, enough]).finally(() => clearTimeout(timer));
}
