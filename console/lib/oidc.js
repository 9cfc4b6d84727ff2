/**
 * Signing in at the issuer: OAuth 2.0's authorization code with PKCE, as a public client, and what OpenID Connect adds to it. Tokens are
 * handed to whoever asked (lib/session.js) and kept nowhere.
 */
import { base } from './base.js';

/** @typedef {import('./config.js').SignIn} SignIn */
/** @typedef {{ authorization_endpoint: string, token_endpoint: string, end_session_endpoint?: string }} Provider */
/** @typedef {{ state: string, nonce: string, verifier: string }} Secrets of one attempt; what comes back must belong to it */
/** @typedef {{ access: string, refresh?: string, id?: string, subject?: string, lastsMs: number }} Tokens */

/** What went wrong, in words for whoever wants to sign in. */
export class SignInFailure extends Error {}

/** Where the issuer sends a browser back to: the page itself, which its client must have registered exactly. */
export const redirectUri = new URL('console/', base).href;
/** Where a token does not say how long it lasts. */
const LASTS_MS = 5 * 60_000;

/** @type {Map<string, Promise<Provider>>} */
const providers = new Map();

/** @param {SignIn} signIn @returns {Promise<Provider>} what the issuer says of itself, asked once */
export function discover(signIn) {
  const known = providers.get(signIn.issuerUrl);
  if (known) return known;
  const asked = readProvider(signIn);
  providers.set(signIn.issuerUrl, asked);
  asked.catch(() => providers.delete(signIn.issuerUrl));
  return asked;
}

/** @param {SignIn} signIn @returns {Promise<Provider>} */
async function readProvider({ issuer, issuerUrl }) {
  const url = `${issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = await askIssuer(url, {});
  if (document['issuer'] !== issuer)
    throw new SignInFailure(`${url} is of the issuer ${document['issuer']}; the API takes tokens of ${issuer}.`);
  const { authorization_endpoint, token_endpoint } = document;
  if (![authorization_endpoint, token_endpoint].every((endpoint) => /^https?:/.test(String(endpoint))))
    throw new SignInFailure(
      `${url} names no authorization_endpoint and token_endpoint: nobody can sign in with a browser there.`,
    );
  return /** @type {Provider} */ (document);
}

/** @returns {Secrets} */
export const newSecrets = () => ({ state: random(), nonce: random(), verifier: random() });

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {Uint8Array} bytes */
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');

/** @param {SignIn} signIn @param {Secrets} secrets @returns {Promise<string>} where the browser goes to sign in */
export async function authorizationUrl(signIn, { state, nonce, verifier }) {
  if (!crypto.subtle)
    throw new SignInFailure('Browsers let a page sign in over HTTPS only (or on this machine): open it by https://.');
  const url = new URL((await discover(signIn)).authorization_endpoint);
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const asked = {
    response_type: 'code',
    client_id: signIn.clientId,
    redirect_uri: redirectUri,
    scope: signIn.scope,
    state,
    nonce,
    code_challenge: base64url(new Uint8Array(challenge)),
    code_challenge_method: 'S256',
    ...signIn.parameters,
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * @param {SignIn} signIn
 * @param {Secrets} secrets
 * @param {URLSearchParams} answer what the browser came back with
 * @returns {Promise<Tokens>}
 */
export async function redeem(signIn, { state, nonce, verifier }, answer) {
  if (answer.get('state') !== state)
    throw new SignInFailure('What came back is not of this attempt to sign in. Try again.');
  const error = answer.get('error');
  if (error)
    throw new SignInFailure(`The issuer says ${error}: ${answer.get('error_description') ?? 'no more than that'}`);
  // RFC 9207: a code that another issuer has sent is not shown to this one.
  const by = answer.get('iss');
  if (by !== null && by !== signIn.issuer) throw new SignInFailure(`The answer is of another issuer: ${by}`);
  return askForTokens(
    signIn,
    {
      grant_type: 'authorization_code',
      code: answer.get('code') ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
    },
    nonce,
  );
}

/** @param {SignIn} signIn @param {string} refresh @returns {Promise<Tokens>} */
export const renew = (signIn, refresh) => askForTokens(signIn, { grant_type: 'refresh_token', refresh_token: refresh });

/**
 * @param {SignIn} signIn
 * @param {Record<string, string>} grant
 * @param {string} [nonce] of the first grant
 * @returns {Promise<Tokens>}
 */
async function askForTokens(signIn, grant, nonce) {
  const { token_endpoint: url } = await discover(signIn);
  const { resource } = signIn.parameters;
  const body = new URLSearchParams({ client_id: signIn.clientId, ...grant, ...(resource && { resource }) });
  const answer = await askIssuer(url, { method: 'POST', body });
  if (typeof answer.access_token !== 'string')
    throw new SignInFailure('The issuer has answered without an access token.');
  const claims = answer.id_token && claimsOf(answer.id_token);
  // It came from the issuer itself by TLS, which stands for its signature: OpenID Connect Core 3.1.3.7.
  if (claims && nonce !== undefined) checkIdToken(claims, signIn, nonce);
  const lasts = Number(answer.expires_in);
  return {
    access: answer.access_token,
    refresh: answer.refresh_token,
    id: answer.id_token,
    subject: claims?.sub,
    lastsMs: Number.isFinite(lasts) && lasts > 0 ? lasts * 1_000 : LASTS_MS,
  };
}

/** @param {Record<string, any>} claims @param {SignIn} signIn @param {string} nonce */
function checkIdToken(claims, { issuer, clientId }, nonce) {
  const isForUs = [claims['aud']].flat().includes(clientId);
  if (claims['iss'] !== issuer || !isForUs || claims['nonce'] !== nonce)
    throw new SignInFailure('The issuer’s ID token is not of this attempt to sign in. Try again.');
}

/** @param {string} token */
function claimsOf(token) {
  try {
    const [, payload = ''] = token.split('.');
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new SignInFailure('The issuer’s ID token cannot be read.');
  }
}

/**
 * @param {string} url
 * @param {RequestInit} init
 * @returns {Promise<Record<string, any>>}
 */
async function askIssuer(url, init) {
  const response = await fetch(url, { ...init, credentials: 'omit' }).catch(() => undefined);
  if (!response) {
    throw new SignInFailure(
      `The issuer does not answer this page at ${url}. It must be reachable from here, allow the origin ${location.origin} (CORS), and be one that the page may talk to (CONSOLE_OIDC_URL, CONSOLE_OIDC_ORIGINS).`,
    );
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new SignInFailure(
    `The issuer says ${answer.error ?? response.status}: ${answer.error_description ?? 'no more than that'}`,
  );
}

/** @param {SignIn} signIn @param {string | undefined} idToken @returns {Promise<string | undefined>} where the browser goes to sign out there, too */
export async function signOutUrl(signIn, idToken) {
  const { end_session_endpoint: endpoint } = await discover(signIn).catch(() => /** @type {any} */ ({}));
  if (!endpoint) return undefined;
  const url = new URL(endpoint);
  url.searchParams.set('client_id', signIn.clientId);
  url.searchParams.set('post_logout_redirect_uri', redirectUri);
  if (idToken) url.searchParams.set('id_token_hint', idToken);
  return url.href;
}
