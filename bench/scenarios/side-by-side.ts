/**
 * Side by side: the service and its yardsticks on the same servers, in turns. What one order costs, and how fast the
 * service is, are only known beside what an empty workflow, a textbook's saga and a bare HTTP route cost right here.
 */
import { Client, Connection } from '@temporalio/client';
import { orderSagaId } from '../../contracts/ids.js';
import { createPost } from '../http.js';
import { closedLoop } from '../load.js';
import { type Measured, measure, type Subject } from '../measurement.js';
import { clientOf, type Client as OrderClient, orderOf, type Placed, SPREAD, spread, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Details, Figure, Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median, quantile, sum } from '../statistics.js';
import { startYardstick, subjectOf, type Yardstick, yardstickDatabase } from '../yardstick.js';

export const sideBySide: Scenario = {
  name: 'side-by-side',
  run: (bench) => withProduct({}, (product) => compare(bench, product)),
};

/** Orders, workflows or requests per round. */
const COUNTS = { empty: 300, textbook: 120, ours: 400, alone: 100, bare: 300 };
/** Before the first round, since cold code is not what is compared: an order's cost falls for some 900 orders. */
const WARM_UP = { empty: 600, textbook: 240, ours: 900, alone: 50, bare: 600 };
const CLIENTS = 16;

/** One contender's round: how much was done, in which time, with whose CPU. */
type Turn = { count: number; elapsedMs: number; cpuMs: Map<string, number>; latenciesMs: number[]; finalMs: number[] };

async function compare(bench: Bench, product: Product): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const client = clientOf(product);
  const database = await yardstickDatabase(product);
  const start = (name: Yardstick['name']) => startYardstick(name, product, database);
  const yardsticks = {
    empty: await start('empty-eager'),
    emptyDefault: await start('empty-default'),
    textbookWorker: await start('textbook-worker'),
    textbook: await start('textbook-client'),
    bare: await start('bare-route'),
  };
  try {
    const turns = turnsOf(product, client, yardsticks);
    bench.say('  warming up');
    const all = (counts: typeof COUNTS) => ({
      'empty workflow, eager': () => turns.empty(bench.sized(counts.empty)),
      'service, 16 waiting clients': () => turns.ours16(bench.sized(counts.ours)),
      'textbook saga, 16 clients': () => turns.textbook(bench.sized(counts.textbook)),
      'service, 64 waiting clients': () => turns.ours64(bench.sized(counts.ours)),
      'empty workflow, default': () => turns.emptyDefault(bench.sized(counts.empty)),
      'bare route, 1 client': () => turns.bare(bench.sized(counts.bare)),
      'service, 1 client': () => turns.ours1(bench.sized(counts.alone)),
      'bare route, 1 client, after orders': () => turns.bareAfterOrders(bench.sized(counts.alone)),
    });
    for (const warmUp of Object.values(all(WARM_UP))) await warmUp();
    const results = await inTurns(bench, all(COUNTS));
    const history = await readHistory(product, (await client.steadily({ clients: 1, count: 1 })).result);
    return { figures: figuresOf(results, history), details: detailsOf(results) };
  } finally {
    client.close();
    for (const yardstick of Object.values(yardsticks)) await yardstick.stop();
  }
}

type Yardsticks = Record<'empty' | 'emptyDefault' | 'textbookWorker' | 'textbook' | 'bare', Yardstick>;

function turnsOf(product: Product, client: OrderClient, yardsticks: Yardsticks) {
  const { empty, emptyDefault, textbookWorker, textbook, bare } = yardsticks;
  const workflows = (yardstick: Yardstick, helpers: Yardstick[], servers: string[]) => async (count: number) => {
    const subject = subjectOf(product, [yardstick, ...helpers], servers);
    const request = { clients: CLIENTS, count: Math.ceil(count) };
    const measured = await measure(subject, () => yardstick.run(request));
    return { ...measured, count: request.count, latenciesMs: measured.result, finalMs: measured.result };
  };
  const waiting = (clients: number) => async (count: number) =>
    turnOf(await client.waiting({ clients, count: Math.ceil(count) }));
  return {
    empty: workflows(empty, [], ['Temporal']),
    emptyDefault: workflows(emptyDefault, [], ['Temporal']),
    textbook: workflows(textbook, [textbookWorker], ['Temporal', 'Postgres', 'sandbox']),
    bare: (count: number) => bareTurn(subjectOf(product, [bare], ['Postgres']), bare, Math.ceil(count)),
    bareAfterOrders: (count: number) =>
      bareTurn(subjectOf(product, [bare], ['Postgres']), bare, Math.ceil(count), () => client.placeOne()),
    // Answered at once: what a POST takes is compared with the bare route.
    ours1: async (count: number) => turnOf(await client.steadily({ clients: 1, count: Math.ceil(count) })),
    ours16: waiting(CLIENTS),
    ours64: waiting(4 * CLIENTS),
  } satisfies Record<string, (count: number) => Promise<Turn>>;
}

const turnOf = ({ result, ...rest }: Measured<Placed[]>): Turn => ({
  ...rest,
  count: result.length,
  latenciesMs: result.map(({ acceptedMs }) => acceptedMs),
  finalMs: result.map(({ finalMs }) => finalMs),
});

