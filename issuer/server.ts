/**
 * Server: the stand-in for an OpenID Connect provider, as one Fastify app. It publishes its keys as a real one does and
 * issues a token to every client, which is its purpose on a laptop and would end all security anywhere else.
 */
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { FRONT_OPTIONS, putFrontBefore } from '../runtime/listeners/front.js';
import { answerUnparsable } from '../runtime/listeners/refusals.js';
import { ALGORITHMS, type Keys } from './keys.js';
import { InvalidRequest, issueToken, readTokenRequest } from './tokens.js';
import { welcome } from './welcome.js';

const BODY_MAX_BYTES = 8 * 1024;

export type IssuerOptions = {
  /** `iss` of every token, and where relying parties look for the discovery document. */
  issuer: string;
  audience: string;
  keys: Keys;
  /** Names that it answers to besides this machine's own. */
  allowedHosts?: string[];
  logger: Logger;
};

export function createIssuer({ issuer, audience, keys, allowedHosts, logger }: IssuerOptions): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_MAX_BYTES,
    forceCloseConnections: true,
    http: FRONT_OPTIONS,
    clientErrorHandler: answerUnparsable,
  });
  putFrontBefore(app.server, { listener: 'issuer', trusted: { allowedHosts } });
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_: unknown, body: string) => parseForm(body),
  );
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
  });
  app.setErrorHandler((err: FastifyError, _request, reply) => {
    const status = err instanceof InvalidRequest ? 400 : (err.statusCode ?? 500);
    if (status >= 500) logger.error({ err }, 'request failed');
    const error = status >= 500 ? 'server_error' : 'invalid_request';
    return reply.code(status).send({ error, error_description: status >= 500 ? 'See the log.' : err.message });
  });

  app.get('/', (request, reply) => {
    const here = `${request.protocol}://${request.host}`;
    return reply.type('text/plain; charset=utf-8').send(welcome({ here, issuer, audience }));
  });
  app.get('/livez', () => ({ alive: true }));
  app.get('/.well-known/openid-configuration', () => discoveryDocument(issuer));
  app.get('/.well-known/jwks.json', () => keys.jwks);
  app.post('/token', (request) => issueToken(readTokenRequest(request.body), { issuer, audience, keys }));
  return app;
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata; there is no login here, so no such endpoint. */
function discoveryDocument(issuer: string): object {
  return {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    token_endpoint: `${issuer}/token`,
    response_types_supported: ['token'],
    grant_types_supported: ['client_credentials'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ALGORITHMS,
    claims_supported: ['iss', 'aud', 'sub', 'iat', 'exp', 'jti', 'client_id', 'roles'],
  };
}

/** A field given more than once is a list, so that `-d roles=service -d roles=auditor` means what it says. */
function parseForm(body: string): Record<string, string | string[]> {
  const form = new URLSearchParams(body);
  return Object.fromEntries(
    [...new Set(form.keys())].map((name) => {
      const values = form.getAll(name);
      return [name, values.length > 1 ? values : (values[0] ?? '')];
    }),
  );
}
