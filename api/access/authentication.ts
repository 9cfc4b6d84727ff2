/**
 * Authentication: the caller of a request. Bearer JWTs (RFC 6750) of one OpenID Connect issuer, verified with its published
 * keys and with nothing that the token itself brings along or points at.
 */
import type { FastifyRequest } from 'fastify';
import { type CryptoKey, errors, type JWTPayload, type JWTVerifyResult, jwtVerify } from 'jose';
import { rolesOf, subjectFault, tokenKindFault } from './access-tokens.js';
import { createIssuerKeys, type IssuerKeys, KeysMissing } from './issuer-keys.js';
import { ANONYMOUS, type Caller } from './permissions.js';
import { Problem } from '../http/problems.js';

export type AuthenticationSettings = {
  /** `iss` of every token, exactly; also where discovery begins. */
  issuer: string;
  /** `aud` that every token must have. */
  audience: string;
  /** Where the issuer publishes its keys, if not to be discovered. */
  jwksUrl?: string;
  /** Where they may come from over plain http beyond this machine; undefined = nowhere. */
  allowPlaintext?: boolean;
  /** The claim that lists a caller's roles. */
  rolesClaim: string;
  /** How long after its `iat` a token is taken at most; undefined = 10 days. */
  tokenAgeMaxMs?: number;
  /** Take only tokens whose `typ` is at+jwt. */
  requireAtJwt?: boolean;
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
/** A token that was stolen from a backup or a log is worth nothing after this, however far its `exp` is away. */
const TOKEN_AGE_MAX_MS = 10 * 24 * 60 * 60_000;
/** Tokens of real issuers have 1 to 2 KB; half of what all headers together may have. */
const TOKEN_MAX_CHARS = 8_192;

export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

/** @param settings undefined = no caller is authenticated */
export function createAuthenticator(settings: AuthenticationSettings | undefined): Authenticate {
  if (!settings) return async () => ANONYMOUS;
  const keys = createIssuerKeys(settings);
  const tokenAgeMaxS = (settings.tokenAgeMaxMs ?? TOKEN_AGE_MAX_MS) / 1_000;
  const limits = {
    issuer: settings.issuer,
    audience: settings.audience,
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ['sub', 'exp', 'iat'],
    maxTokenAge: tokenAgeMaxS,
  };
  return async (request) => {
    const token = readToken(request);
    try {
      const { protectedHeader, payload } = await verify(token, keys, limits);
      const fault =
        tokenKindFault(protectedHeader, payload, settings.requireAtJwt ?? false) ?? subjectFault(payload.sub);
      if (fault !== undefined) throw invalid(fault);
      return toCaller(payload, settings.rolesClaim, tokenAgeMaxS);
    } catch (err) {
      throw toProblem(err, request);
    }
  };
}

/** A token need not name its key: then each that could be meant is tried. @throws what is wrong with the token, or with our keys */
async function verify(
  token: string,
  keys: IssuerKeys,
  limits: Parameters<typeof jwtVerify>[2],
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, keys, limits);
  } catch (err) {
    if (!(err instanceof errors.JWKSMultipleMatchingKeys)) throw err;
    for await (const key of err as AsyncIterable<CryptoKey>) {
      try {
        return await jwtVerify(token, key, limits);
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** @throws Problem unauthenticated unless there is exactly one, in the one place where tokens belong */
function readToken({ headers, raw }: FastifyRequest): string {
  // Node keeps the first of several and drops the others; a proxy before us may have checked the last.
  const given = raw.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length;
  if (given > 1) throw invalid('Send one Authorization header.');
  const text = headers.authorization ?? '';
  if (text.length > TOKEN_MAX_CHARS)
    throw invalid(`The Authorization header is longer than ${TOKEN_MAX_CHARS} characters.`);
  const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(text)?.[1];
  if (token) return token;
  if (text !== '') throw invalid('The Authorization header is not Bearer and a token.');
  throw new Problem('unauthenticated', 'Send Authorization: Bearer <token>.');
}

function toCaller(payload: JWTPayload, rolesClaim: string, tokenAgeMaxS: number): Caller {
  const { sub = '', iat = 0, exp = 0 } = payload;
  return {
    subject: sub,
    roles: rolesOf(payload, rolesClaim),
    expiresAt: Math.floor(Math.min(exp, iat + tokenAgeMaxS) * 1_000),
  };
}

/** What is wrong with a token is its sender's business; what is wrong with our key source is ours. */
function toProblem(err: unknown, request: FastifyRequest): Error {
  if (err instanceof Problem) return err;
  if (err instanceof KeysMissing) {
    request.log.warn({ err }, 'nobody can be authenticated');
    return new Problem('unavailable', 'The issuer’s keys cannot be had just now.');
  }
  if (err instanceof errors.JWTExpired)
    return invalid(err.claim === 'iat' ? 'The token was issued too long ago (iat).' : 'The token has expired.');
  // Said only of what the issuer has signed.
  if (err instanceof errors.JWTClaimValidationFailed) return invalid(`The token is not valid here (${err.claim}).`);
  return invalid('The token is not valid here.');
}

/** https://www.rfc-editor.org/rfc/rfc6750#section-3.1 */
const invalid = (detail: string) =>
  new Problem('unauthenticated', detail, {}, { challenge: 'Bearer error="invalid_token"' });
