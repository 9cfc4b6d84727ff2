/** The verifier's loop: what is planted shows in its metrics within a minute, and goes when it is mended; one process at a time says so. */
import type { Client } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createCursors } from '../../domain/cursors.js';
import { readInvariantFigures } from '../../domain/invariant-figures.js';
import { confirmDestinations } from '../../domain/retention.js';
import { openAtMostMs } from '../../verification/limits.js';
import { VERIFIED, verify } from '../../verification/pass.js';
import { passed, rowsLookedAt, violations } from '../../workers/verification-metrics.js';
import { startVerifier, type VerifierSettings } from '../../workers/verifier.js';
import { openLedgers, SILENT, type TestLedgers } from '../reconciliation/support.js';
import { eventually } from '../support/conditions.js';
import { PATIENT } from '../support/saga.js';
import type { DatabaseClient } from '../../runtime/database.js';

let books: TestLedgers;
let orderId: string;
let stops: (() => Promise<void>)[] = [];
beforeAll(async () => {
  // The gateway's list leaves out the newest minute by its own clock.
  books = await openLedgers();
  orderId = (await books.confirmed()).order.id;
  books.setClock(120_000);
  await books.cancelled();
});
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()));
  stops = [];
});
afterAll(() => books.stop());

function start(allEveryMs = 200, changed: Partial<VerifierSettings> = {}) {
  const { db, gateway } = books;
  const often = { everyMs: 100, allEveryMs, spanMs: 3_600_000, pageSize: 1, graceMs: 0, rest: 0 };
  const about = { client: () => undefined, openAtMostMs: openAtMostMs(PATIENT), logger: SILENT };
  const stop = startVerifier({ db: db as DatabaseClient, gateway, ...often, ...about, ...changed });
  stops.push(stop);
  return stop;
}

const shown = async () =>
  new Map((await violations.get()).values.map(({ labels, value }) => [String(labels['invariant']), value]));
const shows = (invariant: string, value: number) =>
  eventually(`${invariant} is shown as ${value}`, async () => (await shown()).get(invariant) === value, 20_000);

const LINES = 'I1 lines add up';
const STOCK = 'I2 stock is conserved';
const MONEY = 'I1 money';
const spoil = (by: number) =>
  books.db.$executeRaw`UPDATE orders SET total_amount = total_amount + ${by} WHERE id = ${orderId}::uuid`;

test('what is right is shown as 0, with the rows that were looked at; what nobody could look at is not shown', async () => {
  start();
  for (const invariant of [LINES, STOCK, MONEY]) await shows(invariant, 0);
  const rows = new Map((await rowsLookedAt.get()).values.map(({ labels, value }) => [labels['invariant'], value]));
  for (const invariant of [LINES, STOCK, MONEY]) expect(rows.get(invariant)).toBeGreaterThan(0);
  const names = [...(await shown()).keys()];
  expect(names.filter((name) => !(VERIFIED as readonly string[]).includes(name))).toEqual([]);
  expect(names).not.toContain('I5 sagas have ended as their orders');
  // Temporal has never answered: no pass is whole.
  const before = (await passed.get()).values;
  expect(before.map(({ labels }) => labels['pass']).sort()).toEqual(['all', 'new']);
  const rowsOf = async () => (await rowsLookedAt.get()).values.reduce((sum, { value }) => sum + value, 0);
  const enough = (await rowsOf()) + 50;
  await eventually('it has looked at everything again', async () => (await rowsOf()) > enough);
  expect((await passed.get()).values).toEqual(before);
});

async function showsWhileSpoilt(): Promise<void> {
  await shows(LINES, 0);
  await spoil(1);
  await shows(LINES, 1);
  await shows(MONEY, 1);
  const kept = async () => (await readInvariantFigures(books.db)).map(({ invariant }) => invariant);
  await eventually('every process can read that it is so', async () => (await kept()).includes(LINES));
  await spoil(-1);
  await eventually('and that it is mended', async () => !(await kept()).includes(LINES));
  await shows(LINES, 0);
  await shows(MONEY, 0);
}

test('what is spoilt is shown as long as it is, also by a row that is looked at seldom', async () => {
  start(3_600_000);
  await showsWhileSpoilt();
});

test('one process verifies; when another has the lease, or it stops, it shows nothing', async () => {
  const stop = start();
  await shows(LINES, 0);
  await books.db
    .$executeRaw`UPDATE leases SET owner = 'another', until = now() + interval '5 minutes' WHERE name = 'verifier'`;
  await eventually('it shows nothing', async () => (await shown()).size === 0);
  await books.db.$executeRaw`DELETE FROM leases WHERE name = 'verifier'`;
  await shows(LINES, 0);
  await stop();
  expect((await shown()).size).toBe(0);
  expect(await books.db.workLease.findUnique({ where: { name: 'verifier' } })).toBeNull();
});

