/** A webhook receiver as a consumer would write it: verifies the signature with the reference library, then stores. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { CloudEvent } from '../../contracts/events.js';

export type Receiver = {
  url: string;
  secret: string;
  /** Taken, in the order of arrival; repetitions included. */
  received: CloudEvent[];
  /** Requests whose signature was wrong. */
  rejected: number;
  /** Which status to answer; anything but 2xx means "not taken". */
  answer: (event: CloudEvent) => number;
  /** What it says of an event that it does not take, as JSON. */
  says?: object | undefined;
  /** Headers of each answer. */
  headers: Record<string, string>;
  /** Requests so far, whatever became of them. */
  asked: number;
  /** Called with each event before it is answered. */
  whenAsked?: ((event: CloudEvent) => Promise<void>) | undefined;
  /** How long it takes to answer. */
  delayMs: number;
  /** Sequences of an order in the order of their first arrival. */
  sequences(orderId: string): number[];
  start(): Promise<void>;
  stop(): Promise<void>;
};

export async function startReceiver(): Promise<Receiver> {
  const secret = `whsec_${Buffer.from('a receiver’s secret, thirty-two bytes').toString('base64')}`;
  let server: Server;
  let port = 0;
  const receiver: Receiver = {
    url: '',
    secret,
    received: [],
    rejected: 0,
    answer: () => 204,
    headers: {},
    asked: 0,
    delayMs: 0,
    sequences: (orderId) => [...new Set(receiver.received.filter((e) => e.subject === orderId).map((e) => e.sequence))],
    start: async () => {
      server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          receiver.asked++;
          const body = Buffer.concat(chunks).toString();
          const status = take(receiver, body, request.headers as Record<string, string>);
          const words = status >= 300 && receiver.says ? JSON.stringify(receiver.says) : undefined;
          response.writeHead(status, { ...(words && { 'content-type': 'application/json' }), ...receiver.headers });
          const ready = receiver.whenAsked?.(JSON.parse(body) as CloudEvent) ?? Promise.resolve();
          void ready.finally(() => setTimeout(() => response.end(words), receiver.delayMs));
        });
      });
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      ({ port } = server.address() as AddressInfo);
      receiver.url = `http://127.0.0.1:${port}/hook`;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  await receiver.start();
  return receiver;
}

function take(receiver: Receiver, body: string, headers: Record<string, string>): number {
  try {
    new Webhook(receiver.secret).verify(body, headers);
  } catch {
    receiver.rejected++;
    return 400;
  }
  const event = JSON.parse(body) as CloudEvent;
  const status = receiver.answer(event);
  if (status < 300) receiver.received.push(event);
  return status;
}
