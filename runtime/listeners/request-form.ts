/**
 * The form of a request, as far as Node's parser leaves it open: exactly one host (RFC 9112 §3.2), a request target that is a
 * path or a whole URL, a length that does not depend on who reads it, and no expectation but `100-continue`.
 */
import type { IncomingMessage } from 'node:http';
import { type Authority, parseAuthority } from './host.js';
import type { Refusal } from './refusals.js';

export type Form = { authority: Authority | undefined } | { refusal: Refusal };

/** Brings a whole URL as request target into the form of the others: a path, and a Host header that says its authority. */
export function readForm(request: IncomingMessage): Form {
  const { headers, httpVersionMinor, method, rawHeaders } = request;
  const hosts = rawHeaders.filter(
    (name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host',
  ).length;
  if (hosts > 1) return malformed('There is more than one Host header.');
  if (hosts === 0 && httpVersionMinor > 0) return malformed('There is no Host header.');
  let authority = headers.host === undefined ? undefined : parseAuthority(headers.host);
  if (hosts === 1 && !authority) return malformed('The Host header is not a host with or without a port.');

  const target = request.url ?? '';
  if (!target.startsWith('/') && !(target === '*' && method === 'OPTIONS')) {
    const [, named = '', path = ''] = /^https?:\/\/([^/?#]*)([^#]*)$/i.exec(target) ?? [];
    authority = parseAuthority(named);
    if (!authority) return malformed('The request target is neither a path nor an http URL.');
    request.url = path.startsWith('/') ? path : `/${path}`;
    headers.host = named;
  }
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined)
    return malformed('HTTP/1.0 has no Transfer-Encoding.');
  return { authority };
}

const malformed = (detail: string): Form => ({ refusal: { code: 'malformed-request', detail } });

export function refuseExpectation({ headers, httpVersionMinor }: IncomingMessage): Refusal | undefined {
  const { expect } = headers;
  if (expect === undefined || httpVersionMinor === 0 || expect.trim().toLowerCase() === '100-continue')
    return undefined;
  return { code: 'expectation-failed', detail: 'Expect may be 100-continue, and nothing else.' };
}
