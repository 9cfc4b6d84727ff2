/** The headers that every response has, problems included. */
import type { FastifyReply } from 'fastify';

/** For responses that are data: browsers shall not run, frame or keep them. /docs has a policy of its own. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** Sets the security headers and the correlation id. */
export function setStandardHeaders(reply: FastifyReply): void {
  reply.headers(SECURITY_HEADERS).header('x-correlation-id', reply.request.id);
  // Only where TRUST_PROXY makes it known; over plain HTTP it would mean nothing.
  if (reply.request.protocol === 'https') reply.header('strict-transport-security', 'max-age=31536000');
}