/** @param before what happens before each request; its time is not counted, though Postgres' CPU is */
async function bareTurn(
  subject: Subject,
  { port }: Yardstick,
  count: number,
  before?: () => Promise<unknown>,
): Promise<Turn> {
  const { post, close } = createPost(`http://127.0.0.1:${port}`);
  const measured = await measure(subject, () =>
    closedLoop({ clients: 1, count }, async (n) => {
      await before?.();
      const from = performance.now();
      const { status } = await post('/orders', orderOf(spread(n)));
      if (status !== 201) throw new Error(`the bare route answered ${status}`);
      return performance.now() - from;
    }),
  );
  close();
  return { ...measured, count, latenciesMs: measured.result, finalMs: measured.result };
}

async function readHistory({ temporalAddress }: Product, [placed]: { result: Placed[] }['result']) {
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    const handle = new Client({ connection }).workflow.getHandle(orderSagaId(placed?.id ?? ''));
    await handle.result();
    const { historyLength, historySize } = await handle.describe();
    return { events: historyLength, bytes: historySize ?? 0 };
  } finally {
    await connection.close();
  }
}

const cpuEach = ({ cpuMs, count }: Turn): number => sum([...cpuMs.values()]) / count;
const rate = ({ count, elapsedMs }: Turn): number => (count / elapsedMs) * 1000;
const medianOf = (turns: Turn[], value: (turn: Turn) => number): number => median(turns.map(value));
const p50 = ({ latenciesMs }: Turn): number => median(latenciesMs);

type Results = Record<
  | 'empty workflow, eager'
  | 'empty workflow, default'
  | 'textbook saga, 16 clients'
  | 'bare route, 1 client'
  | 'bare route, 1 client, after orders'
  | 'service, 1 client'
  | 'service, 16 waiting clients'
  | 'service, 64 waiting clients',
  Turn[]
>;

function figuresOf(results: Results, history: { events: number; bytes: number }): Figure[] {
  const [ours, empty, emptyDefault] = [
    medianOf(results['service, 16 waiting clients'], cpuEach),
    medianOf(results['empty workflow, eager'], cpuEach),
    medianOf(results['empty workflow, default'], cpuEach),
  ];
  const [oursRate, textbookRate] = [
    medianOf(results['service, 16 waiting clients'], rate),
    medianOf(results['textbook saga, 16 clients'], rate),
  ];
  const [oursP50, bareP50, bareAfterOrdersP50] = [
    medianOf(results['service, 1 client'], p50),
    medianOf(results['bare route, 1 client'], p50),
    medianOf(results['bare route, 1 client, after orders'], p50),
  ];
  const r = (value: number) => value.toFixed(1);
  return [
    {
      what: 'CPU per confirmed order of waiting clients ÷ per empty workflow, started as the SDK does by itself',
      value: ours / emptyDefault,
      target: { atMost: 1.7 },
      from: `${r(ours)} ms ÷ ${r(emptyDefault)} ms`,
    },
    {
      what: 'CPU per confirmed order of waiting clients ÷ per empty workflow, started eagerly as ours are',
      value: ours / empty,
      target: { atMost: 1.7 },
      from: `${r(ours)} ms ÷ ${r(empty)} ms`,
    },
    {
      what: 'orders/s at 16 waiting clients ÷ the textbook saga’s',
      value: oursRate / textbookRate,
      target: { atLeast: 4 },
      from: `${r(oursRate)}/s ÷ ${r(textbookRate)}/s`,
    },
    {
      what: 'history events of a confirmed order',
      value: history.events,
      target: { atMost: 10 },
      from: `${history.bytes} bytes`,
    },
    {
      what: 'POST→201 p50 ÷ a bare route’s with one INSERT, 1 client',
      value: oursP50 / bareP50,
      target: { atMost: 3 },
      from: `${oursP50.toFixed(2)} ms ÷ ${bareP50.toFixed(2)} ms`,
    },
    {
      what: 'the same, the bare route asked when an order has ended, too',
      value: oursP50 / bareAfterOrdersP50,
      target: { atMost: 3 },
      from: `${oursP50.toFixed(2)} ms ÷ ${bareAfterOrdersP50.toFixed(2)} ms`,
    },
  ];
}

function detailsOf(results: Results): Details[] {
  const all = Object.entries(results) as [keyof Results, Turn[]][];
  const programs = ['service', 'Temporal', 'Postgres', 'sandbox', 'launcher', 'yardstick'];
  const kindOf = (program: string) => (programs.includes(program) ? program : 'yardstick');
  const cpuOf = (turn: Turn, program: string) =>
    sum([...turn.cpuMs].filter(([name]) => kindOf(name) === program).map(([, ms]) => ms)) / turn.count;
  const quantiles = (turns: Turn[], latencies: (turn: Turn) => number[]) =>
    [0.5, 0.95, 0.99].map((q) => medianOf(turns, (turn) => quantile(latencies(turn), q)));
  return [
    {
      title: 'CPU milliseconds per order, workflow or request',
      head: ['', 'all', ...programs],
      rows: all.map(([name, turns]) => [
        name,
        medianOf(turns, cpuEach),
        ...programs.map((program) => medianOf(turns, (turn) => cpuOf(turn, program))),
      ]),
      note: 'The client that places the orders is not counted; the payment sandbox, which stands in for Stripe, is.',
    },
    {
      title: 'Rates and latencies (ms)',
      head: ['', 'per second', '201 p50', 'p95', 'p99', 'end p50', 'p95', 'p99'],
      rows: all.map(([name, turns]) => [
        name,
        medianOf(turns, rate),
        ...quantiles(turns, (turn) => turn.latenciesMs),
        ...quantiles(turns, (turn) => turn.finalMs),
      ]),
      note: 'Each client waits for the end of its order before it places the next: 16 and 64 by `Prefer: wait`, so that their 201 is the end; one by looking into Postgres every 5 ms. Of a workflow, `end` is its result.',
    },
  ];
}
