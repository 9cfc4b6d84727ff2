/**
 * Refusals before any handler has seen a request: what they are, how they are answered (RFC 9457), and how often. A listener
 * with a form of its own for problems answers them in that.
 */
import { type IncomingMessage, maxHeaderSize, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Counter } from 'prom-client';

/** Every port that a process of ours opens. */
export const LISTENERS = ['api', 'metrics', 'sandbox', 'issuer'] as const;
export type Listener = (typeof LISTENERS)[number];

const STATUSES = {
  'malformed-request': 400,
  'cross-site': 403,
  'proxied-request': 403,
  'request-timeout': 408,
  'expectation-failed': 417,
  'misdirected-request': 421,
  'headers-too-large': 431,
  overloaded: 503,
} as const;

export type RefusalCode = keyof typeof STATUSES;
export type Refusal = { code: RefusalCode; detail: string };

export const RETRY_AFTER_S = 2;

/** Refused calls leave a trace that strangers cannot make grow. */
export const refusedAtListeners = new Counter({
  name: 'order_saga_refused_at_listener_total',
  help: 'Requests that were refused before any handler, by listener (api, metrics) and code',
  labelNames: ['listener', 'code'],
  registers: [],
});

/** Refusals, and what else a listener without problems of its own can answer. */
const ALL_STATUSES = { ...STATUSES, 'not-found': 404, 'method-not-allowed': 405 } as const;

export const problemOf = (code: keyof typeof ALL_STATUSES, detail: string) => ({
  type: 'about:blank',
  title: STATUS_CODES[ALL_STATUSES[code]],
  status: ALL_STATUSES[code],
  detail,
  code,
});

/** Closes the connection, too: what comes next on it is not worth reading. */
export function answerRefusal(refusal: Refusal, _request: IncomingMessage, response: ServerResponse): void {
  sendProblem(
    response,
    problemOf(refusal.code, refusal.detail),
    refusal.code === 'overloaded' ? { 'retry-after': RETRY_AFTER_S } : {},
  );
}

export function sendProblem(
  response: ServerResponse,
  problem: { status: number },
  headers: Record<string, string | number> = {},
): void {
  const body = JSON.stringify(problem);
  response
    .writeHead(problem.status, {
      ...headers,
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      connection: 'close',
    })
    .end(body);
}

const UNPARSABLE: Record<string, RefusalCode> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  HPE_HEADER_OVERFLOW: 'headers-too-large',
};

/** @returns the refusal of bytes that Node's parser cannot read as a request; undefined = its connection was just closed */
export function refuseUnparsable(err: Error & { code?: string }, socket: Socket): Refusal | undefined {
  if (err.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) return void socket.destroy();
  const code = UNPARSABLE[err.code ?? ''] ?? 'malformed-request';
  if (code === 'headers-too-large') return { code, detail: `The headers are larger than ${maxHeaderSize / 1024} KiB.` };
  return { code, detail: `This is no request that can be answered: ${STATUS_CODES[STATUSES[code]]}.` };
}

/** An earlier request's answer is under way or due: anything else that is written now would be taken for it, or for a part of it. */
function isAnswering(socket: Socket): boolean {
  const { _httpMessage: answer } = socket as { _httpMessage?: ServerResponse | null };
  return answer != null && (answer.headersSent || answer.req.complete);
}

/** Of a socket without a response object. */
export function writeProblem(socket: Socket, problem: { status: number }, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

export function answerUnparsable(err: Error & { code?: string }, socket: Socket): void {
  const refusal = refuseUnparsable(err, socket);
  if (refusal) writeProblem(socket, problemOf(refusal.code, refusal.detail));
}
