/** The read side's answers: what they say of themselves, what is refused, what is no error, and the page that shows them. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase } from '../../../runtime/database.js';
import { eventually } from '../../support/conditions.js';
import { accept, createTestDatabase, type TestDatabase } from '../../support/database.js';
import { type Installation, startInstallation } from './installation.js';
import { startReadSide, sumOf } from './read-side.js';

let installation: Installation;
let own: TestDatabase;
let readSide: Awaited<ReturnType<typeof startReadSide>>;
beforeAll(async () => {
  [installation, own] = await Promise.all([startInstallation(), createTestDatabase()]);
  for (let i = 0; i < 15; i++) await installation.order();
  readSide = await startReadSide({ DATABASE_URL: own.url, ORDERS_URL: installation.api.url, CACHE_TTL_MS: '300' });
  await readSide.isBeyond(Date.now());
}, 60_000);
afterAll(async () => {
  await readSide?.kill();
  await own?.drop();
  await installation?.stop();
});

const refused = async (path: string) => {
  const answer = await fetch(`${readSide.url}${path}`);
  return { status: answer.status, detail: ((await answer.json()) as { detail: string }).detail };
};

/** An event as someone else’s release may write it. */
async function tell(type: string, subject: string, data: object) {
  const { id } = await accept(installation.db, { APPLE: 1 });
  await installation.db.$executeRaw`
    INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
    VALUES (${id}::uuid, 99, ${type}, ${JSON.stringify({ ...data, subject })}::jsonb, 'c', pg_current_xact_id()::text::bigint)`;
}

test('an hour and a day add up to the same, and a product to what was sold of it', async () => {
  const day = await readSide.totals();
  const hour = await readSide.ask('/v1/totals?grain=hour');
  expect(sumOf(hour as NonNullable<typeof day>)).toEqual(sumOf(day as NonNullable<typeof day>));
  const { totals, products } = await installation.inTruth();
  expect(day && sumOf(day).totals).toEqual(totals);
  expect((await readSide.ask('/v1/products?grain=hour'))?.rows).toMatchObject(products);
});

test('while nobody orders it stays as far behind as it polls; while the service is away it says by how much', async () => {
  const before = await readSide.isBeyond(Date.now());
  expect(before.behindMs).toBeLessThan(5_000);
  const held = openDatabase(installation.api.databaseUrl, 1);
  try {
    await held.$transaction(
      async (tx) => {
        await accept(tx, { APPLE: 1 });
        const at = Date.now();
        await eventually('it says that it is behind', async () => ((await readSide.totals())?.behindMs ?? 0) > 1_500);
        expect(Date.parse((await readSide.totals())?.asOf ?? '')).toBeLessThanOrEqual(at);
      },
      { timeout: 30_000 },
    );
  } finally {
    await held.$disconnect();
  }
  await readSide.isBeyond(Date.now());
});

test('an answer is kept for a moment, and how far it is behind is reckoned as it is sent', async () => {
  const path = '/v1/totals?grain=day&from=2026-01-01&to=2026-02-01';
  const answers: { asOf: string; behindMs: number }[] = [];
  await eventually('the same answer twice, and another one', async () => {
    const answer = await readSide.ask(path);
    if (answer) answers.push(answer);
    return new Set(answers.map(({ asOf }) => asOf)).size >= 3;
  });
  const same = answers.filter(({ asOf }) => asOf === answers[1]?.asOf);
  expect(same.length).toBeGreaterThan(1);
  expect(same.at(-1)?.behindMs).toBeGreaterThan(same[0]?.behindMs ?? Number.POSITIVE_INFINITY);
});

test('a type that it does not know is no error, and what it cannot read of one it knows is said in every answer', async () => {
  const before = await readSide.isBeyond(Date.now());
  await tell('customer.erased', 'ref_0123', {});
  await readSide.isBeyond(Date.now());
  expect((await readSide.totals())?.unreadable).toBe(0);
  await tell('order.cancelled', 'x', { reason: 7 });
  const after = await eventually('it is said', async () => {
    const answer = await readSide.totals();
    return answer && answer.unreadable === 1 && answer;
  });
  expect(sumOf(after).totals.cancelled).toBe(sumOf(before).totals.cancelled);
  await installation.order();
  await readSide.isBeyond(Date.now()); // and it goes on
});

test.each([
  ['/v1/totals?grain=minute', 400, /^grain/],
  ['/v1/totals?from=yesterday', 400, /^from/],
  ['/v1/totals?from=2026-02-01&to=2026-01-01', 400, /^from/],
  ['/v1/totals?grain=hour&from=2020-01-01&to=2026-01-01', 400, /^from: 1000 hours/],
  ['/v1/products?limit=101', 400, /^limit/],
  ['/v1/products?limit=0', 400, /^limit/],
  ['/v1/totals?colour=red', 400, /^colour/],
  ['/v1/nothing', 404, /v1\/totals/],
  ['/v1/__proto__', 404, /v1\/totals/],
])('%s is refused', async (path, status, detail) => {
  expect(await refused(path)).toEqual({ status, detail: expect.stringMatching(detail) });
});

test('a page of somebody else’s that leads its name here is not let in, and nothing can be sent', async () => {
  const { request } = await import('node:http');
  const status = (options: object) =>
    new Promise((resolve, reject) => {
      const sent = request(`${readSide.url}/v1/status`, options, (answer) => resolve(answer.resume().statusCode));
      sent.on('error', reject).end();
    });
  expect(await status({ headers: { host: 'evil.example' } })).toBe(421);
  expect(await status({ method: 'POST' })).toBe(405);
});

test('two of them on the same tables count nothing twice, and one that is told to stop ends by itself', async () => {
  const second = await startReadSide({ DATABASE_URL: own.url, ORDERS_URL: installation.api.url });
  for (let i = 0; i < 10; i++) await installation.order();
  const answer = await second.isBeyond(Date.now());
  await second.kill('SIGTERM');
  expect(sumOf(answer).totals).toMatchObject({ placed: await installation.db.order.count() });
});

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const folders = (process.env['PATH'] ?? '').split(delimiter);
const chromium = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);

(chromium ? test : test.skip)(
  'the page draws its charts under its own policy, and says up to when they are complete',
  async () => {
    const profile = await mkdtemp(join(tmpdir(), 'order-saga-chromium-'));
    const run = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--enable-logging=stderr',
      `--user-data-dir=${profile}`,
    ];
    const offline = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
    const { stdout, stderr } = await promisify(execFile)(
      String(chromium),
      [...run, offline, '--virtual-time-budget=5000', '--dump-dom', readSide.url],
      { maxBuffer: 1 << 26, timeout: 90_000 },
    );
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    expect(stderr.split('\n').filter((line) => line.includes('CONSOLE'))).toEqual([]);
    expect(stdout).toMatch(/Complete up to \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC · \d+\.\d s behind/);
    expect(stdout.match(/<canvas/g)).toHaveLength(3);
    expect(stdout).toMatch(/<td>PEAR<\/td><td>\d+<\/td><td>\$[\d.,]+<\/td>/);
  },
  120_000,
);
