/**
 * Authentication: who sends this request. Bearer JWTs of one OpenID Connect issuer, verified with its published keys.
 * Keys are found by discovery, fetched again when an unknown one appears (with a cooldown) and kept through an outage.
 */
import type { FastifyRequest } from 'fastify';
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { ANONYMOUS, type Caller, ROLES } from './permissions.js';
import { Problem } from './problems.js';

export type AuthenticationSettings = {
  /** `iss` of every token, exactly; also where discovery begins. */
  issuer: string;
  /** `aud` that every token must have. */
  audience: string;
  /** Where the issuer publishes its keys, if not to be discovered. */
  jwksUrl?: string;
  /** The claim that lists a caller's roles. */
  rolesClaim: string;
};

/** Signatures that only the issuer can make. Symmetric ones would let every verifier forge tokens; `none` is no signature. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const CLOCK_TOLERANCE_S = 30;
const DISCOVERY_LIMIT_MS = 5_000;

export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

/** @param settings undefined = nobody is asked who they are */
export function createAuthenticator(settings: AuthenticationSettings | undefined): Authenticate {
  if (!settings) return async () => ANONYMOUS;
  const keys = keySource(settings);
  return async (request) => {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!token) throw new Problem('unauthenticated', 'Send Authorization: Bearer <token>.');
    const { issuer, audience } = settings;
    try {
      const { payload } = await jwtVerify(token, await keys(), {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['sub', 'exp'],
      });
      return toCaller(payload, settings.rolesClaim);
    } catch (err) {
      throw toProblem(err);
    }
  };
}

function keySource({ issuer, jwksUrl }: AuthenticationSettings): () => Promise<JWTVerifyGetKey> {
  let found: Promise<JWTVerifyGetKey> | undefined;
  const find = async () =>
    keepThroughOutage(
      createRemoteJWKSet(new URL(jwksUrl ?? (await discoverJwks(issuer))), { timeoutDuration: DISCOVERY_LIMIT_MS }),
    );
  return () => {
    found ??= find().catch((err: unknown) => {
      found = undefined; // the issuer may answer next time
      throw err;
    });
    return found;
  };
}

/** The keys are fetched afresh every ten minutes; an issuer that is away then must not lock everybody out. */
function keepThroughOutage(remote: ReturnType<typeof createRemoteJWKSet>): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await remote(header, token);
    } catch (err) {
      const known = remote.jwks();
      if (!known || isTokensFault(err)) throw err;
      return createLocalJWKSet(known)(header, token).catch(() => {
        throw err; // a key that is new to us may be good all the same
      });
    }
  };
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig */
async function discoverJwks(issuer: string): Promise<string> {
  const answer = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(DISCOVERY_LIMIT_MS),
  });
  const document = (await answer.json()) as { issuer?: unknown; jwks_uri?: unknown };
  if (document.issuer !== issuer || typeof document.jwks_uri !== 'string')
    throw new Error('the discovery document is not the issuer’s');
  return document.jwks_uri;
}

function toCaller(payload: JWTPayload, rolesClaim: string): Caller {
  const claimed = payload[rolesClaim];
  const names = Array.isArray(claimed) ? claimed : typeof claimed === 'string' ? claimed.split(' ') : [];
  return { subject: payload.sub ?? '', roles: ROLES.filter((role) => names.includes(role)) };
}

/** What is wrong with a token is its sender's business; what is wrong with our key source is ours. */
function toProblem(err: unknown): Error {
  if (err instanceof errors.JWTExpired) return new Problem('unauthenticated', 'The token has expired.');
  if (isTokensFault(err)) return new Problem('unauthenticated', 'The token is not valid here.');
  return new Problem('unavailable', 'The issuer’s keys cannot be had just now.');
}

/** jose's own words for "the key set did not arrive": a timeout, an answer other than 200 (generic), a wrong document. */
const KEYS_MISSING = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID']);
const isTokensFault = (err: unknown): boolean => err instanceof errors.JOSEError && !KEYS_MISSING.has(err.code);
