/** The API over real HTTP on a free port, against a database of the test file's own; by default while Temporal is away. */
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { expect, jest } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { Ajv } from 'ajv';
import { type Logger, pino } from 'pino';
import { createAuditor } from '../../api/access/audit-recorder.js';
import { createAuthenticator } from '../../api/access/authentication.js';
import { type ApiSettings, startApi } from '../../api/api.js';
import type { ApiDependencies } from '../../api/dependencies.js';
import { createSagaDispatcher } from '../../api/dispatcher.js';
import { createOverview } from '../../api/overview/overview.js';
import { requireTemporal } from '../../api/routes/admin.js';
import { createStuckSnapshots } from '../../sagas/stuck-snapshots.js';
import { createApiReadiness } from '../../api/routes/health.js';
import { createServer } from '../../api/server.js';
import { createWaiting } from '../../api/waiting/waiting.js';
import type { Money, Order } from '../../contracts/orders.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { type Database, withAnnouncer } from '../../domain/database.js';
import type { TemporalLink } from '../../runtime/temporal.js';
import { changesOf } from './changes.js';
import { createTestDatabase } from './database.js';

// @fastify/static, which serves /docs, requires this ES module from CommonJS: Node can, Jest cannot. Only downloads use it.
jest.mock('content-disposition', () => ({}));

export const SILENT: Logger = pino({ level: 'silent' });
const DAY_MS = 86_400_000;
export const PATIENT = { stepRetryBudgetMs: 60_000, sagaDeadlineMs: 600_000, compensationAttentionAfterMs: 60_000 };

/** A process that Temporal has never answered. */
export const AWAY: TemporalLink = {
  connected: new Promise(() => undefined),
  client: () => undefined,
  namespace: 'default',
  close: async () => undefined,
};

/**
 * A process that has lost Temporal: it has a client, whose every call fails. None is tried again by the client: that would go on
 * after `close`, and throw from a timer, in whatever test runs by then.
 */
export async function lostTemporal(): Promise<TemporalLink> {
  const address = `127.0.0.1:${await closedPort()}`;
  const connection = Connection.lazy({ address, connectTimeout: 200, interceptors: [] });
  const client = new Client({ connection });
  return { ...AWAY, client: () => client, close: () => connection.close() };
}

/** A port at which no program listens. */
export function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export type Answer<T> = { status: number; headers: Headers; text: string; body: T };
type Headings = Record<string, string>;

export type TestApi = {
  url: string;
  port: number;
  db: Database;
  databaseUrl: string;
  get<T = unknown>(path: string, headers?: Headings): Promise<Answer<T>>;
  /** @param body sent as it is if it is text or bytes, else as JSON */
  send<T = unknown>(method: string, path: string, body?: unknown, headers?: Headings): Promise<Answer<T>>;
  /** POST /orders of `ORDER`, with these fields changed. */
  place(changed?: object, headers?: Headings): Promise<Answer<Order>>;
  stream(path: string, headers?: Headings): Promise<EventStream>;
  stop(): Promise<void>;
};

/** What `place` sends: two pieces of a SKU that the test must have stocked. */
export const ORDER = { customerId: 'cus_42', items: [{ sku: 'KEYBOARD', quantity: 2 }], paymentMethod: 'pm_card_visa' };

/** @param settings whatever differs; with a `db` of one's own, and its URL, that one is used and left alone */
export async function startTestApi({
  db: given,
  databaseUrl: urlOfGiven,
  ...settings
}: Partial<Omit<ApiSettings, 'changes'>> & { databaseUrl?: string } = {}): Promise<TestApi> {
  const database = given ? undefined : await createTestDatabase();
  const [db, databaseUrl] = [given ?? (database?.db as Database), urlOfGiven ?? (database?.url as string)];
  const changes = changesOf({ url: databaseUrl });
  const complete: ApiSettings = {
    db: withAnnouncer(db, changes),
    changes,
    temporal: AWAY,
    policy: PATIENT,
    host: '127.0.0.1',
    port: 0,
    idempotencyTtlMs: 7 * DAY_MS,
    logger: SILENT,
    ...settings,
  };
  const { port, stop } = await startApi(complete);
  const url = `http://127.0.0.1:${port}`;
  return {
    ...speakTo(url),
    url,
    port,
    db,
    databaseUrl,
    stop: async () => {
      await stop();
      await changes.stop();
      await database?.drop();
    },
  };
}

