/**
 * A person with orders of every kind, some in flight, is erased while others order; the processes that carry it out are killed amid it.
 * Then the books must hold, by our own checks and by the product's, and nothing of the person may be left.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { ops } from '../deploys/operator.js';
import { createTraffic } from '../deploys/traffic.js';
import { describeRun } from '../machine.js';
import { openOperationLog } from '../operation-log.js';
import { quiesce } from '../quiesce.js';
import type { Held } from '../result.js';
import { holdInvariants } from '../verify/invariants.js';
import { stockUp as stockUpForOthers } from '../workload/clients.js';
import { send } from '../workload/http.js';
import { type Installation, startInstallation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import { CUSTOMER, placeAll, type Repeated, repeat, stockUp, takeBack, WORD } from './person.js';

export type ProofOptions = {
  orders: number;
  inFlight: number;
  perSecond: number;
  folder: string;
  say: (text: string) => void;
  stops: (() => Promise<unknown>)[];
};

export type ProofResult = ReturnType<typeof describeRun> & {
  orders: number;
  kinds: Record<string, number>;
  /** When it was asked for: orders that held it, of which reasons. */
  heldBy: { count: number; why: Record<string, number> };
  seconds: { untilAllFinal: number; untilDone: number };
  kills: number;
  erased: Record<string, number>;
  othersOrders: number;
  repeated: Repeated;
  /** Rows that have the word, before and after, by table. */
  traces: { before: Record<string, number>; after: Record<string, number> };
  told: { webhook: number; feed: number };
  held: Held[];
  violations: string[];
};

/** What has changed within a minute is not looked at by `ops verify`. */
const GRACE_MS = 65_000;
const ERASED_LIMIT_MS = 600_000;
const SETTINGS = { ERASURE_EVERY: '1s' };

export async function proveErasure(options: ProofOptions): Promise<ProofResult> {
  const log = openOperationLog(join(options.folder, 'operations.jsonl'));
  const around = await startInstallation(options.folder, options.stops, SETTINGS);
  try {
    return await play(options, around, log);
  } finally {
    await around.stop();
  }
}

type Erasure = {
  id: string;
  state: string;
  waitingFor: { why: string }[];
  waitingForCount: number;
  customerReference: string;
  report: { erased: Record<string, number> } | null;
  certificate: object | null;
};

async function play(
  { orders, inFlight, perSecond, folder, say }: ProofOptions,
  around: Installation,
  log: ReturnType<typeof openOperationLog>,
): Promise<ProofResult> {
  const { direct, pool } = around;
  const [violations, api] = [[] as string[], direct.api];
  const expect = (isSo: boolean, says: string) => void (isSo || violations.push(says));
  await until('there is stock', 120_000, async () => {
    await stockUpForOthers(api, orders);
    await stockUp(api);
    return true;
  });
  const traffic = createTraffic(around.apis, log, perSecond);
  traffic.flow();
  const early = await placeAll(api, 0, orders - inFlight);
  say(`${early.length} orders of a person are placed`);
  await until('the early ones are final', ERASED_LIMIT_MS, async () => (await countOpen(pool)) === 0);
  await takeBack(api, early);
  const late = await placeAll(api, orders - inFlight, orders, true);
  const placed = [...early, ...late];
  const before = await countTraces(pool);
  const from = performance.now();
  const since = () => Math.round((performance.now() - from) / 100) / 10;
  const asked = await ask(api);
  const first = await look(api, asked.id, ({ waitingForCount, state }) => waitingForCount > 0 || state !== 'waiting');
  say(`asked: ${first.waitingForCount} orders hold it`);
  const untilAllFinal = await until('the person’s orders are final', ERASED_LIMIT_MS, async () =>
    (await countOpen(pool)) === 0 ? since() : false,
  );
  const kills = await killAmid(around, asked.id, say);
  const done = await look(api, asked.id, ({ state }) => state === 'done');
  const untilDone = since();
  say(`erased after ${untilDone} s`);
  expect((await ask(api)).customerReference === null, 'the person is still known');
  const repeated = await repeat(api, placed);
  await traffic.stop();
  await quiesce(around, { settle: async () => traffic.caller.unanswered().length }, log).then((quiet) =>
    violations.push(...quiet.violations),
  );
  const after = await countTraces(pool);
  for (const [table, count] of Object.entries(after))
    expect(count === 0, `${count} rows of ${table} have the person’s word`);
  const told = await countTold(around, done.customerReference);
  expect(told.webhook > 0 && told.feed === 1, `customer.erased was told ${told.webhook} and ${told.feed} times`);
  expect(sumOf(repeated.byKey) === (repeated.byKey['410 erased'] ?? 0), 'a repeated key was answered otherwise');
  expect(sumOf(repeated.byNumber) === (repeated.byNumber['409 order-erased'] ?? 0), 'a repeated number was taken');
  for (const says of await verifyByProduct(around, folder, done)) violations.push(says);
  return {
    ...describeRun(),
    orders: placed.length,
    kinds: tallyOf(placed.map(({ kind }) => kind)),
    heldBy: { count: first.waitingForCount, why: tallyOf(first.waitingFor.map(({ why }) => why)) },
    seconds: { untilAllFinal, untilDone },
    kills,
    erased: done.report?.erased ?? {},
    othersOrders: (await count(pool, `SELECT count(*)::int AS count FROM orders`)) - placed.length,
    repeated,
    traces: { before, after },
    told,
    held: await heldInTheEnd(around),
    violations: [...violations, ...around.surprises],
  };
}

