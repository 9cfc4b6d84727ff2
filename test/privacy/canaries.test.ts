/**
 * What the data map says of each field is so: a word of its own is written into every field of every request, orders are taken along every
 * path, and everything that is kept, sent, logged or shown is searched. What is found is what the map says, no more and no less.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { FLOWS } from '../../domain/privacy/map/flows.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../api/tokens.js';
import { eventually } from '../support/conditions.js';
import { type Installation, launch, newInstallation, type Running } from '../support/launcher.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { bodyFor, FIELDS, headersOfAny, OPERATIONS, OPERATORS_SUBJECT, wordOf } from './planting.js';
import {
  Found,
  searchEvents,
  searchFiles,
  searchGateway,
  searchLogs,
  searchPostgres,
  searchTemporal,
} from './searching.js';

let issuer: TokenIssuer;
let receiver: Receiver;
let installation: Installation;
let running: Running;
let db: pg.Client;
/** What the receiver does not take. */
const poisoned = new Set<string>();
const found = new Found();

beforeAll(async () => {
  issuer = await startTokenIssuer();
  receiver = await startReceiver();
  receiver.answer = ({ subject }) => (poisoned.has(subject) ? 400 : 204);
  installation = await newInstallation({
    AUTH_ISSUER: issuer.url,
    AUTH_AUDIENCE: AUDIENCE,
    TRUST_PROXY: '127.0.0.1,::1',
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    LOCAL_PROCESSES: 'api,worker,relay',
    LOG_LEVEL: 'trace',
    STEP_RETRY_BUDGET: '1s',
    PROBE_EVERY: '10m',
    DELIVERY_BACKOFF_MAX: '200ms',
  });
  running = await launch(installation);
  db = new pg.Client(sessionConfig(readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim()));
  await db.connect();
}, 120_000);
afterAll(async () => {
  await db?.end().catch(() => undefined);
  await running?.stop();
  await receiver?.stop();
  await issuer?.stop();
  await installation?.remove();
}, 30_000);

