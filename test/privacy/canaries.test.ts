/**
 * What the data map says of each field is so: a word of its own is written into every field of every request, orders are taken along every
 * path, and everything that is kept, sent, logged or shown is searched. What is found is what the map says, no more and no less.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fieldsOf } from '../../domain/privacy/data-map.js';
import { LOGS } from '../../domain/privacy/map/elsewhere.js';
import { FLOWS } from '../../domain/privacy/map/flows.js';
import { eventually } from '../support/conditions.js';
import { dumpOf, findPgDump } from '../support/pg-dump.js';
import { bodyFor, FIELDS, OPERATIONS, wordOf } from './planting.js';
import {
  Found,
  namesInLogs,
  searchDump,
  searchEvents,
  searchFiles,
  searchGateway,
  searchLogs,
  searchPostgres,
  searchTemporal,
} from './searching.js';
import { databaseUrlOf, openStage, SKU, type Stage } from './stage.js';

let stage: Stage;
/** What the receiver does not take. */
const poisoned = new Set<string>();
const found = new Found();
const pgDump = await findPgDump();

beforeAll(async () => {
  stage = await openStage();
  stage.receiver.answer = ({ subject }) => (poisoned.has(subject) ? 400 : 204);
}, 120_000);
afterAll(() => stage?.stop(), 30_000);

/** Whose orders have the same words, and are none of the customer's who stays. */
const LEAVING = 'cus-leaving';

test('every field of every request has a line in the map, and no other has', () => {
  expect(Object.keys(FLOWS).sort()).toEqual([...FIELDS].sort());
});

test('orders go along every path with words in all of their fields', async () => {
  const { becomes, cancel, fault, operator, parks, place, post, resolve, send } = stage;
  await stage.stock();
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
  const another = { ids: [await stage.parkedLetter(confirmed)] };
  expect(await post('POST /admin/dead-letters/discard', '/admin/dead-letters/discard', another)).toMatchObject({
    status: 200,
    body: { results: [{ outcome: 'discarded' }] },
  });
  poisoned.clear();
  for (const act of ['engage', 'release'])
    expect(await post(`POST /admin/brakes/{brake}/${act}`, `/admin/brakes/accepting/${act}`)).toMatchObject({
      status: 200,
    });
  await cancel(confirmed, operator());
  await becomes(confirmed, 'CANCELLED');
  expect(await post('POST /inventory/{sku}/adjust', `/inventory/${SKU}/adjust`, { by: 1 })).toMatchObject({
    status: 200,
  });
  for (const act of ['close', 'refund']) {
    const path = `/admin/findings/${await stage.reportedFinding(act)}/${act}`;
    expect(
      await post(`POST /admin/findings/{id}/${act}`, path, act === 'close' ? { as: 'cancelled' } : {}),
    ).toMatchObject({
      status: 200,
    });
  }
  const many = { ids: [await stage.reportedFinding('many')], as: 'cancelled' };
  expect(await post('POST /admin/findings/close', '/admin/findings/close', many)).toMatchObject({
    status: 200,
    body: { results: [{ outcome: 'closed' }] },
  });
}, 60_000);

test('a customer is erased, and nobody is by the id of nobody, with words in the request', async () => {
  const { as, becomes, erase, place } = stage;
  const left = await place({ customerId: LEAVING, paymentMethod: 'pm_card_visa' }, as('svc-shop', 'service'));
  await becomes(left, 'CONFIRMED');
  const asked = await erase(LEAVING);
  expect(asked).toMatchObject({ status: 202, body: { found: true } });
  const nobody = wordOf('POST /admin/customers/{id}/erase path.id');
  expect(await erase(nobody)).toMatchObject({ status: 200, body: { found: false } });
  await stage.erased(asked.body.id);
}, 60_000);

/** Slowly, so that it can be paused, go on and be aborted while one of the two is left. */
async function decideOnMany(): Promise<void> {
  const { parks, place, post, send } = stage;
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
  const broken: string[] = [];
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
    for (const query of ['', ...queries]) {
      const body = operation.requestBody && bodyFor(route);
      const answer = await stage.send(operation.method, `${path}${query}`, body, Object.fromEntries(headers));
      if (answer.status === 500) broken.push(`${operation.method} ${path}${query}`);
    }
  }
  expect(broken).toEqual([]);
}, 60_000);

test('and everything is searched: Postgres, Temporal, events, the provider’s ledger, logs and metrics', async () => {
  const { db, installation, receiver, running, send } = stage;
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

test('each line of the logs has fields that the map knows, and no other', () => {
  const known = new Set(fieldsOf(LOGS));
  const unknown = [...namesInLogs(stage.installation.dataDir)].filter(([name]) => !known.has(name));
  expect(unknown).toEqual([]);
});

(pgDump === undefined ? test.skip : test)(
  'a dump has what the tables have, each word in its column, and nothing beside them',
  async () => {
    const dumped = new Found();
    searchDump(await dumpOf(pgDump as string, databaseUrlOf(stage.installation)), dumped);
    const inPostgres = (places: string[]) => places.filter((place) => place.startsWith('postgres:'));
    expect(FIELDS.map((field) => [field, dumped.of(field)])).toEqual(
      FIELDS.map((field) => [field, inPostgres(found.of(field))]),
    );
  },
  30_000,
);

test('of what the sandbox has nothing is left of anybody’s words when its retention has passed', async () => {
  expect(await stage.outliveSandboxRetention()).toBeGreaterThan(0);
  const left = new Found();
  searchGateway(stage.installation.dataDir, left);
  expect([...left.places]).toEqual([]);
});

test('a copy of the files, which is what a backup is, has no more in it', async () => {
  const { db, installation, running } = stage;
  await db.end();
  expect((await running.stop()).code).toBe(0);
  const unsaid = (folder: string, store: string) =>
    [...searchFiles(installation.dataDir, folder)].flatMap(([file, fields]) =>
      fields.filter((field) => !found.in(store).has(field)).map((field) => `${file}: ${field}`),
    );
  expect(searchFiles(installation.dataDir, 'postgres').size).toBeGreaterThan(0);
  expect([...unsaid('postgres', 'postgres:'), ...unsaid('temporal', 'temporal:')]).toEqual([]);
}, 40_000);
