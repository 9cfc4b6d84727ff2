/**
 * Two releases and the schemas of both, as a deploy has them: today's build on the schema of the previous release, and the previous
 * release's build on today's schema.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newSince, previousBuild } from '../../.ci/migrations/build-previous.mjs';
import type { Order } from '../../clients/typescript/client.js';
import { freePort } from '../../local/processes/ports.js';
import { migrate } from '../../local/setup/migrate.js';
import { openDatabase } from '../../runtime/database.js';
import { eventually } from '../support/conditions.js';
import { asAdmin, required, stock } from '../support/database.js';
import { migrationNames, migrationsWith } from '../support/migrations.js';
import { isServing, kill, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

const LIMIT_MS = 180_000;
const previous = previousBuild();
let around: Surroundings;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 100_000);
}, LIMIT_MS);
afterAll(() => around?.stop(), 60_000);

/** A database with the schema of the previous release; or, where nobody knows that, with all but the newest migration. */
async function createOlder() {
  const names = await migrationNames();
  const missing = previous.missing === undefined ? newSince(previous.knows) : names.slice(-1);
  const adminUrl = required('TEST_DATABASE_ADMIN_URL');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await asAdmin(adminUrl, `CREATE DATABASE ${name}`);
  const url = Object.assign(new URL(adminUrl), { pathname: `/${name}` });
  const older = await migrationsWith(Object.fromEntries(missing.map((each) => [each, null])));
  expect(await older.deploy(url.href)).toEqual({ failure: undefined, output: expect.anything() });
  await older.remove();
  const drop = () => asAdmin(adminUrl, `DROP DATABASE ${name} WITH (FORCE)`);
  return { url: url.href, firstMissing: missing[0], drop };
}

test(
  'today’s build on the schema of the previous release lives, is not ready, says which migration it lacks, and begins once that is there',
  async () => {
    const database = await createOlder();
    const [port, metricsPort] = [await freePort(), await freePort()];
    const health = async (path: string) => {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}${path}`);
      return [answer.status, await answer.json()];
    };
    const settings = { PORT: `${port}`, METRICS_PORT: `${metricsPort}`, TEMPORAL_ADDRESS: '127.0.0.1:1' };
    let log = '';
    const service = await around.start({ ROLE: 'api', DATABASE_URL: database.url, ...settings }, async (path) => {
      log = path;
      return health('/readyz').then(
        ([status]) => status === 503,
        () => false,
      );
    });
    const missing = { missingMigration: database.firstMissing, ready: false };
    await eventually('it says why', async () => {
      expect(await health('/readyz')).toEqual([503, { ready: false, roles: { api: missing } }]);
      return true;
    });
    expect((await health('/livez'))[0]).toBe(200);
    expect(await readFile(log, 'utf8')).toContain(`The database lacks the migration ${database.firstMissing}`);
    expect(await isServing(`http://127.0.0.1:${port}`)).toBe(false);

    await migrate(database.url);
    await eventually('it is ready, without a restart', () => isServing(`http://127.0.0.1:${port}`));
    const db = openDatabase(database.url, 1);
    await stock(db, 'A', 10);
    expect((await orderOne(`http://127.0.0.1:${port}`, 'first', 'cus_1')).status).toBe(201);
    await db.$disconnect();
    await kill(service);
    await database.drop();
  },
  LIMIT_MS,
);

/** Why the previous release is not run; it is built by .ci/run, or for FULL=1. */
const reason =
  previous.missing ??
  (newSince(previous.knows).length === 0 && process.env['FULL'] !== '1'
    ? `${previous.release} knows every migration.`
    : previous.isBuilt
      ? undefined
      : `${previous.release} is not built: node .ci/migrations/build-previous.mjs.`);

(reason === undefined ? test : test.skip)(
  `the previous release’s build serves orders on today’s schema, and today’s goes on with them${reason === undefined ? '' : ` — ${reason}`}`,
  async () => {
    const { database, temporal, sandbox } = around;
    const start = async (checkout?: string) => {
      const port = await freePort();
      const api = `http://127.0.0.1:${port}`;
      const neighbours = {
        DATABASE_URL: database.url,
        TEMPORAL_ADDRESS: temporal.address,
        PAYMENTS_URL: sandbox.url,
        ...around.webhook(),
      };
      const variables = { ROLE: 'all', PORT: `${port}`, ...neighbours };
      const service = await around.start(variables, () => isServing(api), checkout);
      return { api, service };
    };
    const order = async (api: string, paymentMethod: string) => {
      const response = await fetch(`${api}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', prefer: 'wait=30' },
        body: JSON.stringify({ customerId: 'cus_1', items: [{ sku: 'A', quantity: 1 }], paymentMethod }),
      });
      return (await response.json()) as Order;
    };
    const cancelled = async (api: string, { id }: Order) => {
      const body = JSON.stringify({ reason: 'no more' });
      const headers = { 'content-type': 'application/json' };
      expect((await fetch(`${api}/orders/${id}/cancel`, { method: 'POST', headers, body })).status).toBeLessThan(300);
      await eventually('it is cancelled', async () => {
        const now = (await (await fetch(`${api}/orders/${id}`)).json()) as Order;
        return now.status === 'CANCELLED';
      });
    };

    const old = await start(previous.missing === undefined ? previous.dir : undefined);
    const confirmed = await Promise.all(Array.from({ length: 10 }, () => order(old.api, 'pm_card_visa')));
    expect(confirmed.map(({ status }) => status)).toEqual(confirmed.map(() => 'CONFIRMED'));
    const declined = await Promise.all(Array.from({ length: 3 }, () => order(old.api, 'pm_card_chargeDeclined')));
    expect(declined.map(({ status }) => status)).toEqual(declined.map(() => 'CANCELLED'));
    const [first, second] = confirmed as [Order, Order];
    await cancelled(old.api, first);
    expect((await fetch(`${old.api}/orders?limit=20`)).status).toBe(200);
    await eventually('its relay has delivered', () => `${around.receiver.sequences(second.id)}` === '1,2,3,4');
    await kill(old.service);

    const today = await start();
    await cancelled(today.api, second);
    expect((await order(today.api, 'pm_card_visa')).status).toBe('CONFIRMED');
    await around.expectRight(14);
  },
  LIMIT_MS,
);
