/** The codec server, asked by the real `temporal` command, which has no keys; and whom it refuses. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sagaStart } from '../../contracts/saga.js';
import { destroyCustomerKeys } from '../../domain/sealing/customer-keys.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, required, stock } from '../support/database.js';
import { keyStoreForTests } from '../support/keys.js';
import { outcomeOf } from '../support/outcome.js';
import { payloadsOf, referTo, type TestPayloads } from '../support/payloads.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const CORRELATION = 'canary-correlation-9';
const store = keyStoreForTests();
let payloads: TestPayloads;
let s: SagaStack;
let issuer: TokenIssuer;
let api: TestApi;
let workflowId: string;
let reference: string;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  s = await startSagaStack({
    payloads: async (db) => {
      payloads = await payloadsOf(db, store);
      return payloads;
    },
  });
  api = await serve();
  await stock(s.db, 'PLENTY', 10);
  const order = await accept(s.db, { PLENTY: 1 }, { customerId: randomUUID() });
  reference = await referTo(s.db, order.id);
  const { type, options } = sagaStart({ ...order, correlationId: CORRELATION, kind: 'order' }, PATIENT);
  workflowId = options.workflowId;
  await outcomeOf(await s.client.workflow.start(type, options));
});
afterAll(() => Promise.all([api.stop(), s.stop(), issuer.stop()]));

const serve = (codec: TestPayloads['codec'] | undefined = payloads.codec) =>
  startTestApi({
    db: s.db,
    databaseUrl: s.databaseUrl,
    ...(codec && { codec }),
    corsOrigins: ['https://temporal.example'],
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
const as = async (...roles: string[]) => ({ authorization: await issuer.token({ subject: `the-${roles[0]}`, roles }) });

/** It shows a payload's data as base64. */
const readable = (json: string): string =>
  json.replaceAll(/"data": "([A-Za-z0-9+/=]+)"/g, (_, data: string) => Buffer.from(data, 'base64').toString('latin1'));

type Said = { code: number | null; stdout: string; stderr: string };
async function show(...roles: string[]): Promise<Said> {
  const { authorization } = await as(...roles);
  const command = [
    'workflow',
    'show',
    '--workflow-id',
    workflowId,
    '--output',
    'json',
    '--address',
    s.env.address,
    '--command-timeout',
    '5s',
  ];
  if (roles.length > 0) command.push('--codec-endpoint', `${api.url}/codec`, '--codec-auth', authorization);
  return new Promise((resolve) => {
    execFile(required('TEMPORAL_CLI_PATH'), command, { maxBuffer: 50_000_000 }, (err, stdout, stderr) =>
      resolve({ code: err === null ? 0 : Number(err.code), stdout: readable(stdout), stderr }),
    );
  });
}

/** A payload of the saga as Temporal has it, as the Web UI sends it on. */
async function started() {
  const { events } = await s.client.workflow.getHandle(workflowId).fetchHistory();
  const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  const base64 = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
  const metadata = Object.entries(payload?.metadata ?? {}).map(([name, value]) => [name, base64(value)]);
  return { metadata: Object.fromEntries(metadata) as Record<string, string>, data: base64(payload?.data) };
}
type Body = { payloads: Awaited<ReturnType<typeof started>>[] };
const textOf = ({ body }: { body: Body }) => Buffer.from(body.payloads[0]?.data ?? '', 'base64').toString();

test('the temporal command shows an encrypted saga to whoever has a token, and to nobody else', async () => {
  const blind = await show();
  expect(blind.code).toBe(0);
  expect(blind.stdout).not.toContain('stepRetryBudgetMs');
  for (const role of ['operator', 'auditor']) {
    const { stdout } = await show(role);
    expect(stdout).toContain('stepRetryBudgetMs');
    expect(stdout).toContain(CORRELATION);
  }
  const refused = await show('service');
  expect(refused.stdout).not.toContain('stepRetryBudgetMs');
});

