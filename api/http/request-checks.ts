/** Checks that every request passes before its route handles it. */
import cors from '@fastify/cors';
import type { FastifyRequest } from 'fastify';
import type { Api } from '../dependencies.js';
import { parseJson } from './json.js';
import { Problem } from './problems.js';

/** Browsers send some 20; all of them together may have 16 KiB. */
const HEADERS_MAX = 100;

export function checkRequests(app: Api): void {
  app.removeAllContentTypeParsers(); // a body is JSON, or it is refused
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) =>
    parseJson(body),
  );
  app.addHook('onRequest', (request, _reply, done) => done(checkHeaders(request)));
  app.addHook('preValidation', ({ query }, _reply, done) => done(checkQuery(query as { limit?: unknown } | undefined)));
}

function checkHeaders({ raw, headers }: FastifyRequest): Problem | undefined {
  if (raw.rawHeaders.length / 2 > HEADERS_MAX)
    return new Problem('headers-too-large', `There are more than ${HEADERS_MAX} headers.`);
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return undefined;
  return new Problem('unsupported-media-type', 'Send the body as it is, without Content-Encoding.');
}

/** Coercion would also take 1e2, +5 and 0x10, which proxies and caches distinguish from 100, 5 and 16. */
function checkQuery(query: { limit?: unknown } | undefined): Problem | undefined {
  const limit = query?.limit;
  if (typeof limit !== 'string' || /^[1-9]\d*$/.test(limit)) return undefined;
  const error = { pointer: 'querystring/limit', detail: 'must be a whole number from 1, in digits' };
  return new Problem('invalid-request', `${error.pointer}: ${error.detail}`, { errors: [error] });
}

const EXPOSED = [
  'ETag',
  'Feed-As-Of',
  'Idempotent-Replayed',
  'Location',
  'Preference-Applied',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
  'X-Correlation-ID',
];
const ASKED = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'Prefer',
  'Traceparent',
  'X-Correlation-ID',
  // The Web UI's, to its codec server.
  'X-Namespace',
];
const PREFLIGHT_KEPT_S = 600;

/** Web pages of these origins may use the API; those of others cannot read an answer. Must come before authentication. */
export async function allowOrigins(app: Api, origins: string[]): Promise<void> {
  await app.register(cors, {
    origin: origins,
    methods: ['GET', 'HEAD', 'POST', 'PUT'],
    allowedHeaders: ASKED,
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_KEPT_S,
    strictPreflight: false,
  });
}
