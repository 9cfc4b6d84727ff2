/** An erasure goes through the audit trail in pages, as the role that the service has, however much operators have written. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { append } from '../../domain/audit/acts.js';
import { recordCalls } from '../../domain/audit/calls.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { verifyAudit } from '../../domain/audit/verification.js';
import { purgeOperations } from '../../domain/operations/carrying-out.js';
import { identityKeyOf } from '../../domain/customers.js';
import { eraseAuditTrail } from '../../workers/audit-eraser.js';
import { type AppRole, openAsApp } from '../support/app-role.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const KEYS = auditKeys(['a-key-of-the-audit-trail-that-is-long-enough']);
let t: TestDatabase;
let app: AppRole;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 100);
  app = await openAsApp(t);
});
afterAll(async () => {
  await app?.db.$disconnect();
  await t?.drop();
  await app?.close();
});

type Asked = { id: string; reference: string; order: string };
async function customer(clientId: string, isErasing = true): Promise<Asked> {
  const { id: order, customer: reference } = await accept(t.db, { A: 1 }, { customerId: clientId });
  const id = randomUUID();
  if (isErasing) {
    await t.db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${reference}::uuid`;
    await t.db
      .$executeRaw`INSERT INTO erasures (id, reference, state, requested_by, reason) VALUES (${id}::uuid, ${reference}::uuid, 'erasing', 'op', 'r')`;
  }
  return { id, reference, order };
}
const ACTOR = { subject: 'op-7', route: 'ops resolve', correlationId: 'c', source: null };
const countsOf = async ({ id }: Asked) => (await t.db.erasure.findUniqueOrThrow({ where: { id } })).counts;
const saidOf = ({ order }: Asked) => t.db.auditAct.count({ where: { resource: order, reason: { not: null } } });

async function erase({ id, reference }: Asked, page: number, pages = Number.POSITIVE_INFINITY) {
  let left = pages;
  const identityKey = await identityKeyOf(app.db);
  return eraseAuditTrail(
    app.db,
    { id, reference, identityKey },
    { page, callsPage: 3, mayGoOn: async () => left-- > 0 },
  );
}

test('page by page, going on where another has stopped; the chain stays whole, and what was said of others stays', async () => {
  const [erased, other] = [await customer('cus_erased'), await customer('cus_other', false)];
  for (let i = 0; i < 40; i++)
    await t.db.$transaction((tx) =>
      append(tx, KEYS, 'act', ACTOR, {
        resource: i % 4 === 3 ? other.order : erased.order,
        reason: `said ${i}`,
        before: null,
        after: null,
      }),
    );
  const call = { ...ACTOR, kind: 'read', route: 'GET /orders', status: 200, resource: null } as const;
  for (let i = 0; i < 10; i++) await recordCalls(t.db, KEYS, [{ ...call, subject: i % 2 ? 'cus_erased' : 'op-7' }]);
  expect(await erase(erased, 7, 2)).toBe(false);
  expect([await saidOf(erased), await countsOf(erased)]).toEqual([16, { auditedActs: 14 }]);
  expect(await erase(erased, 7)).toBe(true);
  expect([await saidOf(erased), await saidOf(other)]).toEqual([0, 10]);
  expect(await countsOf(erased)).toEqual({ auditedActs: 30, auditedCalls: 5 });
  expect(await verifyAudit(t.db, KEYS)).toMatchObject({ flaw: null });
});

test('also what was said of a finding, and of an operation with several of the customer’s orders', async () => {
  const erased = await customer('cus_of_operations');
  const second = await accept(t.db, { A: 1 }, { customerId: 'cus_of_operations' });
  const other = await customer('cus_beside', false);
  const operations = [randomUUID(), randomUUID(), randomUUID()];
  for (const id of operations)
    await t.db.$executeRaw`
      INSERT INTO operations (id, action, state, selection, total, amounts, skipped, previewed_by, started_at, started_by, reason)
      VALUES (${id}::uuid, 'retry', 'running', '{}', 1, '{}', '{}', 'op', now(), 'op', 'said of an operation')`;
  for (const [i, order] of [erased.order, second.id, other.order].entries())
    for (const operation of i === 2 ? operations : operations.slice(0, 2))
      await t.db.$executeRaw`
        INSERT INTO operation_items (operation_id, no, order_id) VALUES (${operation}::uuid, ${i + 1}, ${order}::uuid)`;
  const finding = async (orderId: string) => {
    const about = { kind: 'ORPHAN_CHARGE', gatewayReference: `pi_${orderId}`, currency: 'USD', action: 'refunded' };
    return String((await t.db.reconciliationFinding.create({ data: { ...about, orderId, amount: 1n } })).id);
  };
  const [own, others] = [await finding(erased.order), await finding(other.order)];
  const say = (route: string, resource: string) =>
    t.db.$transaction((tx) =>
      append(tx, KEYS, 'act', { ...ACTOR, route }, { resource, reason: 'said', before: null, after: null }),
    );
  for (const id of operations) await say('POST /admin/operations', id);
  for (const route of ['POST /admin/findings/:id/close', 'ops reconcile --refund', 'POST /inventory/:sku/adjust'])
    for (const id of [own, others]) await say(route, id);
  expect(await erase(erased, 3)).toBe(true);
  const left = await t.db.auditAct.findMany({
    where: { resource: { in: [...operations, own, others] }, reason: { not: null } },
    orderBy: { id: 'asc' },
  });
  expect(left.map(({ route, resource }) => [route, resource])).toEqual([
    ['POST /admin/operations', operations[2]],
    ['POST /admin/findings/:id/close', others],
    ['ops reconcile --refund', others],
    ['POST /inventory/:sku/adjust', own],
    ['POST /inventory/:sku/adjust', others],
  ]);
  expect(await countsOf(erased)).toEqual({ auditedActs: 4 });
  expect(await verifyAudit(t.db, KEYS)).toMatchObject({ flaw: null });
});

test('what was said of an operation goes with it after ninety days, and not before: no erasure would find it any more', async () => {
  const [old, young] = [randomUUID(), randomUUID()];
  for (const [id, days] of [
    [old, 91],
    [young, 89],
  ] as const) {
    await t.db.$executeRaw`
      INSERT INTO operations (id, action, state, selection, total, amounts, skipped, previewed_by, started_at, started_by, reason, ended_at)
      VALUES (${id}::uuid, 'retry', 'finished', '{}', 1, '{}', '{}', 'op', now(), 'op', 'said', now() - ${days}::int * interval '1 day')`;
    for (const route of ['POST /admin/operations', 'POST /admin/operations/:id/pause'])
      await t.db.$transaction((tx) =>
        append(
          tx,
          KEYS,
          'act',
          { ...ACTOR, route },
          { resource: id, reason: 'said', before: null, after: { items: 1 } },
        ),
      );
  }
  await expect(app.db.$queryRaw`SELECT erase_acts_of_old_operations(${[old, young]}::uuid[])`).rejects.toThrow(
    'ninety days',
  );
  // Whoever has the app's password makes an operation older than it is, but not what was said of it.
  await app.db.$executeRaw`UPDATE operations SET ended_at = now() - interval '91 days' WHERE id = ${young}::uuid`;
  for (const id of [old, young])
    await expect(app.db.$queryRaw`SELECT erase_acts_of_old_operations(${[id]}::uuid[])`).rejects.toThrow('ninety days');
  expect(await purgeOperations(app.db)).toBe(0);
  expect(await verifyAudit(t.db, KEYS)).toMatchObject({ flaw: null });
  await saidDaysAgo(old, 91);
  await saidDaysAgo(young, 89);
  expect(await purgeOperations(app.db)).toBe(1);
  const reasons = async (resource: string) =>
    (await t.db.auditAct.findMany({ where: { resource } })).map(({ reason, after }) => [reason, after]);
  const [gone, kept] = [
    [null, { items: 1 }],
    ['said', { items: 1 }],
  ];
  expect(await reasons(old)).toEqual([gone, gone]);
  expect(await reasons(young)).toEqual([kept, kept]);
});

/** Only the owner can have it so, and what is signed does not fit any more. */
async function saidDaysAgo(resource: string, days: number) {
  const owner = new pg.Client({ connectionString: t.url });
  await owner.connect();
  await owner.query(`SET session_replication_role = replica`);
  const age = `UPDATE audit_acts SET at = at - $2::int * interval '1 day' WHERE resource = $1`;
  await owner.query(age, [resource, days]);
  await owner.end();
}

