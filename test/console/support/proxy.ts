/**
 * A reverse proxy as shops put before the service: one origin, everything below a path, streams passed on as they come. And what may go wrong
 * between a page and its API, on request: nothing answers, the token is refused, too much was asked, the request is wrong, the answer is lost.
 */
import { createServer, type IncomingMessage, request as send, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** `answer-lost`: the API has done what was asked, and the page does not hear of it. */
export const TROUBLES = ['gone', 'token-refused', 'too-many', 'wrong', 'answer-lost'] as const;
export type Trouble = (typeof TROUBLES)[number];

export type ReverseProxy = {
  url: string;
  /** Of requests such as `POST /inventory/A/adjust`; `gone` concerns all. */
  trouble: { kind: Trouble; of: RegExp } | undefined;
  /** Where answers led elsewhere, as they said it. */
  redirects: string[];
  stop(): Promise<void>;
};

export const RETRY_AFTER_S = 2;
const TOO_MANY = {
  ...{ type: '/problems/too-many-requests', title: 'You ask more often than you may', status: 429 },
  ...{ detail: 'At most 10 acts a minute.', code: 'too-many-requests', correlationId: 'proxy' },
};

/**
 * @param port of the API
 * @param path such as `/shop/ops`: all that the proxy serves is below it, and the API knows nothing of it
 */
export async function startProxy(port: number, path: string): Promise<ReverseProxy> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: ReverseProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    trouble: undefined,
    redirects: [],
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const { url = '', method = '' } = request;
    if (!url.startsWith(`${path}/`)) return response.writeHead(404).end();
    const inner = url.slice(path.length);
    const { kind } =
      proxy.trouble?.of.test(`${method} ${inner}`) || proxy.trouble?.kind === 'gone' ? proxy.trouble : {};
    if (kind === 'gone') return request.socket.destroy();
    if (kind === 'too-many') {
      response.writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': `${RETRY_AFTER_S}` });
      return response.end(JSON.stringify(TOO_MANY));
    }
    const body = kind === 'wrong' ? spoilt(await bytesOf(request)) : undefined;
    const headers = { ...request.headers, ...(body !== undefined && { 'content-length': `${body.length}` }) };
    if (kind === 'token-refused') headers.authorization = 'Bearer of.nobody.known';
    const target = kind === 'wrong' && method === 'GET' ? inner.replace(/\?.*/, '?q=%20&limit=none') : inner;
    const onward = send({ host: '127.0.0.1', port, method, path: target, headers }, (answer) => {
      if (kind === 'answer-lost') return request.socket.destroy();
      if (answer.headers.location !== undefined) proxy.redirects.push(answer.headers.location);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      return answer.pipe(response);
    });
    onward.on('error', () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502 Bad Gateway</h1>');
    });
    response.on('close', () => onward.destroy());
    if (body === undefined) request.pipe(onward);
    else onward.end(body);
    return undefined;
  };
  return proxy;
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What the API refuses whoever sent it: a reason beyond every limit, or nothing at all. */
function spoilt(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const body = JSON.parse(bytes.toString()) as { reason?: string };
  return Buffer.from(JSON.stringify(body.reason === undefined ? {} : { ...body, reason: 'long '.repeat(1_000) }));
}
