/**
 * Authentication: the caller of a request. Bearer JWTs (RFC 6750) of one OpenID Connect issuer, verified with its published
 * keys and with nothing that the token itself brings along or points at.
 */
import type { FastifyRequest } from 'fastify';
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { createIssuerKeys, KeysMissing } from './issuer-keys.js';
import { ANONYMOUS, type Caller, ROLES } from './permissions.js';
import { Problem } from '../http/problems.js';

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
/** Tokens of real issuers have 1 to 2 KB; half of what all headers together may have. */
const TOKEN_MAX_CHARS = 8_192;

export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

/** @param settings undefined = no caller is authenticated */
export function createAuthenticator(settings: AuthenticationSettings | undefined): Authenticate {
  if (!settings) return async () => ANONYMOUS;
  const keys = createIssuerKeys(settings);
  return async (request) => {
    const token = readToken(request);
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: settings.issuer,
        audience: settings.audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['sub', 'exp'],
      });
      if (!isSubject(payload.sub)) throw invalid('The token is not valid here.');
      return toCaller(payload, settings.rolesClaim);
    } catch (err) {
      throw toProblem(err, request);
    }
  };
}

/** @throws Problem unauthenticated unless there is exactly one, in the one place where tokens belong */
function readToken({ headers, raw }: FastifyRequest): string {
  // Node keeps the first of several and drops the others; a proxy before us may have checked the last.
  const given = raw.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length;
  if (given > 1) throw invalid('Send one Authorization header.');
  const text = headers.authorization ?? '';
  const token = text.length <= TOKEN_MAX_CHARS ? /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(text)?.[1] : undefined;
  if (token) return token;
  if (text !== '') throw invalid('The Authorization header is not Bearer and a token.');
  throw new Problem('unauthenticated', 'Send Authorization: Bearer <token>.');
}

/** It becomes part of rows, logs and headers to Temporal: text, and no control characters. */
const isSubject = (sub: unknown): boolean => typeof sub === 'string' && /^[^\p{Cc}\p{Cs}]{1,255}$/u.test(sub);

function toCaller(payload: JWTPayload, rolesClaim: string): Caller {
  const claimed = payload[rolesClaim];
  const names = Array.isArray(claimed) ? claimed : typeof claimed === 'string' ? claimed.split(' ') : [];
  return {
    subject: payload.sub ?? '',
    roles: ROLES.filter((role) => names.includes(role)),
    ...(payload.exp !== undefined && { expiresAt: payload.exp * 1_000 }),
  };
}

/** What is wrong with a token is its sender's business; what is wrong with our key source is ours. */
function toProblem(err: unknown, request: FastifyRequest): Error {
  if (err instanceof Problem) return err;
  if (err instanceof KeysMissing) {
    request.log.warn({ err }, 'nobody can be authenticated');
    return new Problem('unavailable', 'The issuer’s keys cannot be had just now.');
  }
  if (err instanceof errors.JWTExpired) return invalid('The token has expired.');
  return invalid('The token is not valid here.');
}

/** https://www.rfc-editor.org/rfc/rfc6750#section-3.1 */
const invalid = (detail: string) =>
  new Problem('unauthenticated', detail, {}, { challenge: 'Bearer error="invalid_token"' });
