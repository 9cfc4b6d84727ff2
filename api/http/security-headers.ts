/** The headers that every response has, problems included, whoever writes it. Which there are is helmet's judgement. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import helmet from 'helmet';

/**
 * For responses that are data: browsers shall not run, frame or keep them. /docs has a policy of its own. HSTS means nothing over
 * plain HTTP, so it depends on the request.
 */
const setHelmetHeaders = helmet({
  contentSecurityPolicy: false,
  strictTransportSecurity: false,
  xFrameOptions: { action: 'deny' },
});

/** Asked for once, since they are always the same: also for what is answered where no hook of Fastify's runs. */
function helmetHeaders(): Record<string, string> {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  setHelmetHeaders(request, response, (err) => {
    if (err) throw err;
  });
  return response.getHeaders() as Record<string, string>;
}

export const SECURITY_HEADERS = {
  ...helmetHeaders(),
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

/** Sets the security headers and the correlation id. */
export function setStandardHeaders(reply: FastifyReply): void {
  reply.headers(SECURITY_HEADERS).header('x-correlation-id', reply.request.id);
  // Only where TRUST_PROXY makes it known; over plain HTTP it would mean nothing.
  if (reply.request.protocol === 'https') reply.header('strict-transport-security', 'max-age=31536000');
}
