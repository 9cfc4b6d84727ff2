/**
 * Outage: destinations are away while events pile up behind them, and come back. How long do they take to catch up, and
 * what do clients notice of it? Twice: with clients that order all the while, and without.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../local/processes/ports.js';
import { type DeliveriesWatch, LOOK_EVERY_MS, type Sample, watchDeliveries } from '../deliveries-watch.js';
import { type Destinations, startDestinations } from '../destinations.js';
import type { Load } from '../load.js';
import { type Client, clientOf, SPREAD, stock } from '../orders.js';
import {
  type CatchUp,
  catchUpFigures,
  clientFigures,
  type Phase,
  phaseDetails,
  promiseFigures,
  SHOWN_MIN,
  shownFigures,
} from '../outage-findings.js';
import { addPastOrders } from '../past-orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import type { Bench, Scenario } from '../scenario.js';

export const outage: Scenario = { name: 'outage', run };

/** Four events each: 50,000 are owed, and those of the orders that are placed meanwhile. */
const ORDERS_BEHIND = 12_500;
const LOAD = { clients: 16, count: 600 };
/** Until the relay's pauses are as long as they get. */
const AWAY_MS = 30_000;
const CATCH_UP_LIMIT_MS = 600_000;
/** The facts are asked of Postgres every 5 s. */
const SHOWN_LIMIT_MS = 30_000;
/** Under load some hundred are always on their way. */
const ON_THEIR_WAY_MAX = 500;

async function run(bench: Bench): Promise<Findings> {
  const destinations = await startDestinations();
  const metricsPort = await freePort();
  try {
    return await withProduct({ ...destinations.settings, METRICS_PORT: `${metricsPort}` }, (product) =>
      measureOutages(bench, product, destinations, metricsPort),
    );
  } finally {
    await destinations.stop();
  }
}

async function measureOutages(
  bench: Bench,
  product: Product,
  destinations: Destinations,
  metricsPort: number,
): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const client = clientOf(product);
  const watch = watchDeliveries(metricsPort, destinations.names);
  const load = { ...LOAD, count: bench.sized(LOAD.count) };
  const phase = (name: string, of: Load = load) => measurePhase(bench, client, watch, [name, of]);
  bench.say('  warming up');
  await client.amid(load);

  const before = await phase('destinations there');
  const first = watch.samples.length;
  const away = await leaveBehind(bench, product, [watch, destinations], () => phase('destinations away'));
  const comingBack = catchUp(bench, product, watch, destinations);
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  comingBack.then(over, over);
  const during = await phase('catching up', { clients: LOAD.clients, isOver: () => isOver });
  const amidOrders = await comingBack;
  const after = await phase('caught up');

  const next = watch.samples.length;
  await leaveBehind(bench, product, [watch, destinations], async () => undefined);
  const alone = await catchUp(bench, product, watch, destinations);
  await watch.until('the metrics say that nothing is owed', owesNothing, SHOWN_LIMIT_MS);
  await watch.stop();
  client.close();
  return {
    figures: [
      ...catchUpFigures(amidOrders, alone),
      ...clientFigures(after, away, during),
      ...promiseFigures({ ...(await readKept(product)), arrivals: await destinations.arrivals() }),
      ...shownFigures({
        before,
        firstOutage: watch.samples.slice(first, next),
        secondOutage: watch.samples.slice(next),
        caughtUp: amidOrders,
      }),
    ],
    details: [phaseDetails([before, away, during, after], destinations.names)],
  };
}

const owesNothing = ({ backlog, lagSeconds }: Sample): boolean =>
  [backlog, lagSeconds].every((shown) => Object.values(shown).every((value) => value === 0));

/** Has them leave, and stay away for long enough. @param meanwhile what else is done in that time */
async function leaveBehind<T>(
  bench: Bench,
  { client }: Product,
  [watch, destinations]: [DeliveriesWatch, Destinations],
  meanwhile: () => Promise<T>,
): Promise<T> {
  const orders = bench.sized(ORDERS_BEHIND);
  await destinations.leave();
  const longEnough = sleep(AWAY_MS * bench.scale);
  await addPastOrders(client, orders, { areOwed: true });
  const [result] = await Promise.all([meanwhile(), longEnough]);
  const isShown = ({ backlog }: Sample) => Object.values(backlog).every((events) => events >= SHOWN_MIN * 4 * orders);
  await watch.until('the metrics show what is owed', isShown, SHOWN_LIMIT_MS);
  return result;
}

async function measurePhase(
  { say }: Bench,
  client: Client,
  watch: DeliveriesWatch,
  [name, load]: [name: string, load: Load],
): Promise<Phase> {
  const first = watch.samples.length;
  const { placed, elapsedMs } = await client.amid(load);
  const phase = { name, placed, elapsedMs, samples: watch.samples.slice(first) };
  say(`  ${name}: ${placed.length} orders in ${(elapsedMs / 1000).toFixed(1)} s`);
  return phase;
}

/** Lets them come back, and waits until each has taken as many as it was owed then, and the metrics say that it has caught up. */
async function catchUp(
  { say }: Bench,
  { client }: Product,
  watch: DeliveriesWatch,
  destinations: Destinations,
): Promise<CatchUp[]> {
  const { rows } = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM outbox');
  const events = rows[0]?.count ?? 0;
  const { taken } = watch.samples.at(-1) as Sample; // nothing is taken by those that are away
  await destinations.comeBack();
  const backAtMs = performance.now();
  const caughtUp = await Promise.all(
    destinations.names.map(async (name): Promise<CatchUp> => {
      const before = taken[name] ?? 0;
      const owed = events - before;
      const until = (isSo: (sample: Sample) => boolean) => watch.until(`${name} catches up`, isSo, CATCH_UP_LIMIT_MS);
      const [resumed, served, shown] = await Promise.all([
        until((sample) => (sample.taken[name] ?? 0) > before),
        until((sample) => (sample.taken[name] ?? 0) >= events),
        until((sample) => (sample.backlog[name] ?? 0) <= ON_THEIR_WAY_MAX),
      ]);
      const drainedMs = served.atMs - resumed.atMs + LOOK_EVERY_MS; // what the first look saw took part of the time before it
      return {
        name,
        owed,
        resumedS: (resumed.atMs - backAtMs) / 1000,
        caughtUpS: (shown.atMs - backAtMs) / 1000,
        perS: (((served.taken[name] ?? 0) - before) / drainedMs) * 1000,
      };
    }),
  );
  for (const { name, owed, perS } of caughtUp) say(`  ${name}: ${owed} events at ${perS.toFixed(0)}/s`);
  return caughtUp;
}

async function readKept({ client }: Product): Promise<{ events: number; deadLetters: number }> {
  const { rows } = await client.query<{ events: number; deadLetters: number }>(
    `SELECT (SELECT count(*) FROM outbox)::int AS events, (SELECT count(*) FROM dead_letters)::int AS "deadLetters"`,
  );
  return rows[0] as { events: number; deadLetters: number };
}
