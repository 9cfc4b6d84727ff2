/**
 * Server: the stand-in for an OpenID Connect provider, as one Fastify app. It publishes its keys as a real one does and
 * issues a token to every client, which is its purpose on a laptop and would end all security anywhere else.
 */
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { FRONT_OPTIONS, putFrontBefore } from '../runtime/listeners/front.js';
import { answerUnparsable } from '../runtime/listeners/refusals.js';
import { createGrants, type Grant, type Grants, InvalidGrant } from './authorization.js';
import { type Clients, createClients, isFetchedByPages, mayCrossSites } from './clients.js';
import { ALGORITHMS, type Keys } from './keys.js';
import { signInRoutes } from './sign-in.js';
import { InvalidRequest, issueIdToken, issueToken, readTokenRequest, type TokenSettings } from './tokens.js';
import { welcome } from './welcome.js';

const BODY_MAX_BYTES = 8 * 1024;

export type IssuerOptions = {
  /** `iss` of every token, and where relying parties look for the discovery document. */
  issuer: string;
  audience: string;
  keys: Keys;
  /** Names that it answers to besides this machine's own. */
  allowedHosts?: string[];
  /** Where browsers may be sent back to besides this machine, each exactly. */
  redirectUris?: string[];
  logger: Logger;
};

export function createIssuer(options: IssuerOptions): FastifyInstance {
  const { issuer, audience, keys, allowedHosts, redirectUris = [], logger } = options;
  const clients = createClients(redirectUris);
  const app = Fastify({
    bodyLimit: BODY_MAX_BYTES,
    forceCloseConnections: true,
    http: FRONT_OPTIONS,
    clientErrorHandler: answerUnparsable,
  });
  putFrontBefore(app.server, {
    listener: 'issuer',
    trusted: { allowedHosts, mayCrossSites: mayCrossSites(clients) },
  });
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_: unknown, body: string) => parseForm(body),
  );
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    return answerOtherOrigins(request, reply, clients);
  });
  app.setErrorHandler((err: FastifyError, _request, reply) => {
    const status = err instanceof InvalidRequest ? 400 : (err.statusCode ?? 500);
    if (status >= 500) logger.error({ err }, 'request failed');
    return reply.code(status).send({
      error: status >= 500 ? 'server_error' : err instanceof InvalidGrant ? 'invalid_grant' : 'invalid_request',
      error_description: status >= 500 ? 'See the log.' : err.message,
    });
  });

  const hereOf = ({ protocol, host }: FastifyRequest) => `${protocol}://${host}`;
  app.get('/', (request, reply) =>
    reply.type('text/plain; charset=utf-8').send(welcome({ here: hereOf(request), issuer, audience })),
  );
  app.get('/livez', () => ({ alive: true }));
  app.get('/.well-known/openid-configuration', (request) => discoveryDocument(issuer, hereOf(request)));
  app.get('/.well-known/jwks.json', () => keys.jwks);
  const grants = createGrants();
  signInRoutes(app, { issuer, clients, grants });
  app.post('/token', (request) => answerTokenRequest(request, grants, { issuer, audience, keys }));
  return app;
}

/** Pages of known clients read what they fetch; a preflight asks for nothing else. https://fetch.spec.whatwg.org/#http-cors-protocol */
async function answerOtherOrigins(request: FastifyRequest, reply: FastifyReply, clients: Clients) {
  const { origin } = request.headers;
  if (!isFetchedByPages(request.url.split('?', 1)[0] ?? '')) return undefined;
  reply.header('vary', 'Origin');
  if (origin === undefined || !clients.isKnownOrigin(origin)) return undefined;
  reply.header('access-control-allow-origin', origin);
  if (request.method !== 'OPTIONS') return undefined;
  const asked = { 'access-control-allow-methods': 'GET, POST', 'access-control-allow-headers': 'Content-Type' };
  return reply
    .headers({ ...asked, 'access-control-max-age': '600' })
    .code(204)
    .send();
}

/**
 * By a code, by a refresh token, or for whoever asks. @throws InvalidRequest for a page of elsewhere that asks for itself: a page
 * gets a token when somebody has clicked for it
 */
async function answerTokenRequest(request: FastifyRequest, grants: Grants, settings: TokenSettings): Promise<object> {
  const body = (request.body ?? {}) as Record<string, unknown>;
  const { grant_type: type } = body;
  if (type === 'authorization_code') return answerGrant(grants.redeem(body), grants, settings, true);
  if (type === 'refresh_token') return answerGrant(grants.renew(body), grants, settings, false);
  const { origin } = request.headers;
  if (origin !== undefined && origin !== `${request.protocol}://${request.host}`)
    throw new InvalidRequest('A page of another origin gets its tokens with `grant_type=authorization_code`.');
  return issueToken(readTokenRequest(request.body), settings);
}

async function answerGrant(granted: Grant, grants: Grants, settings: TokenSettings, isFirst: boolean): Promise<object> {
  const { request, chosen } = granted;
  const { clientId, nonce, scope } = request;
  const { sub, authenticatedAtMs } = chosen;
  const renewal = grants.allowRenewal(granted, isFirst);
  return {
    ...(await issueToken({ ...chosen, algorithm: 'RS256' }, settings, clientId)),
    scope: scope.join(' '),
    ...(scope.includes('openid') && {
      id_token: await issueIdToken(
        { sub, clientId, authenticatedAtMs, ...(isFirst && nonce !== undefined && { nonce }) },
        settings,
      ),
    }),
    ...(renewal !== undefined && { refresh_token: renewal }),
  };
}

/**
 * https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
 * @param here where it is asked: a browser may reach this process by another name than other containers do
 */
function discoveryDocument(issuer: string, here: string): object {
  return {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    authorization_endpoint: `${here}/authorize`,
    token_endpoint: `${here}/token`,
    end_session_endpoint: `${here}/logout`,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    authorization_response_iss_parameter_supported: true,
    request_uri_parameter_supported: false,
    scopes_supported: ['openid', 'offline_access'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ALGORITHMS,
    claims_supported: ['iss', 'aud', 'sub', 'iat', 'exp', 'jti', 'auth_time', 'nonce', 'client_id', 'roles'],
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
