/**
 * Thousands of requests made from the OpenAPI document, sent to the real thing: whatever is sent, the answer is one that the
 * document promises, and the server is none the worse. 2,000 requests from a fixed seed; 20,000 from a fresh one under
 * `FULL=1`; `FUZZ_SEED` repeats a run.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ROLES } from '../../api/access/permissions.js';
import { AWAY, INTERNALS, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { createConformanceCheck, createValidators, type OpenApi, operationsOf } from '../support/openapi.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { requestsFor, type Sender, type Sent } from './fuzz-requests.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const FULL = process.env['FULL'] === '1';
const REQUESTS = FULL ? 20_000 : 2_000;
const SEED = Number(process.env['FUZZ_SEED'] ?? (FULL ? Date.now() % 2 ** 31 : 1));
/** Sent side by side, so that requests meet each other too. */
const CLIENTS = 8;
const ANSWER_LIMIT_MS = 20_000;
const CUSTOMER = 'cus_fuzz';

let saga: SagaStack;
let issuer: TokenIssuer;
let api: TestApi;
let document: OpenApi;
let orderIds: string[];
const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
const tokens = new Map<string, string>();

beforeAll(async () => {
  [saga, issuer] = await Promise.all([startSagaStack(), startTokenIssuer()]);
  api = await startTestApi({
    db: saga.db,
    databaseUrl: saga.databaseUrl,
    temporal: { ...AWAY, client: () => saga.client },
    policy: { ...PATIENT, stepRetryBudgetMs: 1_500 },
    paymentsWebhookSecret: 'whsec_c2VjcmV0',
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  for (const sku of ['PLENTY', 'SCARCE', 'GONE'])
    await stock(saga.db, sku, { PLENTY: 1_000_000, SCARCE: 20 }[sku] ?? 0);
  for (const role of ROLES) tokens.set(role, await issuer.token({ subject: CUSTOMER, roles: [role] }));
  document = (await api.get<OpenApi>('/openapi.json')).body;
  orderIds = [...(await placeBoth()), ...(await placeParked())];
}, 120_000);
afterAll(async () => {
  agent.destroy();
  await api.stop();
  await Promise.all([saga.stop(), issuer.stop()]);
});

/** An order of the customer's, and one of another customer's. */
async function placeBoth(): Promise<string[]> {
  const authorization = String(tokens.get('operator'));
  const items = [{ sku: 'PLENTY', quantity: 1 }];
  const placed = await Promise.all(
    [CUSTOMER, 'cus_other'].map((customerId) => api.place({ customerId, items }, { authorization })),
  );
  return placed.map(({ body }) => body.id);
}

/** Two whose sagas wait for an operator. */
async function placeParked(): Promise<string[]> {
  await saga.fault({ route: 'all', mode: 'down' });
  const ids = await placeBoth();
  const authorization = String(tokens.get('auditor'));
  await eventually('their sagas are parked', async () => {
    const { body } = await api.get<{ sagas: unknown[] }>('/admin/sagas', { authorization });
    return body.sagas.length >= ids.length;
  });
  await saga.heal();
  return ids;
}

type Answer = { status: number; headers: Headers; text: string; body: unknown };

/** As a client would that sends what fetch would not. A stream is taken up to its head. */
function send({ method, path, headers, body }: Sent, authorization: string | undefined): Promise<Answer> {
  const target = new URL(api.url);
  return new Promise((resolve, reject) => {
    const read = (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      const type = response.headers['content-type'] ?? '';
      const done = () => {
        const text = Buffer.concat(chunks).toString();
        const heads = new Headers(response.headers as Record<string, string>);
        const parsed = /[/+]json/.test(type) && text !== '' ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: heads, text, body: parsed });
        if (type.startsWith('text/event-stream')) response.destroy();
      };
      if (type.startsWith('text/event-stream')) return done();
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', done);
    };
    const outgoing = httpRequest(
      {
        host: target.hostname,
        port: target.port,
        agent,
        method,
        path,
        headers: {
          ...headers,
          ...(authorization && { authorization }),
          ...(body !== undefined && { 'content-length': `${Buffer.byteLength(body)}` }),
        },
        signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
      },
      read,
    );
    outgoing.on('error', reject).end(body);
  });
}

const authorizationOf = (sender: Sender): string | undefined => {
  if (sender === 'nobody') return undefined;
  return sender === 'forger' ? `${tokens.get('operator')}x` : tokens.get(String(sender.roles[0]));
};
const senders: fc.Arbitrary<Sender> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Sender>({ roles: ['operator'] }) },
  { weight: 3, arbitrary: fc.constantFrom(...ROLES).map((role): Sender => ({ roles: [role] })) },
  { weight: 1, arbitrary: fc.constantFrom<Sender[]>('nobody', 'forger') },
);

