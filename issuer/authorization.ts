/**
 * Authorization: the code that a browser brings back to its client, and what a client makes of it. OAuth 2.0's code with PKCE,
 * as public clients use it; a code is good once, soon, and for the client that asked for it alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Clients } from './clients.js';
import { InvalidRequest, type TokenRequest } from './tokens.js';

/** A browser brings it back at once. */
const CODE_TTL_MS = 60_000;
/** As long as a shift: whoever renews a token signs in again by the next. */
const RENEWAL_TTL_MS = 12 * 60 * 60_000;
/** Codes and renewals; the oldest goes first. */
const GRANTS_MAX = 1_000;
const TEXT_MAX = 500;

/** What the client asked for. */
export type AuthorizationRequest = {
  clientId: string;
  redirectUri: string;
  scope: string[];
  challenge: string;
  state?: string;
  nonce?: string;
  /** Whom the page proposes. */
  loginHint?: string;
};
/** What somebody chose on the page. */
export type Chosen = Omit<TokenRequest, 'algorithm'> & { authenticatedAtMs: number };
export type Grant = { request: AuthorizationRequest; chosen: Chosen; expiresAtMs: number };

/** The client is told, by way of the browser: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1 */
export class AuthorizationError extends Error {
  override name = 'AuthorizationError';
  constructor(
    readonly code: string,
    message: string,
    readonly back: { redirectUri: string; state?: string },
  ) {
    super(message);
  }
}
/** https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
export class InvalidGrant extends InvalidRequest {
  override name = 'InvalidGrant';
}

/**
 * @throws InvalidRequest while it is not certain where the browser may be sent back: then a person reads what is wrong
 * @throws AuthorizationError from then on
 */
export function readAuthorizationRequest(query: unknown, clients: Clients): AuthorizationRequest {
  const read = readerOf(query as Record<string, unknown>);
  const clientId = read('client_id');
  if (!/^[\w.:/-]{1,200}$/.test(clientId))
    throw new InvalidRequest('`client_id` must be a name of 1 to 200 characters.');
  const redirectUri = read('redirect_uri');
  if (!clients.isKnown(redirectUri)) {
    throw new InvalidRequest(
      '`redirect_uri` must be a page of this machine (http://127.0.0.1:…, http://localhost:…), without a fragment, or stand in ISSUER_REDIRECT_URIS exactly as it is sent.',
    );
  }
  const state = read('state');
  const back = { redirectUri, ...(state !== '' && { state }) };
  const refuse = (code: string, detail: string) => new AuthorizationError(code, detail, back);
  if (read('response_type') !== 'code') throw refuse('unsupported_response_type', 'response_type must be code.');
  const mode = read('response_mode');
  if (mode !== '' && mode !== 'query') throw refuse('invalid_request', 'response_mode must be query.');
  const challenge = read('code_challenge');
  if (read('code_challenge_method') !== 'S256' || !/^[\w-]{43}$/.test(challenge))
    throw refuse('invalid_request', 'code_challenge must be there, and code_challenge_method be S256.');
  if (read('prompt').split(' ').includes('none')) throw refuse('login_required', 'Nobody stays signed in here.');
  const [nonce, loginHint] = [read('nonce'), read('login_hint')];
  const scope = read('scope').split(' ').filter(Boolean);
  return {
    clientId,
    scope,
    challenge,
    ...back,
    ...(nonce !== '' && { nonce }),
    ...(loginHint !== '' && { loginHint }),
  };
}

/** @throws InvalidRequest for what is given twice or is long, rather than taking one of the two */
const readerOf =
  (fields: Record<string, unknown>) =>
  (name: string): string => {
    const value = fields[name] ?? '';
    if (typeof value !== 'string' || value.length > TEXT_MAX)
      throw new InvalidRequest(`\`${name}\` must be given once, with at most ${TEXT_MAX} characters.`);
    return value;
  };

/** @returns where the browser goes: https://www.rfc-editor.org/rfc/rfc9207 has the issuer in it, too */
export function addressBack(back: { redirectUri: string; state?: string }, said: Record<string, string>): string {
  const url = new URL(back.redirectUri);
  const all = { ...said, ...(back.state !== undefined && { state: back.state }) };
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value);
  return url.href;
}

export type Grants = ReturnType<typeof createGrants>;

/** What is granted and not yet taken. Of this process alone: after a restart one signs in again. */
export function createGrants(now: () => number = Date.now) {
  const codes = new Map<string, Grant>();
  const renewals = new Map<string, Grant>();
  return {
    grant: (request: AuthorizationRequest, chosen: Chosen): string =>
      keep(codes, { request, chosen, expiresAtMs: now() + CODE_TTL_MS }),

    /** @throws InvalidGrant; the code is spent all the same, also by whom it was not meant for */
    redeem: (body: Record<string, unknown>): Grant => {
      const read = readerOf(body);
      const granted = take(codes, read('code'), now());
      if (!granted) throw new InvalidGrant('The code is unknown, older than a minute, or was used before.');
      const { clientId, redirectUri, challenge } = granted.request;
      if (read('client_id') !== clientId) throw new InvalidGrant('`client_id` is not that of the code.');
      if (read('redirect_uri') !== redirectUri) throw new InvalidGrant('`redirect_uri` is not that of the code.');
      const verifier = read('code_verifier');
      if (!/^[\w.~-]{43,128}$/.test(verifier) || challengeOf(verifier) !== challenge)
        throw new InvalidGrant('`code_verifier` is not what the code_challenge was made of.');
      return granted;
    },

    /** @returns what renews the grant; undefined unless the client asked to be there while nobody is */
    allowRenewal: ({ request, chosen, expiresAtMs }: Grant, isFirst: boolean): string | undefined => {
      if (!request.scope.includes('offline_access')) return undefined;
      return keep(renewals, { request, chosen, expiresAtMs: isFirst ? now() + RENEWAL_TTL_MS : expiresAtMs });
    },

    /** Good once: who renews is given the next. @throws InvalidGrant */
    renew: (body: Record<string, unknown>): Grant => {
      const read = readerOf(body);
      const granted = take(renewals, read('refresh_token'), now());
      if (!granted || read('client_id') !== granted.request.clientId)
        throw new InvalidGrant('The refresh_token is unknown, too old, was used before, or is another client’s.');
      return granted;
    },
  };
}

const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url');

function keep(grants: Map<string, Grant>, grant: Grant): string {
  const [oldest] = grants.keys();
  if (oldest !== undefined && grants.size >= GRANTS_MAX) grants.delete(oldest);
  const secret = randomBytes(32).toString('base64url');
  grants.set(secret, grant);
  return secret;
}

function take(grants: Map<string, Grant>, secret: string, nowMs: number): Grant | undefined {
  const grant = grants.get(secret);
  grants.delete(secret);
  return grant && grant.expiresAtMs > nowMs ? grant : undefined;
}