type Answer = {
  status: number;
  body: { id: string; status: string; deadLetters?: { id: string }[]; [field: string]: unknown };
};
let nth = 0;
const as = (subject: string, role: string) => issuer.token({ subject, roles: [role] });
const customer = () => as(wordOf('POST /orders body.customerId'), 'customer');
const operator = () => as(wordOf(OPERATORS_SUBJECT), 'operator');
const send = async (
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> => {
  const answer = await fetch(`${installation.api}${path}`, {
    method,
    headers: {
      authorization: await operator(),
      ...headersOfAny(),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  const isStream = (answer.headers.get('content-type') ?? '').startsWith('text/event-stream');
  if (isStream) await answer.body?.cancel();
  const text = isStream ? '' : await answer.text();
  return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : {} };
};
/** With the key of the route's own field, a fresh one each time; by the operator whom the body names, or the customer. */
const post = async (route: string, path: string, chosen: Record<string, unknown> = {}, caller?: Promise<string>) => {
  const body = bodyFor(route, chosen);
  const named = body['operator'];
  return send('POST', path, body, {
    authorization: await (caller ?? (typeof named === 'string' ? as(named, 'operator') : customer())),
    'idempotency-key': `${wordOf(`${route} header.idempotency-key`)}-${++nth}`,
  });
};
const SKU = wordOf('PUT /inventory/{sku} path.sku');
async function place(chosen: Record<string, unknown>, caller?: Promise<string>): Promise<string> {
  const externalOrderId = `${wordOf('POST /orders body.externalOrderId')}-${++nth}`;
  const items = [{ sku: SKU, quantity: 1 }];
  const { status, body } = await post('POST /orders', '/orders', { items, externalOrderId, ...chosen }, caller);
  expect({ status, body }).toMatchObject({ status: 201 });
  return body.id;
}
const becomes = (id: string, status: string) =>
  eventually(`${id} is ${status}`, async () => (await send('GET', `/orders/${id}`)).body.status === status, 20_000);
const parks = (id: string) =>
  eventually(
    `${id} is parked`,
    async () => (await send('GET', `/orders/${id}/saga`)).body['state'] === 'NEEDS_ATTENTION',
    20_000,
  );
const fault = async (method: 'POST' | 'DELETE', body?: object) =>
  fetch(`${installation.sandbox}/sandbox/faults`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
const resolve = async (id: string, action: string) =>
  expect(await post('POST /admin/sagas/{id}/resolve', `/admin/sagas/${id}/resolve`, { action })).toMatchObject({
    status: 200,
  });
const cancel = async (id: string, caller = customer()) =>
  expect(await post('POST /orders/{id}/cancel', `/orders/${id}/cancel`, {}, caller)).toMatchObject({ status: 202 });

/** Whose orders have the same words, and are none of the customer's who stays. */
const LEAVING = 'cus-leaving';
const erase = (id: string) => post('POST /admin/customers/{id}/erase', `/admin/customers/${id}/erase`);

test('every field of every request has a line in the map, and no other has', () => {
  expect(Object.keys(FLOWS).sort()).toEqual([...FIELDS].sort());
});

test('orders go along every path with words in all of their fields', async () => {
  const entry = bodyFor('PUT /inventory/{sku}', { currency: 'USD', unitPrice: 1_000, onHand: 100 });
  expect(await send('PUT', `/inventory/${SKU}`, entry)).toMatchObject({ status: 200 });
  const [confirmed, declined, late, rejected, unheardOf] = await Promise.all([
    place({ paymentMethod: 'pm_card_visa' }),
    place({ paymentMethod: 'pm_card_chargeDeclined' }),
    place({ paymentMethod: 'pm_card_pendingRefund' }),
    place({ paymentMethod: 'pm_card_visa' }).then((id) => {
      poisoned.add(id);
      return id;
    }),
    place({}), // a method that the provider does not know
  ]);
  const short = await place({ items: [{ sku: SKU, quantity: 1_000 }], paymentMethod: 'pm_card_visa' });
  await Promise.all([
    becomes(confirmed, 'CONFIRMED'),
    becomes(declined, 'CANCELLED'),
    becomes(short, 'CANCELLED'),
    becomes(late, 'CONFIRMED'),
  ]);
  await cancel(late);
  await becomes(late, 'CANCELLED');
  await becomes(unheardOf, 'CANCELLED');
  await fault('POST', { route: 'charge', mode: 'down' });
  const [givenUp, skipped] = await Promise.all([
    place({ paymentMethod: 'pm_card_visa' }),
    place({ paymentMethod: 'pm_card_visa' }),
  ]);
  await Promise.all([parks(givenUp), parks(skipped)]);
  await resolve(givenUp, 'compensate');
  await resolve(skipped, 'skip');
  await decideOnMany();
  await fault('DELETE');
  await Promise.all([becomes(givenUp, 'CANCELLED'), becomes(skipped, 'CONFIRMED'), becomes(rejected, 'CONFIRMED')]);

  const letters = () => send('GET', '/admin/dead-letters?limit=10').then(({ body }) => body.deadLetters ?? []);
  const [letter] = await eventually('an event is a dead letter', async () => {
    const parked = await letters();
    return parked.length > 0 && parked;
  });
  const replay = 'POST /admin/dead-letters/{id}/replay';
  await post(replay, `/admin/dead-letters/${letter?.id}/replay`);
  await post('POST /admin/dead-letters/replay', '/admin/dead-letters/replay', {
    destination: 'webhook',
    type: undefined,
    ids: undefined,
  });
  expect(
    await post('POST /admin/dead-letters/{id}/discard', `/admin/dead-letters/${letter?.id}/discard`),
  ).toMatchObject({ status: 200 });
  poisoned.clear();
  for (const act of ['engage', 'release'])
    expect(await post(`POST /admin/brakes/{brake}/${act}`, `/admin/brakes/accepting/${act}`)).toMatchObject({
      status: 200,
    });
  await cancel(confirmed, operator());
  await becomes(confirmed, 'CANCELLED');
}, 60_000);

test('a customer is erased, and nobody is by the id of nobody, with words in the request', async () => {
  const left = await place({ customerId: LEAVING, paymentMethod: 'pm_card_visa' }, as('svc-shop', 'service'));
  await becomes(left, 'CONFIRMED');
  const asked = await erase(LEAVING);
  expect(asked).toMatchObject({ status: 202, body: { found: true } });
  const nobody = wordOf('POST /admin/customers/{id}/erase path.id');
  expect(await erase(nobody)).toMatchObject({ status: 200, body: { found: false } });
  await eventually(
    'the customer is erased',
    async () => (await send('GET', `/admin/erasures/${asked.body.id}`)).body['state'] === 'done',
    30_000,
  );
}, 60_000);

/** Slowly, so that it can be paused, go on and be aborted while one of the two is left. */
async function decideOnMany(): Promise<void> {
  const orderIds = await Promise.all([1, 2].map(() => place({ paymentMethod: 'pm_card_visa' })));
  await Promise.all(orderIds.map(parks));
  const preview = 'POST /admin/operations/preview';
  const others = {
    sagas: undefined,
    deadLetterIds: undefined,
    deadLetters: undefined,
    items: undefined,
    atMost: undefined,
  };
  const { body } = await post(preview, '/admin/operations/preview', { ...others, action: 'compensate', orderIds });
  const route = 'POST /admin/operations';
  const chosen = { preview: body.id, action: undefined, expectedCount: 2, canary: [], ratePerSecond: 0.1 };
  expect(await post(route, '/admin/operations', chosen)).toMatchObject({ status: 201 });
  const reached = async () => (await send('GET', `/admin/operations/${body.id}`)).body['counts'] as { reached: number };
  await eventually('the first is given up', async () => (await reached()).reached === 1, 20_000);
  for (const word of ['pause', 'resume', 'abort'])
    expect(await post(`${route}/{id}/${word}`, `/admin/operations/${body.id}/${word}`)).toMatchObject({ status: 200 });
}

/** A path may have a word of a closed list: then what is not in it. */
const wordIn = (field: string) => (FIELDS.includes(field) ? wordOf(field) : 'none');

test('whatever else can be asked is asked with words in it', async () => {
  for (const operation of OPERATIONS) {
    const [route, parameters] = [`${operation.method} ${operation.path}`, operation.parameters ?? []];
    const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => wordIn(`${route} path.${name}`));
    const texts = parameters.filter(({ schema }) => schema['type'] === 'string' && !schema['enum']);
    const headers = texts
      .filter((one) => one.in === 'header')
      .map(({ name }) => [name, wordOf(`${route} header.${name}`)]);
    const queries = texts
      .filter((one) => one.in === 'query')
      .map(({ name }) => `?${name}=${wordOf(`${route} query.${name}`)}`);
    for (const query of ['', ...queries])
      expect(
        (
          await send(
            operation.method,
            `${path}${query}`,
            operation.requestBody && bodyFor(route),
            Object.fromEntries(headers),
          )
        ).status,
      ).not.toBe(500);
  }
}, 60_000);

test('and everything is searched: Postgres, Temporal, events, the provider’s ledger, logs and metrics', async () => {
  await eventually('all events have been sent', async () => {
    const { rows } = await db.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM outbox e JOIN relay_cursors c ON c.partition = (get_byte(uuid_send(e.order_id), 15) & 15)
       WHERE c.destination = 'webhook' AND (e.feed_xid, e.feed_position) > (c.feed_xid, c.feed_position)`,
    );
    return rows[0]?.open === 0;
  });
  // What was read is gathered for a minute; an API that stops writes it down. The launcher starts another.
  process.kill(running.pid('api'), 'SIGTERM');
  await eventually('what was read is on record', async () => {
    const { rowCount } = await db.query(`SELECT FROM audit_calls WHERE kind = 'read'`);
    return rowCount !== null && rowCount > 0;
  });
  await eventually(
    'the API is back',
    async () => (await send('GET', '/livez').catch(() => undefined))?.status === 200,
    20_000,
  );
  await searchPostgres(db, found);
  await searchTemporal(`127.0.0.1:${installation.env['TEMPORAL_PORT']}`, found);
  searchEvents(receiver.received, found);
  searchEvents(((await send('GET', '/events?limit=1000')).body as { events?: unknown[] }).events ?? [], found);
  for (const port of running.metricsPorts())
    found.note(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(), 'metrics:');
  searchGateway(installation.dataDir, found);
  searchLogs(installation.dataDir, found);
  found.note(running.output(), 'logs:npm start');
  if (process.env['FLOWS_TO'])
    writeFileSync(
      process.env['FLOWS_TO'],
      FIELDS.map((field) => `${field} => ${found.of(field).join(' ')}`).join('\n'),
    );
  const [is, said] = [
    FIELDS.map((field) => [field, found.of(field)]),
    FIELDS.map((field) => [field, [...(FLOWS[field]?.to ?? [])].sort()]),
  ];
  expect(Object.fromEntries(is)).toEqual(Object.fromEntries(said));
}, 60_000);

test('a copy of the files, which is what a backup is, has no more in it', async () => {
  await db.end();
  expect((await running.stop()).code).toBe(0);
  const unsaid = (folder: string, store: string) =>
    [...searchFiles(installation.dataDir, folder)].flatMap(([file, fields]) =>
      fields.filter((field) => !found.in(store).has(field)).map((field) => `${file}: ${field}`),
    );
  expect(searchFiles(installation.dataDir, 'postgres').size).toBeGreaterThan(0);
  expect([...unsaid('postgres', 'postgres:'), ...unsaid('temporal', 'temporal:')]).toEqual([]);
}, 40_000);
