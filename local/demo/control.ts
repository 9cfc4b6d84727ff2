/**
 * The launcher's own port for the console's buttons: on loopback, below a secret that only the processes it starts are given. The API
 * passes presses on; nobody else is meant to ask.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { safely } from '../processes/guard.js';
import { createActs, type DemoActs } from './acts.js';
import { createDemonstration, type DemoPlace } from './demonstration.js';
import { createReceiver, type Receiver } from './receiver.js';

const BODY_MAX_BYTES = 1_048_576;

export type DemoControl = { url: string; stop: () => Promise<void> };

/** @param place what the demonstration acts on; `demo.url` is to be given to the service as LAUNCHER_URL */
export async function startDemo(place: DemoPlace): Promise<DemoControl> {
  const secret = `/${randomBytes(24).toString('base64url')}`;
  const parts: { acts?: DemoActs; receiver?: Receiver } = {};
  const server = createServer((request, response) => {
    const path = request.url?.startsWith(`${secret}/`) ? request.url.slice(secret.length) : undefined;
    void answer(parts, path, request).then(
      ([status, body]) => end(response, status, body),
      () => end(response, 400),
    );
  });
  server.on('clientError', (_err, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${secret}`;
  parts.receiver = createReceiver(`${url}/events`);
  parts.acts = createActs(createDemonstration(place), parts.receiver);
  const { acts } = parts;
  process.once(
    'exit',
    safely('demo', () => server.close()),
  );
  return {
    url,
    stop: async () => {
      await acts.stop();
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  { acts, receiver }: { acts?: DemoActs; receiver?: Receiver },
  path: string | undefined,
  request: IncomingMessage,
): Promise<[number, unknown?]> {
  const text = await bodyOf(request);
  if (path === undefined || !acts || !receiver) return [404];
  if (request.method === 'GET' && path === '/') return [200, acts.state()];
  if (request.method !== 'POST') return [405];
  if (path === '/events') return [receiver.answer(JSON.parse(text))];
  const says = acts.press(path.slice('/acts/'.length));
  return says === undefined ? [409, { says: 'There is no such button just now.' }] : [202, { says, ...acts.state() }];
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MAX_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function end(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, body === undefined ? {} : { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
