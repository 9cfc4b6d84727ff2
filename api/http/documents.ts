/**
 * Documents that are the same for everybody: the OpenAPI document, and the page that shows it. Each is made once, compressed
 * once, and from then on answered from memory, or with a 304 to whoever has it; a stranger may ask for them, so they must
 * cost next to nothing.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip as gzipCallback } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Api } from '../dependencies.js';
import { isKnown } from './etags.js';
import { Problem } from './problems.js';

const gzip = promisify(gzipCallback);

type Encoded = { bytes: Buffer; tag: string };
type Document = { type: string; plain: Encoded; gzipped: Encoded };

/** Which paths of a scope are kept: every document has one spelling of its path; others of the same file could be made up without end. */
export type Kept = { paths: RegExp; cacheControl: string };

/** A day's deploys must be seen the same day; a 304 costs little. */
export const DOCUMENTATION: Kept = {
  paths: /^\/(openapi\.json|docs(\/|\/json|\/yaml|\/static\/[\w-]+(\.[\w-]+)*)?)$/,
  cacheControl: 'public, max-age=300',
};

/** Has the GET routes of this scope answer from memory. Must come before they are added. */
export function keepDocuments(scope: Api, { paths, cacheControl }: Kept): void {
  const documents = new Map<string, Document>();
  scope.addHook('onRequest', (request, reply, done) => {
    const path = pathOf(request);
    const document = documents.get(path);
    if (document) answer(request, reply, document, cacheControl);
    else done(paths.test(path) ? undefined : new Problem('not-found', 'There is nothing at this path.'));
  });
  scope.addHook('onSend', async (request, reply, payload) => {
    const path = pathOf(request);
    if (request.method !== 'GET' || reply.statusCode !== 200 || documents.has(path)) return payload;
    const bytes = await collect(payload);
    if (bytes === undefined) return payload;
    const type = String(reply.getHeader('content-type'));
    const document = { type, plain: encoded(bytes), gzipped: encoded(await gzip(bytes)) };
    documents.set(path, document);
    // The route's own: of a file on disk, which is not what is sent from now on.
    for (const name of ['accept-ranges', 'last-modified', 'content-length']) reply.removeHeader(name);
    return describe(request, reply, document, cacheControl).bytes;
  });
}

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? '';

/** @returns undefined if it is neither text, nor bytes, nor a stream of them */
async function collect(payload: unknown): Promise<Buffer | undefined> {
  if (typeof payload === 'string' || payload instanceof Uint8Array) return Buffer.from(payload as string);
  if (typeof payload !== 'object' || payload === null || !(Symbol.asyncIterator in payload)) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of payload as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const encoded = (bytes: Buffer): Encoded => ({
  bytes,
  tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`,
});

function answer(request: FastifyRequest, reply: FastifyReply, document: Document, cacheControl: string): void {
  const { bytes, tag } = describe(request, reply, document, cacheControl);
  if (isKnown(request.headers['if-none-match'], tag)) reply.code(304).send();
  else reply.send(bytes);
}

/** @returns what is to be sent under the headers that this sets */
function describe(
  request: FastifyRequest,
  reply: FastifyReply,
  { type, plain, gzipped }: Document,
  cacheControl: string,
): Encoded {
  const isGzipped = takesGzip(request.headers['accept-encoding']);
  const chosen = isGzipped ? gzipped : plain;
  const varies = reply.getHeader('vary');
  reply.headers({
    'content-type': type,
    etag: chosen.tag,
    'cache-control': cacheControl,
    vary: varies === undefined ? 'Accept-Encoding' : `${varies}, Accept-Encoding`,
    ...(isGzipped && { 'content-encoding': 'gzip' }),
  });
  return chosen;
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3 */
const takesGzip = (header: string | string[] | undefined): boolean =>
  /(^|,)\s*gzip\s*(;\s*q=(1(\.0*)?|0?\.\d*[1-9]\d*)\s*)?(,|$)/i.test(String(header ?? '').slice(0, 200));
