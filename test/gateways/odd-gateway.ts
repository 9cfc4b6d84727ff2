/** A gateway with answers that no provider gives: it answers as a test says, and counts the requests that still wait. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AccountMarker, Gateway } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';

export type OddGateway = {
  gateway: Gateway & AccountMarker;
  /** What it was asked, in the order of asking, and when: by performance.now(). */
  asked: { method: string; path: string; at: number }[];
  /** Requests that it is still answering, while their client listens. */
  open(): number;
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
};

export async function startOddGateway(timeoutMs: number): Promise<OddGateway> {
  let open = 0;
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    odd.asked.push({ method: request.method ?? '', path, at: performance.now() });
    open++;
    response.once('close', () => open--);
    request.resume();
    odd.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const odd: OddGateway = {
    gateway: createPaymentGateway({ url, apiKey: 'sk_test_odd', timeoutMs }),
    asked: [],
    open: () => open,
    answer: (_request, response) => response.end('{}'),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return odd;
}

export const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
};
