/** Canaries: secrets and personal data that a test plants, and where none of them may be found again. */
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';

/** Each contains this word, which nothing of ours does. */
export const canary = (place: string): string => `canary-${place}-4f7e`;
const KEY = Buffer.from('canary, a secret of a webhook receiver').toString('base64');
export const CANARY_KEY = `whsec_${KEY}`;
const ANY = new RegExp(`[\\w.@=-]*canary[\\w.@=-]*|${KEY}`, 'gi');

/** @returns every canary in the text, with where it was found */
export const canariesIn = (where: string, text: string): string[] => {
  const found = new Set([...text.matchAll(ANY)].map(([word, ..._], nth) => (nth < 50 ? word : 'and more')));
  return [...found].map((word) => `${where}: ${word}: ${lineAround(text, word)}`);
};

const lineAround = (text: string, word: string): string => {
  const at = text.indexOf(word);
  return text.slice(Math.max(0, at - 300), at + 200);
};

export type Neighbour = { port: number; stop(): void };

/** A server that sends back whatever it is sent, and hangs up: credentials included. */
export const startEcho = (greeting = ''): Promise<Neighbour> =>
  listening(
    createServer((socket) => {
      socket.on('error', () => undefined);
      if (greeting !== '') socket.write(greeting);
      socket.once('data', (said) => socket.end(said));
    }),
  );

/** A Redis that refuses every password, and says which. */
export const startStrictRedis = (): Promise<Neighbour> =>
  listening(
    createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (said) => {
        const commands = said.toString().match(/^\*\d+\r$/gm) ?? [];
        const refusal = `-WRONGPASS invalid username-password pair ${said.toString().replaceAll(/\s+/g, ' ')}\r\n`;
        socket.write(refusal.repeat(commands.length));
      });
    }),
  );

/** A payment API that answers every request with an error, in which each field has the request in it. */
export const startTalkativeGateway = (): Promise<Neighbour> => {
  let asked = 0;
  return listening(
    createHttpServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const echo = `${request.headers.authorization} ${request.url} ${Buffer.concat(chunks)} ${canary('gateway')}`;
        const error = {
          message: echo,
          code: canary('code'),
          decline_code: canary('decline'),
          param: echo,
          doc_url: echo,
        };
        const [status, type] = ANSWERS[asked++ % ANSWERS.length] ?? [500, 'api_error'];
        response.writeHead(status, { 'request-id': canary('request'), 'x-echo': canary('header') });
        response.end(type === 'html' ? `<html>${echo}` : JSON.stringify({ error: { type, ...error } }));
      });
    }),
  );
};
const ANSWERS: [number, string][] = [
  [500, 'api_error'],
  [400, 'invalid_request_error'],
  [503, 'html'],
  [200, 'html'],
  [401, 'authentication_error'],
  [403, 'invalid_request_error'],
  [429, 'rate_limit_error'],
];

/** A webhook receiver that answers with what it was sent. */
export const startTalkativeReceiver = (): Promise<Neighbour> =>
  listening(
    createHttpServer((request, response) => {
      request.resume();
      request.on('end', () =>
        response.writeHead(400, { 'x-echo': canary('receiver'), 'retry-after': canary('retry') }).end(canary('answer')),
      );
    }),
  );

async function listening(server: Server): Promise<Neighbour> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => void server.close() };
}

/** Every file below `dir`, as [path, text]. */
export const filesBelow = (dir: string): [string, string][] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path, readFileSync(path, 'latin1')]);

/** Every saga's history, payloads decoded, as [workflow id, text]. */
export async function readHistories(address: string): Promise<[string, string][]> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const histories: [string, string][] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    histories.push([workflowId, JSON.stringify(history, decoded)]);
  }
  await connection.close();
  return histories;
}

const decoded = (_: string, value: unknown): unknown => {
  const bytes = value as { type?: unknown; data?: unknown } | null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  return bytes?.type === 'Buffer' && Array.isArray(bytes.data) ? Buffer.from(bytes.data).toString() : value;
};
