/** Traces: what an order costs without them, with all recorded, and with a tenth, on three installations in turns. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { clientOf, SPREAD, stock } from '../orders.js';
import { newInstallation } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median, sum } from '../statistics.js';

export const traces: Scenario = { name: 'traces', run: compare };

const COUNT = 400;
/** An order's cost falls for some 900 orders. */
const WARM_UP = 900;
const CLIENTS = 16;

type Turn = { cpuMs: number; bytes: number };

async function compare(bench: Bench): Promise<Findings> {
  const collector = await startSink();
  const traced = (ratio: string) => ({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: ratio,
  });
  const turn = (env: NodeJS.ProcessEnv) => async (): Promise<Turn> => {
    // One at a time, for each has processes that poll.
    const installation = await newInstallation(env);
    try {
      return await installation.run(async (product) => {
        await stock(product, SPREAD);
        const client = clientOf(product);
        await client.waiting({ clients: CLIENTS, count: bench.sized(WARM_UP) });
        const before = collector.bytes();
        const { cpuMs, result } = await client.waiting({ clients: CLIENTS, count: bench.sized(COUNT) });
        client.close();
        return { cpuMs: sum([...cpuMs.values()]) / result.length, bytes: (collector.bytes() - before) / result.length };
      });
    } finally {
      await installation.remove();
    }
  };
  try {
    const turns = await inTurns(bench, { off: turn({}), tenth: turn(traced('0.1')), all: turn(traced('1')) });
    return findingsOf(turns);
  } finally {
    collector.stop();
  }
}

function findingsOf(turns: Record<'off' | 'tenth' | 'all', Turn[]>): Findings {
  const cpu = (name: keyof typeof turns) => median(turns[name].map(({ cpuMs }) => cpuMs));
  // Within a turn: the machine's own speed changes from one to the next by more than traces cost.
  const shares = (name: keyof typeof turns) =>
    turns[name].map(({ cpuMs }, turn) => (cpuMs / (turns.off[turn]?.cpuMs ?? Number.NaN) - 1) * 100);
  const more = (name: keyof typeof turns) => median(shares(name));
  const from = (name: keyof typeof turns) =>
    `turns: ${shares(name)
      .map((share) => share.toFixed(1))
      .join(', ')}; medians ${cpu(name).toFixed(1)} ms against ${cpu('off').toFixed(1)} ms`;
  return {
    figures: [
      {
        what: 'CPU per order that traces cost, all recorded (%)',
        value: more('all'),
        target: { atMost: 3 },
        from: from('all'),
      },
      { what: 'the same, a tenth recorded (%)', value: more('tenth'), target: { atMost: 1 }, from: from('tenth') },
    ],
    details: [
      {
        title: 'Traces',
        head: ['recorded', 'CPU ms per order', 'lowest', 'highest', 'bytes per order'],
        rows: (['off', 'tenth', 'all'] as const).map((name) => [
          name,
          cpu(name),
          Math.min(...turns[name].map(({ cpuMs }) => cpuMs)),
          Math.max(...turns[name].map(({ cpuMs }) => cpuMs)),
          median(turns[name].map(({ bytes }) => bytes)),
        ]),
        note: 'All of the installation’s processes; the collector, which reads and forgets, is not counted.',
      },
    ],
  };
}

async function startSink(): Promise<{ url: string; bytes: () => number; stop: () => void }> {
  let bytes = 0;
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