/** The server by itself, for a test that must see into it, on the database of an API that runs. @param changed dependencies */
export async function startServer({ db, databaseUrl }: TestApi, changed: Partial<ApiDependencies> = {}) {
  const dispatcher = createSagaDispatcher({ db, client: AWAY.client, policy: PATIENT, logger: SILENT });
  const authenticate = createAuthenticator(undefined);
  const auditor = createAuditor({ db, keys: auditKeys([]), logger: SILENT, namesSource: false });
  const stopping = new AbortController().signal;
  const changes = changesOf({ url: databaseUrl });
  const waiting = createWaiting({ db, changes, stopping, logger: SILENT });
  const stuck = createStuckSnapshots({ db, client: () => requireTemporal({ temporal: AWAY }), policy: PATIENT });
  const overview = createOverview({
    ...{
      db,
      temporal: AWAY,
      policy: PATIENT,
      stuck,
      gatewayPlace: undefined,
      erasuresLateAfterMs: DAY_MS,
      logger: SILENT,
    },
  });
  const dependencies = {
    authenticate,
    auditor,
    erasing: { keys: { audit: auditKeys([]) }, deadlineMs: 30 * DAY_MS },
    db,
    temporal: AWAY,
    dispatcher,
    waiting,
    overview,
    stuck,
    policy: PATIENT,
    idempotencyTtlMs: DAY_MS,
    readiness: createApiReadiness(db, stopping),
    stopping,
  };
  const app = await createServer({ ...dependencies, ...changed }, SILENT);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const client = speakTo(url);
  const stop = async () => {
    app.server.closeAllConnections(); // fetch keeps its own, and opens a fresh one for one that it gave up
    await Promise.all([
      app.close(),
      dispatcher.stop(),
      waiting.stop(),
      overview.stop(),
      auditor.stop(),
      changes.stop(),
    ]);
  };
  return { app, url, client, stop };
}

/** How a client talks to the API at `url`. */
export function speakTo(url: string): Pick<TestApi, 'get' | 'send' | 'place' | 'stream'> {
  const send = async <T>(method: string, path: string, body?: unknown, headers: Headings = {}): Promise<Answer<T>> => {
    const asItIs = typeof body === 'string' || body instanceof Uint8Array || body === undefined;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: asItIs ? (body as string) : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson && text !== '' ? JSON.parse(text) : undefined) as T,
    };
  };
  return {
    send,
    get: (path, headers) => send('GET', path, undefined, headers),
    place: (changed, headers) => send('POST', '/orders', { ...ORDER, ...changed }, headers),
    stream: (path, headers) => openStream(`${url}${path}`, headers),
  };
}

export type ServerSentEvent = {
  id: string;
  event: string;
  data: { id: string; type: string; subject: string; sequence: number };
};
export type EventStream = {
  response: Response;
  events: ServerSentEvent[];
  /** Of comments, which an EventSource throws away. */
  comments: string[];
  ended: () => boolean;
  close: () => void;
};

/** Follows an event stream in the background, as an EventSource would. */
async function openStream(url: string, headers: Headings = {}): Promise<EventStream> {
  const leaving = new AbortController();
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: leaving.signal });
  const events: ServerSentEvent[] = [];
  const comments: string[] = [];
  let ended = false;
  const follow = async () => {
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      events.push(...blocks.flatMap(parseBlock));
      comments.push(...blocks.filter((block) => block.startsWith(':')));
    }
  };
  follow()
    .catch(() => undefined) // closed by us, or by the server's end
    .finally(() => {
      ended = true;
    });
  return { response, events, comments, ended: () => ended, close: () => leaving.abort() };
}

