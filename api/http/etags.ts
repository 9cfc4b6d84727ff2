/**
 * Entity tags: a client that has the current answer already gets a 304 instead of the body, and one that changes what it has
 * read can have that refused if it is not the same any more.
 */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

export function answerUnlessKnown(request: FastifyRequest, reply: FastifyReply, body: object): FastifyReply {
  const text = reply.code(200).serialize(body) as string;
  const tag = tagOf(text);
  reply.header('etag', tag).header('cache-control', 'private, no-cache'); // to be kept by its reader, asking each time
  if (isKnown(request.headers['if-none-match'], tag)) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(text);
}

/** A client keeps a version or two; who lists hundreds gets the answer. */
const KNOWN_LENGTH_MAX = 2_000;
/** The tag is strong, made of the answer's bytes: whatever changes in it, changes the tag. */
const tagOf = (text: string): string => `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;

/** https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2: compared weakly, so that a proxy may have weakened it. */
export function isKnown(header: string | undefined, tag: string): boolean {
  if (header === undefined || header.length > KNOWN_LENGTH_MAX) return false;
  return header.trim() === '*' || header.split(',').some((known) => known.trim().replace(/^W\//, '') === tag);
}

/**
 * Whether If-Match and If-None-Match permit a change, https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2.
 * @param current what a GET of the same route would answer now; null if that is a 404
 */
export function permitsChange(request: FastifyRequest, reply: FastifyReply, current: object | null): boolean {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
  const tag = current === null ? undefined : tagOf(reply.code(200).serialize(current) as string);
  if (ifMatch !== undefined && !isCurrent(ifMatch, tag)) return false;
  return ifNoneMatch === undefined || tag === undefined || !isKnown(ifNoneMatch, tag);
}

/** Compared strongly: what was weakened on the way may differ in what the client has not seen. */
const isCurrent = (header: string, tag: string | undefined): boolean =>
  tag !== undefined && (header.trim() === '*' || header.split(',').some((known) => known.trim() === tag));
