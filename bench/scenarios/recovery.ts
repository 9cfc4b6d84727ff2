/** Recovery: any one process but the launcher is killed amid 200 orders. How much later are all of them final? */
import { setTimeout as sleep } from 'node:timers/promises';
import { createPost, type Post } from '../http.js';
import { closedLoop } from '../load.js';
import { newKey, orderOf, requireConfirmed, SPREAD, spread, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median } from '../statistics.js';

export const recovery: Scenario = {
  name: 'recovery',
  run: (bench) => withProduct({}, (product) => killAll(bench, product)),
};

const ORDERS = 200;
const CLIENTS = 16;
const VICTIMS = ['service', 'Temporal', 'Postgres', 'sandbox'] as const;
/** What a client does that was refused or not answered: the same request, under the same key. */
const RETRY_AFTER_MS = 50;
const FINAL_LIMIT_MS = 120_000;
const POLL_MS = 20;

async function killAll(bench: Bench, product: Product): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const { post, close } = createPost(product.api);
  const seconds = (victim?: (typeof VICTIMS)[number]) => () =>
    secondsToFinal(product, post, bench.sized(ORDERS), victim);
  await seconds()();
  const turns = await inTurns(bench, {
    undisturbed: seconds(),
    service: seconds('service'),
    Temporal: seconds('Temporal'),
    Postgres: seconds('Postgres'),
    sandbox: seconds('sandbox'),
  });
  close();
  const undisturbed = median(turns.undisturbed);
  return {
    figures: VICTIMS.map((victim) => ({
      what: `kill -9 of ${victim} amid ${bench.sized(ORDERS)} orders: later than undisturbed`,
      value: median(turns[victim]) - undisturbed,
      unit: 's',
      target: { atMost: 5 },
      from: `${turns[victim].map((s) => s.toFixed(1)).join(', ')} s; undisturbed ${undisturbed.toFixed(1)} s`,
    })),
    details: [],
  };
}

/** @returns from the first POST to the last confirmation */
async function secondsToFinal(product: Product, post: Post, count: number, victim?: string): Promise<number> {
  await product.ready();
  const from = performance.now();
  let accepted = 0;
  const ids = await closedLoop({ clients: CLIENTS, count }, async (n) => {
    const id = await placeSurely(post, spread(n));
    // Amid: half of them are accepted, and the sagas of most are on their way.
    if (++accepted === Math.ceil(count / 2) && victim !== undefined) process.kill(product.pid(victim), 'SIGKILL');
    return id;
  });
  await untilFinal(product, ids);
  const seconds = (performance.now() - from) / 1000;
  await requireConfirmed(product, ids);
  await requireNoMore(product, ids);
  return seconds;
}

/** Until it is accepted, as a client does that wants its order. */
async function placeSurely(post: Post, sku: string): Promise<string> {
  const headers = { 'idempotency-key': newKey() };
  for (;;) {
    const answer = await post('/orders', orderOf(sku), headers).catch(() => undefined);
    if (answer?.status === 201) return (JSON.parse(answer.body) as { id: string }).id;
    await sleep(RETRY_AFTER_MS);
  }
}

async function untilFinal(product: Product, ids: string[]): Promise<void> {
  const deadline = performance.now() + FINAL_LIMIT_MS;
  for (;;) {
    const pending = await countPending(product).catch(() =>
      product.reconnect().then(
        () => undefined,
        () => undefined,
      ),
    );
    if (pending === 0) return;
    if (performance.now() > deadline) throw new Error(`${pending} of ${ids.length} orders are still pending`);
    await sleep(POLL_MS);
  }
}

async function countPending({ client }: Product): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM orders WHERE status = 'PENDING'`,
  );
  return rows[0]?.count ?? 0;
}

/** A request that was sent again must not have made a second order. */
async function requireNoMore({ client }: Product, ids: string[]): Promise<void> {
  const { rows } = await client.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM orders WHERE id >= $1::uuid',
    [ids.toSorted()[0]],
  );
  if (rows[0]?.count !== ids.length) throw new Error(`${ids.length} orders were placed, ${rows[0]?.count} are there`);
}