function parseBlock(block: string): ServerSentEvent[] {
  const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/s).slice(0, 2)));
  if (fields['data'] === undefined) return [];
  return [{ id: fields['id'], event: fields['event'], data: JSON.parse(fields['data']) }];
}

/** Sends bytes as they are and reads until the server closes. */
export function raw(port: number, request: string | Uint8Array): Promise<Answer<unknown>> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      const [head = '', ...rest] = text.split('\r\n\r\n');
      const [statusLine = '', ...lines] = head.split('\r\n');
      const headers = new Headers(lines.map((line) => line.split(/: ?(.*)/s).slice(0, 2) as [string, string]));
      const body = rest.join('\r\n\r\n');
      resolve({
        status: Number(statusLine.split(' ')[1]),
        headers,
        text: body,
        body: body.startsWith('{') ? JSON.parse(body) : undefined,
      });
    });
  });
}

export type Problem = {
  code: string;
  detail: string;
  correlationId: string;
  orderId?: string;
  errors?: { pointer: string; detail: string }[];
  total?: Money;
  minimum?: Money;
  maximum?: Money;
  oldest?: string;
  gap?: { after: string; until?: string };
};

const MONEY = {
  type: 'object',
  additionalProperties: false,
  required: ['amount', 'currency'],
  properties: { amount: { type: 'integer' }, currency: { type: 'string' } },
};

/** What every refusal must look like. https://www.rfc-editor.org/rfc/rfc9457 */
const isProblem = new Ajv({ strict: false }).compile({
  type: 'object',
  additionalProperties: false,
  required: ['type', 'title', 'status', 'detail', 'code', 'correlationId'],
  properties: {
    type: { type: 'string', pattern: '^/problems/[a-z-]+$' },
    title: { type: 'string', minLength: 1 },
    status: { type: 'integer', minimum: 400, maximum: 599 },
    detail: { type: 'string', minLength: 1 },
    code: { type: 'string', pattern: '^[a-z-]+$' },
    errors: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['pointer', 'detail'],
        properties: { pointer: { type: 'string' }, detail: { type: 'string', minLength: 1 } },
      },
    },
    orderId: { type: 'string' },
    total: MONEY,
    minimum: MONEY,
    maximum: MONEY,
    oldest: { type: 'string', minLength: 1 },
    gap: {
      type: 'object',
      additionalProperties: false,
      required: ['after'],
      properties: { after: { type: 'string', minLength: 1 }, until: { type: 'string', minLength: 1 } },
    },
    saga: { type: 'object', required: ['state', 'step', 'failure'] },
    finding: { type: 'object', required: ['amount', 'currency'] },
    correlationId: { type: 'string', minLength: 1 },
  },
});
export const INTERNALS = /prisma|postgres|node_modules|fastify|FST_|\bselect\b|\binsert\b|\.[jt]s\b|\n {4}at /i;

/** Claims that this is a refusal as the contract has it. @param pointers of `errors`, if it must name fields */
export function expectProblem(answer: Answer<unknown>, status: number, code: string, pointers?: string[]): Problem {
  const { headers, text } = answer;
  const problem = answer.body as Problem;
  expect({ status: answer.status, code: problem?.code, text }).toMatchObject({ status, code });
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json(;|$)/);
  expect(isProblem(problem) || isProblem.errors).toBe(true);
  expect(problem).toMatchObject({ status, type: `/problems/${code}`, correlationId: headers.get('x-correlation-id') });
  expect(text).not.toMatch(INTERNALS);
  if (pointers) expect(problem.errors?.map((e) => e.pointer)).toEqual(pointers);
  return problem;
}

export type Stored = { orders: number; lines: number; events: number; keys: number };

/** Everything that a POST could have left behind. */
export async function countStored(db: Database): Promise<Stored> {
  const [orders, lines, events, keys] = await Promise.all([
    db.order.count(),
    db.orderLine.count(),
    db.event.count(),
    db.idempotencyKey.count(),
  ]);
  return { orders, lines, events, keys };
}
