/**
 * `verify` on a real installation: everything that it says it looks at is seen to be caught once it is wrong. The list is the
 * product's own: an invariant for which nothing is planted here fails. Planted is what the code could do if it were wrong: rows changed
 * behind its back, money moved with the account's key, lists that lie.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createCursors } from '../../domain/cursors.js';
import { readStanding } from '../../domain/installation.js';
import { confirmDestinations } from '../../domain/retention.js';
import { requestCancellation, readOrder } from '../../domain/orders.js';
import { sagaStart } from '../../contracts/saga.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import type { InvariantName } from '../../verification/invariants.js';
import { openAtMostMs } from '../../verification/limits.js';
import type { Sources } from '../../verification/parts/part.js';
import { type PassOptions, VERIFIED, verify } from '../../verification/pass.js';
import { eventually } from '../support/conditions.js';
import { accept, copyDatabase, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
/** A copy of the installation's database, in which all is planted. */
let copy: TestDatabase;
let writer: pg.Client;
let cli: Cli;
let stranger: string;
const ids = { confirmed: '', other: '', third: '', fourth: '', declined: '', takenBack: '', open: '' };

beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
  await stock(s.db, 'B', 100);
  const ended = async (paymentMethod = 'pm_card_visa') => {
    const { order, result } = await s.place({ A: 2, B: 1 }, { paymentMethod });
    await result();
    return order.id;
  };
  ids.confirmed = await ended();
  ids.other = await ended();
  ids.third = await ended();
  ids.fourth = await ended();
  ids.declined = await ended('pm_card_chargeDeclined');
  ids.takenBack = await ended();
  await takeBack(ids.takenBack);
  stranger = await charge({ order_id: 'WOO-1001' });
  await s.dismiss();
  ids.open = (await s.place({ A: 1 })).order.id;
  await createCursors(s.db, ['webhook'], { agoMs: 0 });
  await confirmDestinations(s.db, ['webhook']);
  await s.db.$executeRaw`
    INSERT INTO idempotency_keys (caller, route, key, fingerprint, order_id, response, expires_at)
    SELECT 'cus_test', 'POST /orders', 'key-' || id, '\\x00', id, json_build_object('id', id), now() + interval '7 days' FROM orders`;
  await asOwner(
    s.databaseUrl,
    `UPDATE orders SET saga_started_at = now() WHERE saga_started_at IS NULL;
    UPDATE orders SET updated_at = updated_at - interval '1 hour'`,
  );
  await eventually('visibility shows all sagas as they are', async () => {
    const [all, running] = await Promise.all(
      ['', 'ExecutionStatus="Running"'].map((query) => s.client.workflow.count(query)),
    );
    return all?.count === 8 && running?.count === 1;
  });
  cli = cliOf(s, { PAYMENTS_URL: s.sandboxUrl });
  copy = await copyDatabase(s.databaseUrl);
  writer = await ownerOf(copy.url);
}, 120_000);
afterAll(async () => {
  await writer?.end();
  await copy?.drop();
  await s?.stop();
});

async function takeBack(orderId: string): Promise<void> {
  await requestCancellation(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
  const order = await readOrder(s.db, orderId);
  if (!order) throw new Error('there is no such order');
  const { type, options } = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, PATIENT);
  await (await s.client.workflow.start(type, options)).result();
}

/** Whom no trigger and no foreign key holds up. */
async function ownerOf(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('SET session_replication_role = replica');
  return client;
}

async function asOwner(url: string, statements: string): Promise<void> {
  const client = await ownerOf(url);
  await client.query(statements);
  await client.end();
}

