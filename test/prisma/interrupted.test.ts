/** A deploy whose process is killed amid a migration: the next one carries on, and nobody has to resolve anything by hand. */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { sessionConfig } from '../../prisma/session.mjs';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { migrationsWith } from '../support/migrations.js';

let t: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  t = await createTestDatabase();
  client = new pg.Client(sessionConfig(t.url));
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await t.drop();
});

const one = async (sql: string) => Object.values((await client.query(sql)).rows[0] ?? {})[0];
const columnsNamed = (name: string) =>
  one(`SELECT count(*)::int FROM information_schema.columns WHERE column_name = '${name}'`);
const openRows = () =>
  one('SELECT count(*)::int FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL');
const isWaiting = (what: string) => async () =>
  (await one(
    `SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = '${what}' AND datname = current_database()`,
  )) === 1;

async function killedWhen(migrations: Awaited<ReturnType<typeof migrationsWith>>, isTime: () => Promise<boolean>) {
  const job = migrations.begin(t.url);
  const exit = once(job, 'exit');
  await eventually('it is at it', isTime, 30_000);
  process.kill(-(job.pid ?? 0), 'SIGKILL');
  await exit;
}

test('a migration whose process is killed is begun anew by the next deploy, which waits for what the server is still at', async () => {
  const migrations = await migrationsWith({
    '29990101000000_drum': "ALTER TABLE inventory ADD COLUMN drum text;\nSELECT pg_sleep(4);\n-- That's all",
  });
  await killedWhen(migrations, isWaiting('PgSleep'));
  expect([await columnsNamed('drum'), await openRows()]).toEqual([0, 1]);
  const { failure, output } = await migrations.deploy(t.url);
  expect(failure).toBeUndefined();
  expect(output).toContain('this one waits for it');
  expect([await columnsNamed('drum'), await openRows()]).toEqual([1, 0]);
  expect((await migrations.deploy(t.url)).output).toContain('No pending migrations');
  await migrations.remove();
});

test('one whose session was ended with it is begun anew, too', async () => {
  const migrations = await migrationsWith({
    '29990101000001_fife': 'ALTER TABLE inventory ADD COLUMN fife text;\nSELECT pg_sleep(60);\n',
  });
  await killedWhen(migrations, isWaiting('PgSleep'));
  await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  await eventually('the server has given it up', async () => !(await isWaiting('PgSleep')()));
  const again = await migrationsWith({
    '29990101000000_drum': "ALTER TABLE inventory ADD COLUMN drum text;\nSELECT pg_sleep(4);\n-- That's all",
    '29990101000001_fife': 'ALTER TABLE inventory ADD COLUMN fife text;\n',
  });
  const { failure, output } = await again.deploy(t.url);
  expect(failure).toBeUndefined();
  expect(output).toContain('29990101000001_fife was interrupted and has changed nothing');
  expect([await columnsNamed('fife'), await openRows()]).toEqual([1, 0]);
  await Promise.all([migrations.remove(), again.remove()]);
});

test('one that was killed when it was through, and before that was noted, is not done again', async () => {
  await client.query(`
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
    CREATE TRIGGER dawdle BEFORE UPDATE OF applied_steps_count ON _prisma_migrations FOR EACH ROW EXECUTE FUNCTION dawdle()`);
  const migrations = await migrationsWith({
    '29990101000002_horn': 'ALTER TABLE inventory ADD COLUMN horn text;\n',
  });
  await killedWhen(migrations, isWaiting('PgSleep'));
  await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  await eventually('the server has given it up', async () => !(await isWaiting('PgSleep')()));
  await client.query('DROP FUNCTION dawdle CASCADE');
  expect([await columnsNamed('horn'), await openRows()]).toEqual([1, 0]);
  expect(await migrations.deploy(t.url)).toEqual({ failure: undefined, output: expect.anything() });
  await migrations.remove();
});

test('one that failed stays failed: somebody has to look at it', async () => {
  const migrations = await migrationsWith({ '29990101000003_gong': 'ALTER TABLE nowhere ADD COLUMN gong text;\n' });
  expect((await migrations.deploy(t.url)).failure).toBe('exit 1');
  expect((await migrations.deploy(t.url)).output).toContain('P3009');
  await migrations.remove();
});
