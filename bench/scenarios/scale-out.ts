/**
 * Scale out: one, two and four processes of the service (`ROLE=all`) behind clients that take turns with them, on one Temporal server on
 * Postgres. On a machine with few cores more of them cannot do more; what each order costs then tells whether they get in each other's
 * way. Needs Temporal's programs: `npm run bench -- --only scale-out --temporal-server <folder>`.
 */
import { measure } from '../measurement.js';
import { type Client, clientOf, SPREAD, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { emptyTurn, type Run, runName, type ScaleOut, scaleOutFindings } from '../scale-out-findings.js';
import type { Bench, Scenario } from '../scenario.js';
import { startTemporalOnPostgres, type TemporalServer } from '../../testbed/temporal-on-postgres.js';
import { startTwin, type Twin } from '../twins.js';
import type { Turn } from '../waiting-findings.js';
import { startYardstick, subjectOf, type Yardstick } from '../yardstick.js';

export const scaleOut: Scenario = { name: 'scale-out', run };

const PROCESSES = [1, 2, 4];
const CLIENTS = [16, 64];
const COUNT = 800;
const EMPTY = { clients: 16, count: 400 };
/** For each process that is new: an order's cost falls for some 900 orders. */
const WARM_UP = 900;

async function run(bench: Bench): Promise<Findings> {
  if (bench.temporalServer === undefined) {
    bench.say('  left out: it needs --temporal-server, as docs/scale.md says');
    return { figures: [], details: [] };
  }
  const temporal = await startTemporalOnPostgres(bench.temporalServer);
  try {
    return await withProduct({ TEMPORAL_ADDRESS: temporal.address }, (product) => compare(bench, product, temporal));
  } finally {
    await temporal.stop();
  }
}

async function compare(bench: Bench, alone: Product, temporal: TemporalServer): Promise<Findings> {
  const twins: Twin[] = [];
  const product: Product = {
    ...alone,
    temporalAddress: temporal.address,
    roots: () => new Map([...alone.roots(), ...temporal.roots, ...twins.map(({ pid }) => [pid, 'service'] as const)]),
  };
  await stock(product, SPREAD);
  const empty = await startYardstick('empty-eager', product, product.databaseUrl);
  const results: ScaleOut = { runs: new Map(), empty: [] };
  try {
    for (let repetition = 1; repetition <= bench.repetitions; repetition++) {
      for (const processes of PROCESSES) {
        const added = processes - 1 - twins.length;
        while (twins.length < processes - 1) twins.push(await startTwin(product));
        const client = clientOf(product, [product.api, ...twins.map(({ api }) => api)]);
        const fresh = repetition === 1 && processes === 1 ? 1 : added;
        if (fresh > 0) await client.waiting({ clients: 16, count: bench.sized(WARM_UP * fresh) });
        for (const clients of CLIENTS) {
          const turn = await placed(client, { clients, count: bench.sized(COUNT) });
          add(results.runs, { processes, clients }, turn);
          const perS = ((turn.count / turn.elapsedMs) * 1000).toFixed(1);
          bench.say(`  ${runName({ processes, clients })}, ${repetition} of ${bench.repetitions}: ${perS}/s`);
        }
        client.close();
      }
      for (const twin of twins.splice(0)) await twin.stop();
      results.empty.push(await emptyOnce(bench, product, empty));
    }
  } finally {
    await empty.stop();
    for (const twin of twins) await twin.stop();
  }
  return scaleOutFindings(results);
}

async function placed(client: Client, load: { clients: number; count: number }): Promise<Turn> {
  const { result, ...measured } = await client.waiting(load);
  return { ...measured, count: result.length, latenciesMs: result.map(({ finalMs }) => finalMs) };
}

function add(runs: ScaleOut['runs'], run: Run, turn: Turn): void {
  const name = runName(run);
  runs.set(name, { run, turns: [...(runs.get(name)?.turns ?? []), turn] });
}

async function emptyOnce(bench: Bench, product: Product, empty: Yardstick): Promise<Turn> {
  const subject = subjectOf(product, [empty], ['Temporal', 'Temporal’s Postgres']);
  return emptyTurn(await measure(subject, () => empty.run({ ...EMPTY, count: bench.sized(EMPTY.count) })));
}
