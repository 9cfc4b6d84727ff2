/**
 * The issuer's keys: what its tokens are verified with. Found by discovery, fetched again when they are old or when a token
 * names one that is unknown, and kept through an outage: an issuer that is away must not lock all callers out. A client
 * that sends tokens of made-up keys makes us ask the issuer once per cooldown, no more.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** There are no keys to verify with: our failure, not the token's. */
export class KeysMissing extends Error {
  override name = 'KeysMissing';
}

/** How long a key that the issuer has withdrawn is still taken. */
const MAX_AGE_MS = 10 * 60_000;
const COOLDOWN_MS = 30_000;
const FETCH_LIMIT_MS = 5_000;
/** What a request waits for fresher keys when there are old ones to go on with. */
const PATIENCE_MS = 1_000;

export function createIssuerKeys(settings: { issuer: string; jwksUrl?: string }): JWTVerifyGetKey {
  let keys: JWTVerifyGetKey | undefined;
  let fetchedAt = 0;
  let triedAt = 0;
  let failure: unknown;
  let trying: Promise<void> | undefined;

  const fetchKeys = async () => {
    triedAt = performance.now(); // monotonic: a clock that is set back must not keep old keys for ever
    try {
      keys = createLocalJWKSet(
        (await fetchJson(settings.jwksUrl ?? (await discover(settings.issuer)))) as JSONWebKeySet,
      );
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
  const mayTry = () => trying !== undefined || performance.now() - triedAt >= COOLDOWN_MS;

  return async (header, token) => {
    if (!keys) await refresh();
    else if (performance.now() - fetchedAt >= MAX_AGE_MS && mayTry()) await atMost(PATIENCE_MS, refresh());
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

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig */
async function discover(issuer: string): Promise<string> {
  const document = (await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)) as {
    issuer?: unknown;
    jwks_uri?: unknown;
  };
  if (document.issuer !== issuer || typeof document.jwks_uri !== 'string')
    throw new Error('the discovery document is not the issuer’s');
  return document.jwks_uri;
}

async function fetchJson(url: string): Promise<unknown> {
  // No redirects: where the keys come from is the operator's or the issuer's word alone.
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_LIMIT_MS) });
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

function atMost(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  return Promise.race([work, enough]).finally(() => clearTimeout(timer));
}
