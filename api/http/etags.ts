/** Entity tags: a client that has the current answer already gets a 304 instead of the body. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** The tag is strong, made of the answer's bytes: whatever changes in it, changes the tag. */
export function answerUnlessKnown(request: FastifyRequest, reply: FastifyReply, body: object): FastifyReply {
  const text = reply.code(200).serialize(body) as string;
  const tag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
  reply.header('etag', tag).header('cache-control', 'private, no-cache'); // to be kept by its reader, asking each time
  if (isKnown(request.headers['if-none-match'], tag)) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(text);
}

/** A client keeps a version or two; who lists hundreds gets the answer. */
const KNOWN_LENGTH_MAX = 2_000;

/** https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2: compared weakly, so that a proxy may have weakened it. */
export function isKnown(header: string | undefined, tag: string): boolean {
  if (header === undefined || header.length > KNOWN_LENGTH_MAX) return false;
  return header.trim() === '*' || header.split(',').some((known) => known.trim().replace(/^W\//, '') === tag);
}
