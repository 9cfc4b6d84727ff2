/** Token requests: the bearer's subject and roles, and for how long. A client that can reach this process can be any subject. */
import { randomUUID } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';
import { parseDurationMs } from '../runtime/config.js';
import { ALGORITHMS, type Algorithm, type Keys } from './keys.js';

const TTL_DEFAULT = '1h';
/** A working week and its weekends: long enough for a laptop, short enough that no one builds on a token that never ends. */
const TTL_MAX = '9d';
export const SUBJECT_MAX = 128;
const ROLES_MAX = 20;

export type TokenRequest = { sub: string; roles: string[]; ttlMs: number; algorithm: Algorithm };
export type TokenSettings = { issuer: string; audience: string; keys: Keys };

/** What the caller got wrong, in the words of https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
export class InvalidRequest extends Error {
  override name = 'InvalidRequest';
}

/**
 * @param body `sub`; `role` or `roles` (a list, or words separated by spaces or commas); `ttl` as in `15m`; `alg`. Other
 *   members are ignored, as OAuth asks, so that a client that also sends `grant_type` is served.
 */
export function readTokenRequest(body: unknown): TokenRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidRequest('Send an object with `sub`, `role` and, if you like, `ttl`.');
  }
  const { sub, role, roles, ttl = TTL_DEFAULT, alg = 'RS256' } = body as Record<string, unknown>;
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX) {
    throw new InvalidRequest(
      `\`sub\` must be a text of 1 to ${SUBJECT_MAX} characters: a customer id, or who you are.`,
    );
  }
  const algorithm = ALGORITHMS.find((name) => name === alg);
  if (!algorithm) throw new InvalidRequest(`\`alg\` must be ${ALGORITHMS.join(' or ')}.`);
  return { sub, roles: readRoles(roles ?? role ?? 'customer'), ttlMs: readTtl(ttl), algorithm };
}

/** Any word is signed, known to the API or not: what a role permits is the API's to decide. */
export function readRoles(value: unknown): string[] {
  const words = typeof value === 'string' ? value.split(/[\s,]+/).filter(Boolean) : value;
  const fine = Array.isArray(words) && words.every((word) => typeof word === 'string' && /^[\w:.-]{1,64}$/.test(word));
  if (!fine || words.length > ROLES_MAX) {
    throw new InvalidRequest('`role` must be a word, `roles` a list of words: customer, service, operator, auditor.');
  }
  return words;
}

export function readTtl(value: unknown): number {
  try {
    const ttlMs = parseDurationMs(String(value));
    if (ttlMs >= 1_000 && ttlMs <= parseDurationMs(TTL_MAX)) return ttlMs;
  } catch {
    // said below, with the limits
  }
  throw new InvalidRequest(`\`ttl\` must be a duration from 1s to ${TTL_MAX}, like 15m or 1h.`);
}

/**
 * @param clientId whoever asks for itself is its own client
 * @returns the answer of https://www.rfc-editor.org/rfc/rfc6749#section-5.1
 */
export async function issueToken(
  { sub, roles, ttlMs, algorithm }: TokenRequest,
  settings: TokenSettings,
  clientId = sub,
): Promise<TokenAnswer> {
  const expiresIn = Math.floor(ttlMs / 1_000);
  // As https://www.rfc-editor.org/rfc/rfc9068#section-2 has access tokens.
  const claims = { roles, client_id: clientId, sub, aud: settings.audience };
  const token = await sign(claims, { typ: 'at+jwt', algorithm, expiresIn }, settings);
  return { access_token: token, token_type: 'Bearer', expires_in: expiresIn };
}

export type TokenAnswer = { access_token: string; token_type: 'Bearer'; expires_in: number };
export type SignedIn = { sub: string; clientId: string; nonce?: string; authenticatedAtMs: number };

/** Says to its client alone who has signed in: https://openid.net/specs/openid-connect-core-1_0.html#IDToken */
export function issueIdToken(
  { sub, clientId, nonce, authenticatedAtMs }: SignedIn,
  settings: TokenSettings,
): Promise<string> {
  const claims = {
    sub,
    aud: clientId,
    auth_time: Math.floor(authenticatedAtMs / 1_000),
    ...(nonce !== undefined && { nonce }),
  };
  return sign(claims, { typ: 'JWT', algorithm: 'RS256', expiresIn: ID_TOKEN_TTL_S }, settings);
}

/** It is read once, on arrival. */
const ID_TOKEN_TTL_S = 300;

type Signature = { typ: string; algorithm: Algorithm; expiresIn: number };

function sign(claims: JWTPayload, { typ, algorithm, expiresIn }: Signature, settings: TokenSettings): Promise<string> {
  const { kid, key } = settings.keys.signing(algorithm);
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, kid, typ })
    .setIssuer(settings.issuer)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + expiresIn)
    .sign(key);
}
