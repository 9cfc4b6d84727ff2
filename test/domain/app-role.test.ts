/** The role that the service has where it is deployed (deploy/postgres/roles.sql) may do what the service's loops do. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { claimSpending, engageBrake, purgeSpending, releaseBrake } from '../../domain/brakes.js';
import { identityKeyOf } from '../../domain/customers.js';
import { purgeErasedKeys } from '../../domain/erasure/tombstones.js';
import { blankOldDeadLetters, blankOldErasures, blankOldOrders } from '../../domain/personal-retention.js';
import { PASS_START, replaceBatch } from '../../domain/replacement.js';
import { purgeKeys } from '../../domain/retention.js';
import { openDatabase } from '../../runtime/database.js';
import { asAdmin, accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const ROLE = `app_${randomUUID().replaceAll('-', '')}`;
let t: TestDatabase;
let app: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 100);
  const owner = new pg.Client({ connectionString: t.url });
  await owner.connect();
  await owner.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD 'app'`);
  await owner.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${ROLE}`);
  await owner.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${ROLE}`);
  const roles = (await readFile('deploy/postgres/roles.sql', 'utf8')).replaceAll('order_saga_app', ROLE);
  const [, ending = ''] = roles.split(/^GRANT USAGE ON ALL SEQUENCES.*$/m);
  for (const generator of ending.split('\\gexec').filter((statement) => statement.includes('SELECT')))
    for (const { format } of (await owner.query<{ format: string }>(generator)).rows) await owner.query(format);
  await owner.end();
  app = openDatabase(Object.assign(new URL(t.url), { username: ROLE, password: 'app' }).href, 2);
});
afterAll(async () => {
  await app?.$disconnect();
  await t?.drop();
  await asAdmin(t.url.replace(/\/[^/?]+(\?|$)/, '/postgres$1'), `DROP ROLE IF EXISTS ${ROLE}`).catch(() => undefined);
});

const PAGE = 100;

test('replaces clients’ ids in old orders and their events', async () => {
  const { id } = await accept(t.db, { A: 1 }, { customerId: 'cus_of_before' });
  await t.db.$executeRaw`UPDATE orders SET customer_id = 'cus_of_before' WHERE id = ${id}::uuid`;
  await t.db
    .$executeRaw`UPDATE outbox SET data = jsonb_set(data, '{customerId}', '"cus_of_before"') WHERE order_id = ${id}::uuid`;
  await replaceBatch(app, await identityKeyOf(app), PASS_START, PAGE);
  const [row] = await t.db.$queryRaw<{ order: string; event: string }[]>`
    SELECT o.customer_id AS "order", e.data->>'customerId' AS event FROM orders o JOIN outbox e ON e.order_id = o.id AND e.sequence = 1
    WHERE o.id = ${id}::uuid`;
  expect(row?.order).toMatch(/^[0-9a-f]{8}-/);
  expect(row?.event).toBe(row?.order);
});

test.each<[string, () => Promise<unknown>]>([
  ['Idempotency-Keys', () => purgeKeys(app, PAGE)],
  ['tombstones of keys', () => purgeErasedKeys(app, PAGE)],
  ['what counted against a limit', () => purgeSpending(app, PAGE)],
  [
    'what is personal of old orders',
    () => app.$transaction((tx) => blankOldOrders(tx, { olderThanMs: 0, limit: PAGE })),
  ],
  ['what was said of dead letters', () => blankOldDeadLetters(app, 0, PAGE)],
  ['reasons of erasures', () => blankOldErasures(app, 0, PAGE)],
])('removes %s', async (_, work) => {
  await work();
});

test('engages a limit, counts against it, and releases it', async () => {
  const { id: orderId } = await accept(t.db, { A: 1 });
  const word = { brake: 'spending', operator: 'op-7', reason: 'ticket 4711' } as const;
  await app.$transaction((tx) => engageBrake(tx, { ...word, limits: { USD: 1_500 } }));
  const due = { orderId, currency: 'USD', amount: 1_000 };
  expect(await claimSpending(app, due)).toBe(true);
  expect(await claimSpending(app, { ...due, orderId: (await accept(t.db, { A: 1 })).id })).toBe(false);
  expect(await app.$transaction((tx) => releaseBrake(tx, word))).toBe(true);
});

test('a charge that waits while the limit is changed is held against the new one', async () => {
  const { id: orderId } = await accept(t.db, { A: 1 });
  const engaging = { brake: 'spending', operator: 'op-7', reason: 'fraud wave' } as const;
  await engageBrake(t.db, { ...engaging, limits: { USD: 1_000_000 } });
  let claiming: Promise<boolean> | undefined;
  await t.db.$transaction(async (tx) => {
    await engageBrake(tx, { ...engaging, limits: { USD: 0 } });
    claiming = claimSpending(app, { orderId, currency: 'USD', amount: 1_000 });
    await expect(
      Promise.race([claiming, new Promise((resolve) => setTimeout(resolve, 300, 'it waits'))]),
    ).resolves.toBe('it waits');
  });
  expect(await claiming).toBe(false);
  await releaseBrake(t.db, engaging);
});
