/** Tables that come from another cluster, whose transaction ids were higher: as after pg_restore. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { readFeedClock } from '../../domain/feed-clock.js';
import { FEED_START, readFeed } from '../../domain/outbox.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { cleanEnv, cliOf } from './cli.js';

const AHEAD = 30_000;
let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
beforeEach(async () => {
  await t.db.event.deleteMany();
  await t.db.relayCursor.deleteMany();
  await t.db.relayMember.deleteMany();
});
afterAll(() => t.drop());

/** None of this asks Temporal. */
const NO_SERVER = '127.0.0.1:1';
const cli = () => cliOf({ databaseUrl: t.url, env: { address: NO_SERVER } });

/** An event of the other cluster. */
async function restore(): Promise<string> {
  const { id } = await accept(t.db, { A: 1 });
  await t.db.$executeRaw`
    UPDATE outbox SET feed_xid = pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ${AHEAD} WHERE order_id = ${id}::uuid`;
  return id;
}

/** Nobody is there; a relay that has a destination leases its partitions. */
const DESTINATION = {
  WEBHOOK_URL: 'http://127.0.0.1:1/',
  WEBHOOK_SECRET: `whsec_${Buffer.from('hidden'.repeat(6)).toString('base64')}`,
  WEBHOOK_ALLOW_PRIVATE: 'true',
};

/** A process as it is deployed. @returns its exit code and what it said, once it has ended or `until` is said */
async function startService(
  until: RegExp,
  settings: Record<string, string> = {},
): Promise<{ code: number | null; said: string }> {
  const env = {
    ...cleanEnv(),
    ROLE: 'relay',
    DATABASE_URL: t.url,
    TEMPORAL_ADDRESS: NO_SERVER,
    METRICS_PORT: '0',
    LOG_LEVEL: 'debug',
    ...settings,
  };
  const child = spawn(process.execPath, ['dist/service/main.js'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
      if (until.test(said)) child.kill('SIGTERM');
    });
  }
  return { code: await new Promise((resolve) => child.once('exit', resolve)), said };
}

test('keep every process from starting, with a sentence that says what to do; that done, the feed goes on', async () => {
  const old = await restore();
  const refused = await startService(/stopping/);
  expect(refused.code).toBe(78);
  expect(refused.said).toMatch(/restored into another cluster.*feed-clock --advance/s);

  const before = await cli().json('feed-clock');
  expect(before.code).toBe(1);
  expect(Number(before.document.feedClock.lag)).toBeGreaterThan(0);
  const advanced = await cli().json('feed-clock', '--advance');
  expect([advanced.code, advanced.document.feedClock.lag]).toEqual([0, '0']);

  const fresh = await accept(t.db, { A: 1 });
  await feedShowsAll(t.db);
  expect((await readFeed(t.db, FEED_START, 10)).map((event) => event.orderId)).toEqual([old, fresh.id]);
});

test('under a process that runs, as after a restore: with its next connection it ends, and writes nothing', async () => {
  const running = startService(/never said/, DESTINATION);
  // What a session's last statement was says nothing: the same session is used for other work in between.
  await eventually('it is at work', async () => (await t.db.relayMember.count()) > 0, 30_000);
  await restore();
  await t.db.$executeRaw`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`.catch(
    () => undefined,
  );
  const { code, said } = await running;
  expect(code).toBe(78);
  expect(said).toMatch(/restored into another cluster.*feed-clock --advance/s);
});

test('are noticed by a cursor alone, when retention has taken the events', async () => {
  const { next } = await readFeedClock(t.db);
  await t.db.relayCursor.create({ data: { destination: 'webhook', partition: 0, feedXid: next + BigInt(AHEAD) } });
  expect((await startService(/stopping/)).code).toBe(78);
  expect((await cli()('feed-clock', '--advance')).code).toBe(0);
});

test('from too far ahead are left to pg_resetwal, which is named', async () => {
  await restore();
  await t.db.$executeRaw`UPDATE outbox SET feed_xid = 5 * 4294967296 + 7`;
  const { code, stderr } = await cli()('feed-clock', '--advance');
  expect(code).toBe(1);
  expect(stderr).toContain('pg_resetwal --epoch=5 --next-transaction-id=1048576');
});

test('and a cluster of its own are told apart', async () => {
  await accept(t.db, { A: 1 });
  expect((await cli()('feed-clock')).code).toBe(0);
});