test('of nobody who is not being erased, and whoever has it said of somebody leaves an erasure that stays', async () => {
  const kept = await customer('cus_kept', false);
  await expect(erase(kept, 10)).rejects.toThrow(/not being erased/);
  const { reference } = kept;
  await app.db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${reference}::uuid`;
  await expect(erase(kept, 10)).rejects.toThrow(/not being erased/);
  await app.db
    .$executeRaw`INSERT INTO erasures (id, reference, state, requested_by, reason) VALUES (${kept.id}::uuid, ${reference}::uuid, 'erasing', 'op', 'r')`;
  expect(await erase(kept, 10)).toBe(true);
  await expect(
    app.db.$executeRaw`UPDATE customers SET erasing_since = NULL WHERE reference = ${reference}::uuid`,
  ).rejects.toThrow(/not taken back/);
  await expect(
    app.db.$executeRaw`UPDATE erasures SET reference = ${randomUUID()}::uuid WHERE id = ${kept.id}::uuid`,
  ).rejects.toThrow(/does not change/);
  await expect(app.db.$executeRaw`DELETE FROM erasures WHERE id = ${kept.id}::uuid`).rejects.toThrow(/permission/);
});

test('a hundred thousand acts are no long statement, and are not all locked at once', async () => {
  const asked = await customer('cus_much_written_about');
  const owner = new pg.Client({ connectionString: t.url });
  await owner.connect();
  await owner.query(`SET session_replication_role = replica`); // their place in the chain is not what this is about
  await owner.query(
    `INSERT INTO audit_acts (id, at, kind, subject, route, resource, reason, correlation_id, key_id, hash)
     SELECT 1000000 + n, now(), 'act', 'op-7', 'ops resolve', $1, 'said ' || n, 'c', 'k', sha256(n::text::bytea) FROM generate_series(1, 100000) AS n`,
    [asked.order],
  );
  await owner.query('ANALYZE audit_acts');
  await owner.end();
  let longestMs = 0;
  let began = performance.now();
  const onPage = () => {
    longestMs = Math.max(longestMs, performance.now() - began);
  };
  const mayGoOn = async () => {
    began = performance.now();
    return true;
  };
  const identityKey = await identityKeyOf(app.db);
  expect(await eraseAuditTrail(app.db, { ...asked, identityKey }, { mayGoOn, onPage })).toBe(true);
  expect(await saidOf(asked)).toBe(0);
  expect(await countsOf(asked)).toEqual({ auditedActs: 100_000 });
  expect(longestMs).toBeLessThan(2_000); // half of what a statement may take, on a machine that does much else
}, 120_000);
