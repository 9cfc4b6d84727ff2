/** The audit trail of `npm start`, and its database's owner: everything real, with no more than DATA_DIR to go by. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { scrape } from '../../bench/scrape.js';
import { cleanEnv, runCli } from '../ops/cli.js';
import { eventually } from '../support/conditions.js';
import { clientOf, type Installation, launch, newInstallation, type Running } from '../support/launcher.js';

let installation: Installation;
let running: Running;
beforeAll(async () => {
  installation = await newInstallation({ LOCAL_PROCESSES: 'api,worker,relay' });
  running = await launch(installation);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 30_000);

const verify = () => runCli(['audit', 'verify'], { ...cleanEnv(), DATA_DIR: installation.dataDir });
const kept = (name: string) => join(installation.dataDir, name);

test('what an operator does is proved, and what its database’s owner does to it shows within a minute', async () => {
  for (const price of [4900, 0, 4900]) await clientOf(installation).stock('MOUSE', 10, price);
  const anchored = () => (JSON.parse(readFileSync(kept('audit-anchor'), 'utf8')) as { id: number }).id;
  await eventually('the acts are anchored within 10 s', () => anchored() === 4, 10_000);
  expect(await verify()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('The audit trail is whole: 4 acts'),
  });
  for (const name of ['audit-key', 'audit-anchor']) expect(statSync(kept(name)).mode & 0o077).toBe(0);

  const port = running.metricsPorts()[2] ?? 0;
  const series = 'order_saga_audit_chain_intact{role="relay"}';
  const intact = async () => (await scrape(port)).get(series);
  await eventually('the metric says so', async () => (await intact()) === 1);

  const owner = new pg.Client({ connectionString: readFileSync(kept('database-url'), 'utf8').trim() });
  await owner.connect();
  await owner.query('ALTER TABLE audit_acts DISABLE TRIGGER USER');
  await owner.query(`UPDATE audit_acts SET after = jsonb_set(after, '{unitPrice}', '4900') WHERE id = 3`);
  await owner.end();
  expect(await verify()).toMatchObject({ code: 1, stdout: expect.stringContaining('act 3 (changed)') });
  await eventually('the metric has turned', async () => (await intact()) === 0, 75_000);
}, 180_000);