test('a payload is decoded for operators and auditors, encoded for operators, and for no one else', async () => {
  const body = { payloads: [await started()] };
  expectProblem(await api.send('POST', '/codec/decode', body), 401, 'unauthenticated');
  for (const role of ['customer', 'service'])
    expectProblem(await api.send('POST', '/codec/decode', body, await as(role)), 403, 'forbidden');
  expectProblem(await api.send('POST', '/codec/encode', body, await as('auditor')), 403, 'forbidden');

  const decoded = await api.send<Body>('POST', '/codec/decode', body, await as('auditor'));
  expect(JSON.parse(textOf(decoded))).toMatchObject({ orderId: workflowId.replace('order-', '') });
  const encoded = await api.send<Body>('POST', '/codec/encode', decoded.body, await as('operator'));
  expect(textOf(encoded)).not.toContain('orderId');
  expect(textOf(await api.send<Body>('POST', '/codec/decode', encoded.body, await as('operator')))).toBe(
    textOf(decoded),
  );
});

test('what is not ours, or was changed, comes back as it is; what is no payload, or too many, is refused', async () => {
  const payload = await started();
  const plain = { metadata: { encoding: Buffer.from('json/plain').toString('base64') }, data: 'Ing=' };
  const moved = { ...payload, metadata: { ...payload.metadata, workflow: Buffer.from('order-x').toString('base64') } };
  const unknown = { ...payload, metadata: { ...payload.metadata, format: Buffer.from('another').toString('base64') } };
  const asked = [plain, moved, unknown];
  const { body } = await api.send<Body>('POST', '/codec/decode', { payloads: asked }, await as('operator'));
  expect(body.payloads).toEqual(asked);
  for (const wrong of [{}, { payloads: [{ data: '!' }] }, { payloads: Array.from({ length: 501 }, () => plain) }])
    expectProblem(await api.send('POST', '/codec/decode', wrong, await as('operator')), 400, 'invalid-request');
  const large = { payloads: [{ ...plain, data: 'A'.repeat(600_000) }] };
  expect((await api.send('POST', '/codec/decode', large, await as('operator'))).status).toBe(413);
});

test('a page of the Web UI’s origin may ask, with its token and its namespace', async () => {
  const asks = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,x-namespace',
  };
  const ask = (origin: string) => api.send('OPTIONS', '/codec/decode', undefined, { origin, ...asks });
  const { headers } = await ask('https://temporal.example');
  expect(headers.get('access-control-allow-origin')).toBe('https://temporal.example');
  expect(headers.get('access-control-allow-headers')?.toLowerCase()).toContain('x-namespace');
  expect((await ask('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
});

test('while the payload key cannot be had, the answer says so, and when to ask again', async () => {
  const payload = await started();
  const later = { ...payload, metadata: { ...payload.metadata, key: Buffer.from('77').toString('base64') } };
  const answer = await api.send('POST', '/codec/decode', { payloads: [later] }, await as('operator'));
  expectProblem(answer, 503, 'unavailable');
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('a text whose customer is erased reads as erased, in the same saga', async () => {
  await destroyCustomerKeys(s.db, reference);
  payloads.forget(reference);
  const { stdout } = await show('operator');
  expect(stdout).toContain('[erased]');
  expect(stdout).not.toContain(CORRELATION);
  expect(stdout).toContain('stepRetryBudgetMs');
});

test('whoever decoded is on record, with the saga, and so is who was refused', async () => {
  await api.send('POST', '/codec/decode', { payloads: [await started()] }, await as('operator'));
  await api.stop();
  const calls = await s.db.auditCall.findMany({ where: { route: { contains: '/codec/' } } });
  expect(calls).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        kind: 'read',
        subject: 'the-auditor',
        route: 'POST /codec/decode',
        resource: workflowId,
      }),
      expect.objectContaining({ kind: 'refused', subject: expect.stringMatching(/^customer:/), status: 403 }),
    ]),
  );
  expect(calls.filter(({ kind }) => kind === 'no-effect')).toEqual([]);
  expect(JSON.stringify(calls, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))).not.toContain('canary');
  api = await startTestApi({ db: s.db, databaseUrl: s.databaseUrl });
  const clear = { payloads: [{ metadata: { encoding: 'anNvbi9wbGFpbg==' }, data: 'Int9Ig==' }] };
  expect((await api.send('POST', '/codec/decode', clear)).body).toEqual(clear); // PAYLOAD_CODEC=off
});
