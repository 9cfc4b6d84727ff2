/**
 * Waiting: clients that each wait for the end of their order (`Prefer: wait`), as shops do. What an order costs, whether more clients
 * get less, whether one waits much longer than another, and what a POST beside them takes. With `--base` all of it in turns with
 * another version of the product, each on servers of its own: `npm run bench -- --only waiting --base <checkout>`, 6 minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { measure } from '../measurement.js';
import { type Client, clientOf, SPREAD, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { startYardstick, subjectOf, type Yardstick } from '../yardstick.js';
import { type Side, type Turn, type Turns, waitingFindings } from '../waiting-findings.js';

export const waiting: Scenario = { name: 'waiting', run };

const CLIENTS = 16;
const MANY_CLIENTS = 64;
/** Orders, workflows or requests per turn. */
const COUNTS = { few: 800, many: 1_000, empty: 400, beside: 50 };
/** Before the first turn, since cold code is not what is compared: an order's cost falls for some 900 orders. */
const WARM_UP = { few: 900, many: 300, empty: 600, beside: 0 };
/** Of the POSTs beside: rare, so that they are not what the others wait for. */
const POST_EVERY_MS = 200;
/** The clients beside which they are sent are all waiting by then. */
const BEGIN_AFTER_MS = 500;

type Contender = { side: Side; product: Product; client: Client; empty: Yardstick };

async function run(bench: Bench): Promise<Findings> {
  return await withContender(bench, 'new', async (ours) =>
    bench.base === undefined
      ? await compare(bench, [ours])
      : await withContender(bench, 'base', async (base) => await compare(bench, [ours, base])),
  );
}

async function withContender<T>(bench: Bench, side: Side, use: (contender: Contender) => Promise<T>): Promise<T> {
  const prepared = async (product: Product) => {
    if (side === 'new') bench.starts.first.push(product.readySeconds);
    await stock(product, SPREAD);
    const client = clientOf(product);
    const empty = await startYardstick('empty-eager', product, product.databaseUrl);
    try {
      return await use({ side, product, client, empty });
    } finally {
      client.close();
      await empty.stop();
    }
  };
  return await withProduct({}, prepared, side === 'new' ? undefined : bench.base);
}

async function compare(bench: Bench, contenders: Contender[]): Promise<Findings> {
  bench.say('  warming up');
  for (const contender of contenders)
    for (const turn of Object.values(turnsOf(bench, contender, WARM_UP))) await turn();
  const works = contenders.map((contender) => [contender.side, turnsOf(bench, contender, COUNTS)] as const);
  const kinds = Object.keys(COUNTS) as (keyof typeof COUNTS)[];
  const named = kinds.flatMap((kind) => works.map(([side, turns]) => [`${side}: ${kind}`, turns[kind]] as const));
  const results = await inTurns(bench, Object.fromEntries(named));
  const of = (side: Side): Turns =>
    Object.fromEntries(kinds.map((kind) => [kind, results[`${side}: ${kind}`] ?? []])) as Turns;
  return waitingFindings({ new: of('new'), ...(contenders.length > 1 && { base: of('base') }) });
}

function turnsOf(bench: Bench, { product, client, empty }: Contender, counts: typeof COUNTS) {
  const placed = (clients: number, count: number) => async (): Promise<Turn> => {
    const { result, ...measured } = await client.waiting({ clients, count });
    return { ...measured, count: result.length, latenciesMs: result.map(({ finalMs }) => finalMs) };
  };
  return {
    few: placed(CLIENTS, bench.sized(counts.few)),
    many: placed(MANY_CLIENTS, bench.sized(counts.many)),
    empty: async (): Promise<Turn> => {
      const request = { clients: CLIENTS, count: bench.sized(counts.empty) };
      const { result, ...measured } = await measure(subjectOf(product, [empty], ['Temporal']), () =>
        empty.run(request),
      );
      return { ...measured, count: result.length, latenciesMs: result };
    },
    beside: () => postBeside(client, bench.sized(counts.beside)),
  } satisfies Record<keyof typeof COUNTS, () => Promise<Turn>>;
}

/** A client that is answered at once, beside those that wait. @returns its latencies; the rest is of all of them */
async function postBeside(client: Client, count: number): Promise<Turn> {
  let isOver = false;
  const crowd = client.waiting({ clients: CLIENTS, isOver: () => isOver });
  const latenciesMs: number[] = [];
  try {
    await sleep(BEGIN_AFTER_MS);
    while (latenciesMs.length < count) {
      for (const { acceptedMs } of await client.hastily({ clients: 1, count: 1 })) latenciesMs.push(acceptedMs);
      await sleep(POST_EVERY_MS);
    }
  } finally {
    isOver = true;
  }
  const { result, ...measured } = await crowd;
  return { ...measured, count: result.length + count, latenciesMs };
}