const SEEN = 'I14 nothing is stuck unseen';
const DESTINATIONS = 'I8 destinations are served';

/** A Temporal in which this saga has begun, and says nothing. */
function temporalOf(workflowId: string): Client {
  const typedSearchAttributes = { get: () => undefined };
  const run = { workflowId, runId: 'run', status: { name: 'RUNNING' }, startTime: new Date(), typedSearchAttributes };
  const client = {
    options: { namespace: 'default' },
    withDeadline: (_: unknown, ask: () => unknown) => ask(),
    workflowService: { describeNamespace: async () => ({}) },
    workflow: {
      list: async function* () {
        yield run;
      },
      getHandle: () => ({ describe: async () => run }),
    },
  };
  return client as unknown as Client;
}

test('a saga that stood still while no worker ran has all of its time once more before it is told of', async () => {
  const { id } = await books.pending();
  await books.db.$executeRaw`UPDATE orders SET saga_started_at = now() - interval '1 hour' WHERE id = ${id}::uuid`;
  const client = () => temporalOf(`order-${id}`);
  const stop = start(200, { client, againAfterMs: 0 });
  const rowsOf = async () =>
    (await rowsLookedAt.get()).values.find(({ labels }) => labels['invariant'] === SEEN)?.value ?? 0;
  const enough = (await rowsOf()) + 10;
  await eventually('it is looked at', async () => (await rowsOf()) > enough);
  expect((await shown()).get(SEEN)).toBe(0);
  await stop();
  start(200, { client, againAfterMs: 0, openAtMostMs: { unmarked: 500, inAll: 500 } });
  await shows(SEEN, 1);
});

test('what waited while everything was down is no destination that nobody serves, once its relay is back', async () => {
  const { db, gateway } = books;
  await createCursors(db, ['webhook'], 'oldest');
  await confirmDestinations(db, ['webhook']);
  await db.$executeRaw`UPDATE outbox SET occurred_at = now() - interval '20 minutes'`;
  const options = { graceMs: 0, openAtMostMs: openAtMostMs(PATIENT), invariants: [DESTINATIONS] as const };
  const said = async (looking: DatabaseClient, againAfterMs: number) => {
    const sources = { db: looking, gateway, temporal: { why: 'there is none' } };
    const { findings } = await verify(sources, { ...options, againAfterMs });
    return findings.flatMap(({ violations: all }) => all).length;
  };
  expect(await said(db as DatabaseClient, 0)).toBeGreaterThan(0);
  // The relay is a moment later than the first look.
  const takeLeases = () =>
    db.$executeRaw`UPDATE relay_cursors SET lease_owner = 'relay', lease_until = now() + interval '1 minute'`;
  const transaction = (db as DatabaseClient).$transaction.bind(db);
  const $transaction = async (...asked: Parameters<typeof transaction>) => {
    const answer = await transaction(...asked);
    setTimeout(takeLeases, 100);
    return answer;
  };
  expect(await said({ $transaction } as unknown as DatabaseClient, 500)).toBe(0);
});

/** A gateway whose list of what is older than half an hour takes as long as the test: a pass over all does not end. */
function slowLists(): VerifierSettings['gateway'] {
  const { gateway } = books;
  const held = new Promise<void>((resolve) => stops.push(async () => resolve()));
  const listCharges: typeof gateway.listCharges = async (request) => {
    if (Date.now() - (request.since?.getTime() ?? 0) > 1_800_000) await held;
    return gateway.listCharges(request);
  };
  return new Proxy(gateway, { get: (of, name) => (name === 'listCharges' ? listCharges : Reflect.get(of, name)) });
}

test('what was mended is not shown any more while a pass over all is still under way', async () => {
  const gateway = slowLists();
  start(200, { gateway });
  await showsWhileSpoilt();
});

test('how long no pass over all has come to its end is known beyond the process that made it', async () => {
  await books.db.$executeRaw`INSERT INTO progress_marks VALUES ('verified-all', now() - interval '2 days')
      ON CONFLICT (name) DO UPDATE SET reached_at = excluded.reached_at`;
  const gateway = slowLists();
  const shownSince = async () =>
    (await passed.get()).values.find(({ labels }) => labels['pass'] === 'all')?.value ?? Number.POSITIVE_INFINITY;
  start(200, { gateway, client: () => temporalOf('none') });
  await eventually('it is shown', async () => Date.now() / 1_000 - (await shownSince()) > 86_400, 20_000);
});