/** As any program with the account's key. @returns the id of what was made */
async function post(path: string, form: Record<string, string>): Promise<string> {
  const headers = { authorization: 'Bearer sk_test_saga', 'idempotency-key': randomUUID() };
  const answer = await fetch(`${s.sandboxUrl}/v1/${path}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
  });
  const { id } = (await answer.json()) as { id?: string };
  if (id === undefined) throw new Error(`${path} answered ${answer.status}`);
  return id;
}

const charge = (metadata: Record<string, string>): Promise<string> =>
  post('payment_intents', {
    ...{ amount: '3000', currency: 'usd', confirm: 'true', payment_method: 'pm_card_visa' },
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`metadata[${name}]`, value])),
  });

const gateway = () => createPaymentGateway({ url: s.sandboxUrl, apiKey: 'sk_test_saga', timeoutMs: 5_000 });

const OPTIONS: PassOptions = {
  graceMs: 60_000,
  againAfterMs: 0,
  rest: 0,
  pageSize: 3,
  openAtMostMs: openAtMostMs(PATIENT),
};

/** A pass over the copy; the gateway's list is read to its very end, since nothing is under way there. */
async function pass(changed: Partial<Sources> = {}, options: Partial<PassOptions> = {}) {
  const sources = { db: copy.db, gateway: { ...gateway(), nowMs: () => Date.now() + 120_000 }, temporal: s.client };
  return verify({ ...sources, ...changed }, { ...OPTIONS, ...options });
}

test('a clean installation: 0, and every invariant that it says it verifies has looked at rows', async () => {
  const { code, document } = await cli.json('verify');
  expect(document).toMatchObject({ clean: true, failed: [] });
  const looked = document.invariants as { invariant: InvariantName; checked: number }[];
  const left = document.notLookedAt as { invariant: InvariantName }[];
  // The stranger came within the minute that is left out; all orders' charges are found by their payments.
  expect(left.map(({ invariant }) => invariant)).toEqual(['I1 strangers are left alone']);
  expect(new Set([...looked, ...left].map(({ invariant }) => invariant))).toEqual(new Set(VERIFIED));
  expect(looked.filter(({ checked }) => checked === 0)).toEqual([]);
  expect(code).toBe(0);
});

test("an order is asked for by itself; what is not an order's is not", async () => {
  const { code, document } = await cli.json('verify', '--order', ids.confirmed);
  expect(document).toMatchObject({ clean: true, failed: [] });
  expect(document.invariants).toContainEqual({ invariant: 'I1 money', checked: 1, violations: [] });
  expect(JSON.stringify(document.invariants)).not.toContain('I2');
  expect(code).toBe(0);
});

test('an order that has just changed is told as such with the time from which it is looked at: 2, and no word of money', async () => {
  const { id } = await accept(s.db, { A: 1 });
  try {
    const { code, stdout, stderr } = await cli('verify', '--order', id);
    expect(stderr).toMatch(
      new RegExp(`${id}: not looked at, it changed \\d+ s ago; looked at from \\d\\d:\\d\\d:\\d\\d UTC on`),
    );
    expect(stdout + stderr).not.toMatch(/nothing was charged|Nothing was there/);
    expect(code).toBe(2);
  } finally {
    await asOwner(
      s.databaseUrl,
      `DELETE FROM orders WHERE id = '${id}'; DELETE FROM order_lines WHERE order_id = '${id}'; DELETE FROM outbox WHERE order_id = '${id}'`,
    );
  }
});

test('pages of any size, and results asked for or listed, come to the same; and what has just changed is not looked at', async () => {
  const [small, large] = [await pass(), await pass({}, { pageSize: 500, results: 'listed' })];
  expect(small).toEqual(large);
  expect(small.failures).toEqual([]);
  const { findings } = await pass({}, { graceMs: 7_200_000, invariants: ['I5 one end', 'I1 money'] });
  expect(findings.map(({ checked }) => checked)).toEqual([0, 0]);
});

test('since a moment: of older orders nothing is read', async () => {
  const later = await pass({}, { since: new Date(Date.now() + 60_000), invariants: ['I5 one end'] });
  expect(later.findings).toEqual([{ invariant: 'I5 one end', checked: 0, violations: [] }]);
  const earlier = await pass({}, { since: new Date(Date.now() - 600_000), invariants: ['I5 one end'] });
  expect(earlier.findings).toEqual([{ invariant: 'I5 one end', checked: 6, violations: [] }]);
});

type Planted = string | (() => Promise<Partial<Sources> | undefined>);
/** For each invariant what breaks it; one after the other, in the same copy. */
const PLANTED: Record<string, Planted> = {
  'I1 lines add up': `UPDATE orders SET total_amount = total_amount + 1 WHERE id = :confirmed`,
  'I1 money': `UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = :other`,
  'I1 strangers are left alone': async () => {
    await post('refunds', { payment_intent: stranger, 'metadata[orderId]': ids.other });
    return undefined;
  },
  'I1 the provider agrees with itself': async () => ({
    gateway: { ...gateway(), readRefunds: async () => [], listRefunds: async () => ({ items: [] }) },
  }),
  'I1 payments agree with the gateway': `UPDATE payments SET gateway_reference = 'pi_none' WHERE order_id = :third`,
  'I2 stock is conserved': `UPDATE inventory SET available = available - 1, sold = sold + 1 WHERE sku = 'B'`,
  'I3 one charge per order': async () => {
    const { id: installationId } = await readStanding(s.db);
    await charge({ orderId: ids.confirmed, installationId, purpose: 'order' });
    return undefined;
  },
  'I4 orders hold what they bought': `UPDATE reservations SET state = 'RESERVED' WHERE order_id = :confirmed AND sku = 'A'`,
  'I4 orders hold what the plan says': `DELETE FROM payments WHERE order_id = :confirmed`,
  'I5 one end': `DELETE FROM outbox WHERE order_id = :fourth AND type = 'order.confirmed'`,
  'I5 sagas have ended as their orders': `UPDATE orders SET status = 'CONFIRMED', unwinding_reason = NULL WHERE id = :declined`,
  'I5 open orders have a saga': `UPDATE orders SET status = 'PENDING' WHERE id = :third`,
  'I5 sagas are of orders': `DELETE FROM orders WHERE id = :takenBack`,
  'I7 what was answered is there': `UPDATE idempotency_keys SET response = '{}' WHERE order_id = :open`,
  'I8 destinations are served': `UPDATE relay_cursors SET feed_xid = feed_xid + 1000000 WHERE partition = 7`,
  'I9 fed in order': `UPDATE outbox SET feed_xid = 0 WHERE order_id = :fourth AND sequence = 2`,
  'I10 exactly its events': `DELETE FROM outbox WHERE order_id = :confirmed AND sequence = 2`,
  'I14 nothing is stuck unseen': `UPDATE orders SET saga_started_at = now() - interval '1 day' WHERE id = :open`,
};

test('each invariant catches what is planted for it', async () => {
  const saysOf = async (invariant: InvariantName, changed: Partial<Sources> = {}) => {
    const { findings, failures } = await pass(changed, { invariants: [invariant] });
    if (failures[0]) throw failures[0].cause;
    return findings.flatMap(({ violations }) => violations.map(({ says }) => says));
  };
  const missed: string[] = [];
  for (const invariant of VERIFIED) {
    const planted = PLANTED[invariant];
    if (planted === undefined) throw new Error(`no violation of ${invariant} is planted: add one`);
    const before = await saysOf(invariant);
    const changed = typeof planted === 'string' ? undefined : await planted();
    if (typeof planted === 'string')
      await writer.query(planted.replaceAll(/:([a-zA-Z]+)/g, (_, name: keyof typeof ids) => `'${ids[name]}'`));
    // What search finds of a charge is late.
    const isCaught = async () => (await saysOf(invariant, changed)).some((says) => !before.includes(says));
    await eventually(`${invariant} is violated`, isCaught, 3_000).catch(() => missed.push(invariant));
  }
  expect(missed).toEqual([]);
}, 90_000);

test('a violation: 1, and the sentence names the order', async () => {
  const { code, stdout } = await cliOf({ ...s, databaseUrl: copy.url })('verify', '--invariant', 'I4');
  expect(stdout).toContain(`${ids.confirmed} is confirmed without its`);
  expect(code).toBe(1);
});

test('what reconciliation has in hand is not told', async () => {
  const money = { invariants: ['I1 money'] as const };
  expect(JSON.stringify((await pass({}, money)).findings)).toContain(ids.other);
  await writer.query(
    `INSERT INTO reconciliation_findings (kind, gateway_reference, order_id, amount, currency, action)
     SELECT 'LATE_CHARGE', gateway_reference, order_id, amount, currency, 'refunding' FROM payments WHERE order_id = $1`,
    [ids.other],
  );
  expect(JSON.stringify((await pass({}, money)).findings)).not.toContain(ids.other);
});

test('it could not look: 2, where nothing is there, where a source does not answer, and where what is asked for cannot be asked', async () => {
  const empty = await createTestDatabase();
  try {
    const nothing = await cliOf({ ...s, databaseUrl: empty.url })('verify', '--invariant', 'I5 one end');
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('Nothing was there to look at') });
  } finally {
    await empty.drop();
  }
  const away = 'http://127.0.0.1:1';
  const gatewayAway = await cliOf(s, { PAYMENTS_URL: away }).json('verify', '--invariant', 'I1', '--invariant', 'I4');
  expect(gatewayAway).toMatchObject({
    code: 2,
    document: { clean: false, failed: [{ invariants: expect.arrayContaining(['I1 money']) }] },
  });
  expect(gatewayAway.document.invariants).toContainEqual({
    invariant: 'I4 orders hold what the plan says',
    checked: 6,
    violations: [],
  });
  const unset = cliOf(s);
  expect((await unset('verify', '--invariant', 'I3')).code).toBe(2);
  const others = await unset('verify', '--order', ids.confirmed);
  expect(others).toMatchObject({ code: 0, stdout: expect.stringContaining('I3 one charge per order: not looked at') });
  const lost = { ...s, databaseUrl: 'postgresql://app@127.0.0.1:1/orders' };
  expect(await cliOf(lost)('verify')).toMatchObject({ code: 2, stderr: expect.stringContaining('Could not look') });
  const temporalAway = cliOf({ ...s, env: { address: '127.0.0.1:1' } });
  expect((await temporalAway('verify', '--invariant', 'I5')).code).toBe(2);
});