/** What is wrong with the answer; undefined = nothing. */
function createComplaints() {
  const judge = createConformanceCheck(document);
  const operations = new Map(operationsOf(document).map((o) => [`${o.method} ${o.path}`, o]));
  const offered = new Set(['HEAD', 'OPTIONS', ...[...operations.values()].map(({ method }) => method)]);
  const isProblem = createValidators(document)({ $ref: '#/components/schemas/Problem' });
  return (request: Sent, sender: Sender, answer: Answer): string | undefined => {
    const { status, headers, text, body } = answer;
    const code = (body as { code?: string } | undefined)?.code ?? '';
    const isHeldBack = status === 503 && code === 'not-accepting'; // by a brake that the run itself has engaged
    const refused = isHeldBack || (status >= 400 && status < 500);
    if (status >= 500 && !isHeldBack) return 'the server failed';
    if (!headers.has('x-correlation-id')) return 'there is no correlation id';
    if (refused && INTERNALS.test(text)) return 'the answer tells what the server is made of';
    if (refused && request.method !== 'HEAD' && !isProblem(body)) return 'a refusal is not a problem';
    const operation = operations.get(request.operation ?? '');
    if (!offered.has(request.method) && !NOT_HERE.includes(code)) return 'a method of nobody’s is not refused as such';
    if (!operation) return undefined;
    const [{ bearer: roles } = {}] = operation.security;
    const isStranger = sender === 'nobody' || sender === 'forger';
    if (roles && isStranger && status !== 401) return 'a stranger is let in';
    if (roles && !isStranger && !sender.roles.some((role) => roles.includes(role)) && status !== 403)
      return 'a role is let in that is not named';
    if (request.expected === 'refused' && !refused) return 'what the document does not allow is taken';
    if (request.expected === 'taken' && MALFORMED.includes(status))
      return 'what the document allows is called malformed';
    return judge(operation, answer);
  };
}
const NOT_HERE = ['not-found', 'method-not-allowed', 'malformed-request'];
const MALFORMED = [400, 405, 406, 413, 414, 415, 431];

test(`${REQUESTS} requests (seed ${SEED}) are each answered as the document promises, and do no harm`, async () => {
  const reached = new Map<string, Set<number>>();
  const accepted = new Set<string>(orderIds);
  const complain = createComplaints();
  const requests = requestsFor(document, {
    id: fc.constantFrom(...orderIds),
    sku: fc.constantFrom('PLENTY', 'PLENTY', 'SCARCE', 'GONE'),
    customerId: fc.constantFrom(CUSTOMER, 'cus_other'),
    paymentMethod: fc.constantFrom('pm_card_visa', 'pm_card_visa', 'pm_card_chargeDeclined'),
    prefer: fc.constantFrom('wait=0', 'wait=1', 'respond-async', 'wait=x'),
    'idempotency-key': fc.oneof(
      { weight: 8, arbitrary: fc.nat(1_000).map((n) => `key-${n}`) },
      { weight: 1, arbitrary: fc.constantFrom('"key-1"', '"', 'a b') },
    ),
    currency: fc.constant('USD'),
    unitPrice: fc.constantFrom(0, 1_000),
    amount: fc.constantFrom(0, 1_000, 2_000),
    onHand: fc.constantFrom(0, 20, 1_000_000),
    // Not the one by which orders are refused: all that follows would be.
    brake: fc.constantFrom('charging', 'spending'),
  });
  const client = (seed: number) =>
    fc.assert(
      fc.asyncProperty(requests, senders, async (request, sender) => {
        const answer = await send(request, authorizationOf(sender));
        const complaint = complain(request, sender, answer);
        if (complaint) throw new Error(`${complaint}: ${answer.status} ${answer.text.slice(0, 500)}`);
        const name = request.operation ?? 'elsewhere';
        reached.set(name, (reached.get(name) ?? new Set()).add(answer.status));
        if (answer.status === 201) accepted.add((answer.body as { id: string }).id);
      }),
      { seed, numRuns: REQUESTS / CLIENTS },
    );
  // Each to its end, also if one fails: no request may be under way when the server stops.
  const clients = await Promise.allSettled(Array.from({ length: CLIENTS }, (_, i) => client(SEED + i)));
  for (const ended of clients) if (ended.status === 'rejected') throw ended.reason;

  // Every operation has served and has refused, so that its handler was reached.
  const refusedEarly = [400, 401, 403, 415];
  for (const { method, path, parameters, requestBody, security } of operationsOf(document)) {
    const statuses = [...(reached.get(`${method} ${path}`) ?? [])];
    const served = statuses.some((status) => !refusedEarly.includes(status));
    const refused = statuses.some((status) => refusedEarly.includes(status));
    const canBeRefused = security.length > 0 || requestBody !== undefined || parameters !== undefined;
    const isSigned = path.startsWith('/webhooks/'); // and we do not have the secret
    // That each read refuses strangers is held by permissions.test; so few requests may have none of them.
    const isRefusedWhereDue = refused === canBeRefused || method === 'GET';
    expect({ path, statuses, served, isRefusedWhereDue }).toEqual({
      path,
      statuses,
      served: !isSigned,
      isRefusedWhereDue: true,
    });
  }
  expect(await saga.db.order.count()).toBe(accepted.size);
  await assertStockConserved(saga.db);
  expect((await api.get('/livez')).status).toBe(200);
}, 900_000);
