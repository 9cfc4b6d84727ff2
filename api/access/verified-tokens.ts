/**
 * Tokens that have just been verified: a signature costs more than all else about a refused request, and clients send the
 * same token again and again. Only good ones are remembered, and not for long, so that a withdrawn key or role is not.
 */
import { decodeJwt } from 'jose';
import type { Authenticate } from './authentication.js';
import type { Caller } from './permissions.js';

const REMEMBERED_MS = 5_000;
/** Of 2 KB each, at most 4 MB. The oldest is forgotten first. */
const TOKENS_MAX = 2_000;

export function rememberVerified(authenticate: Authenticate): Authenticate {
  const known = new Map<string, { caller: Caller; verifiedAt: number; expiresMs: number }>();
  return async (request) => {
    const { authorization } = request.headers;
    const remembered =
      authorization === undefined || hasSeveral(request.raw.rawHeaders) ? undefined : known.get(authorization);
    if (remembered && isFresh(remembered)) return remembered.caller;
    const caller = await authenticate(request);
    if (authorization === undefined) return caller;
    const expiresMs = (decodeJwt(authorization.replace(/^bearer /i, '')).exp ?? 0) * 1_000;
    known.delete(authorization);
    const [oldest] = known.keys();
    if (oldest !== undefined && known.size >= TOKENS_MAX) known.delete(oldest);
    known.set(authorization, { caller, verifiedAt: performance.now(), expiresMs });
    return caller;
  };
}

const isFresh = ({ verifiedAt, expiresMs }: { verifiedAt: number; expiresMs: number }): boolean =>
  performance.now() - verifiedAt < REMEMBERED_MS && Date.now() < expiresMs;

/** Node keeps the first of several Authorization headers only; which of them is meant is the authenticator's to judge. */
const hasSeveral = (rawHeaders: string[]): boolean =>
  rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length > 1;
