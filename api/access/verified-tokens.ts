/**
 * Tokens that have just been verified: a signature costs more than all else about a refused request, and clients send the
 * same token again and again. Only good ones are remembered, and not for long, so that a withdrawn key or role is not.
 */
import type { Authenticate } from './authentication.js';
import type { Caller } from './permissions.js';

const REMEMBERED_MS = 5_000;
/** Of 2 KB each, at most 4 MB. The oldest is forgotten first. */
const TOKENS_MAX = 2_000;

export function rememberVerified(authenticate: Authenticate): Authenticate {
  const known = new Map<string, Verified>();
  return async (request) => {
    const { authorization } = request.headers;
    const remembered =
      authorization === undefined || hasSeveral(request.raw.rawHeaders) ? undefined : known.get(authorization);
    if (remembered && isFresh(remembered)) return remembered.caller;
    const caller = await authenticate(request);
    if (authorization === undefined) return caller;
    known.delete(authorization);
    const [oldest] = known.keys();
    if (oldest !== undefined && known.size >= TOKENS_MAX) known.delete(oldest);
    known.set(authorization, { caller, verifiedAt: performance.now() });
    return caller;
  };
}

type Verified = { caller: Caller; verifiedAt: number };

/** Not after `exp`, nor after the greatest age. */
const isFresh = ({ verifiedAt, caller: { expiresAt = 0 } }: Verified): boolean =>
  performance.now() - verifiedAt < REMEMBERED_MS && Date.now() < expiresAt;

/** Node keeps the first of several Authorization headers only; which of them is meant is the authenticator's to judge. */
const hasSeveral = (rawHeaders: string[]): boolean =>
  rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length > 1;