/** Reconciliation and late refunds are in time, too. */
async function heldInTheEnd(around: Installation): Promise<Held[]> {
  for (let tries = 1; ; tries++) {
    const held = (await holdInvariants(around)).map(({ violations, ...rest }) => ({
      ...rest,
      violations: violations.map(({ says }) => says),
    }));
    if (tries === HOLD_TRIES || held.every(({ violations }) => violations.length === 0)) return held;
    await sleep(HOLD_AGAIN_MS);
  }
}
const HOLD_TRIES = 20;
const HOLD_AGAIN_MS = 3_000;

const sumOf = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, n) => sum + n, 0);
const tallyOf = (names: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

async function ask(api: string): Promise<Erasure> {
  const url = `${api}/admin/customers/${CUSTOMER}/erase`;
  const { outcome, text } = await send({ method: 'POST', url, body: { operator: 'soak-operator', reason: 'a proof' } });
  if (outcome !== 'ok') throw new Error(`the erasure cannot be asked for: ${text}`);
  return JSON.parse(text ?? '') as Erasure;
}

const look = (api: string, id: string, isSo: (erasure: Erasure) => boolean): Promise<Erasure> =>
  until('the erasure goes on', ERASED_LIMIT_MS, async () => {
    const { outcome, text } = await send({ method: 'GET', url: `${api}/admin/erasures/${id}` });
    const erasure = outcome === 'ok' ? (JSON.parse(text ?? '') as Erasure) : undefined;
    return erasure && isSo(erasure) && erasure;
  });

/** Both processes that may be at it, each time that it has come further. */
async function killAmid(around: Installation, id: string, say: (text: string) => void): Promise<number> {
  const erasers = ['worker', 'all'].flatMap((name) => around.parts.get(name as 'worker') ?? []);
  let kills = 0;
  for (let done = 0; kills < 6; ) {
    const moved = await until('it has begun', ERASED_LIMIT_MS, async () => {
      const { rows } = await around.pool.query<{ state: string; done: number }>(
        `SELECT state, coalesce((counts ->> 'orders')::int, 0) AS done FROM erasures WHERE id = $1`,
        [id],
      );
      const row = rows[0];
      return row && (row.state === 'done' || (row.state === 'erasing' && row.done >= done)) && row;
    });
    if (moved.state === 'done') break;
    done = moved.done + 100;
    for (const part of erasers) await part.kill();
    kills += erasers.length;
    for (const part of erasers) part.up();
    say(`killed amid it, with ${moved.done} orders done`);
  }
  await around.untilReady(180_000);
  return kills;
}

const countOpen = (pool: pg.Pool): Promise<number> =>
  count(
    pool,
    `SELECT count(*)::int AS count FROM orders o JOIN customers c ON o.customer_id = c.reference::text AND c.client_id = '${CUSTOMER}'
     WHERE o.status = 'PENDING' OR (o.status = 'CONFIRMED' AND (o.unwinding_reason IS NOT NULL OR o.forward_due))`,
  );

async function count(pool: pg.Pool, sql: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(sql);
  return rows[0]?.count ?? 0;
}

/** Rows of every table that have the word in any of their columns. */
async function countTraces(pool: pg.Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of rows) {
    const found = await count(pool, `SELECT count(*)::int AS count FROM "${name}" t WHERE t::text ILIKE '%${WORD}%'`);
    if (found > 0) counts[name] = found;
  }
  return counts;
}

async function countTold({ consumer, pool }: Installation, reference: string) {
  const ofPerson = consumer.received.filter(({ type, subject }) => type === 'customer.erased' && subject === reference);
  const feed = await count(
    pool,
    `SELECT count(*)::int AS count FROM outbox WHERE type = 'customer.erased' AND order_id = '${reference}'`,
  );
  return { webhook: ofPerson.length, feed };
}

/** What the product's own tools say. @returns what they find wrong */
async function verifyByProduct(around: Installation, folder: string, done: Erasure): Promise<string[]> {
  await sleep(GRACE_MS);
  const file = join(folder, 'certificate.json');
  writeFileSync(file, JSON.stringify(done.certificate));
  const [books, trail, certificate] = [
    await ops(around, 'verify'),
    await ops(around, 'audit', 'verify'),
    await ops(around, 'erasures', 'verify', file),
  ];
  const verdicts = { 'ops verify': books, 'ops audit verify': trail, 'ops erasures verify': certificate };
  return Object.entries(verdicts).flatMap(([name, { code, said }]) =>
    code === 0 ? [] : [`${name} ended with ${code}: ${said}`],
  );
}
