/** A webhook receiver that costs next to nothing: it looks at the id of what it is sent, and takes it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Receiver = {
  /** The product’s settings for it. */
  settings: Record<string, string>;
  /** Requests taken, repetitions included. */
  received: () => number;
  /** Listens again, on the same port. */
  start: () => Promise<void>;
  /** Closes its connections, and answers no request any more. */
  stop: () => Promise<void>;
};

const SECRET = `whsec_${Buffer.from('a secret that is known to nobody').toString('base64')}`;

/** @param take is given the id of each event, in the order of arrival */
export async function startReceiver(take: (eventId: string) => void = () => {}): Promise<Receiver> {
  let received = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      received++;
      take(`${request.headers['webhook-id']}`);
      response.writeHead(204).end();
    });
  });
  const listen = (at: number) => new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    settings: { WEBHOOK_URL: `http://127.0.0.1:${port}/`, WEBHOOK_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' },
    received: () => received,
    start: () => listen(port),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
