/** A consumer of events: takes what is signed as it should be, keeps all of it, and is at times not well. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { CloudEvent } from '../../contracts/events.js';

/** - `rejects` answers 422 - `fails` answers 500 - `slow` takes a while - `gone` hangs up */
export type ConsumerTrouble = 'rejects' | 'fails' | 'slow' | 'gone';
export type Consumer = {
  /** host:port */
  address: string;
  secret: string;
  /** In the order of their arrival, repetitions included. */
  received: CloudEvent[];
  trouble: (trouble: ConsumerTrouble | undefined) => void;
  stop: () => Promise<void>;
};

const SLOW_MS = 700;

export async function startConsumer(): Promise<Consumer> {
  const secret = `whsec_${Buffer.from('a consumer’s secret, thirty-two byt').toString('base64')}`;
  const webhook = new Webhook(secret);
  let trouble: ConsumerTrouble | undefined;
  const received: CloudEvent[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      const now = trouble;
      if (now === 'gone') return void request.socket.destroy();
      const status = now === 'rejects' ? 422 : now === 'fails' ? 500 : take(Buffer.concat(chunks).toString());
      void sleep(now === 'slow' ? SLOW_MS : 0).then(() => response.writeHead(status).end());
    });
    const take = (body: string): number => {
      try {
        webhook.verify(body, request.headers as Record<string, string>);
      } catch {
        return 400;
      }
      received.push(JSON.parse(body) as CloudEvent);
      return 204;
    };
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    secret,
    received,
    trouble: (next) => {
      trouble = next;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
