/**
 * One SKU's stock row is locked, as a forgotten psql or a long report does. Only its own orders wait: others are
 * accepted, charged and confirmed meanwhile, no saga is parked, and when the row is free everything is finished. 12 s; 40 s
 * under `FULL=1`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { expectRightFromOutside } from '../support/invariants.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

const HELD_MS = process.env['FULL'] === '1' ? 40_000 : 12_000;
/** At most, while it is held: more would show nothing more, and have as many held orders to end. */
const ORDER_EVERY_MS = 250;
/** More than the process has connections. */
const CROWD = 60;

let installation: Installation;
let running: Running;
let client: ApiClient;
let psql: pg.Client;
beforeAll(async () => {
  installation = await newInstallation();
  running = await launch(installation);
  client = clientOf(installation);
  for (const sku of ['HELD', 'FREE']) await client.stock(sku, 100_000);
  psql = new pg.Client({ connectionString: readFileSync(join(installation.dataDir, 'database-url'), 'utf8') });
  await psql.connect();
}, 120_000);
afterAll(async () => {
  await psql?.end();
  await running?.stop();
  await installation?.remove();
}, 30_000);

const waiting = { prefer: 'wait=10' };

test(
  `a SKU whose row is locked for ${HELD_MS / 1_000} s holds up its own orders, and no others`,
  async () => {
    await psql.query("BEGIN; SELECT FROM inventory WHERE sku = 'HELD' FOR UPDATE");
    const held = await Promise.all(Array.from({ length: CROWD }, () => client.post({ HELD: 1 })));
    const until = performance.now() + HELD_MS;
    const others: string[] = [];
    while (performance.now() < until) {
      const next = pause(ORDER_EVERY_MS);
      held.push(await client.post({ HELD: 1, FREE: 1 }));
      others.push((await client.post({ FREE: 1 }, 'pm_card_visa', waiting)).status);
      await next;
    }
    expect(others.filter((status) => status !== 'CONFIRMED')).toEqual([]);
    expect(others.length).toBeGreaterThan(HELD_MS / 1_000);
    expect((await client.get<{ sagas: unknown[] }>('/admin/sagas')).sagas).toEqual([]);
    expect((await client.list('PENDING')).map(({ id }) => id).sort()).toEqual(held.map(({ id }) => id).sort());
    await psql.query('COMMIT');

    await eventually('no order is pending', async () => (await client.list('PENDING', 1)).length === 0, 90_000);
    const final = await client.list();
    expect(final.filter(({ status }) => status !== 'CONFIRMED')).toEqual([]);
    await expectRightFromOutside(client, final);
  },
  HELD_MS + 180_000,
);
