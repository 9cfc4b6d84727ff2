/** What turns with one and with several processes of the service have shown. */
import type { Measured } from './measurement.js';
import type { Details, Figure, Findings } from './report.js';
import { median } from './statistics.js';
import { cpuEach, each, rate, ratios, spread, type Turn } from './waiting-findings.js';

export type Run = { processes: number; clients: number };
export type ScaleOut = {
  /** By name, in the order in which they were measured first; a turn per repetition. */
  runs: Map<string, { run: Run; turns: Turn[] }>;
  empty: Turn[];
};

export const runName = ({ processes, clients }: Run): string =>
  `${processes} ${processes === 1 ? 'process' : 'processes'}, ${clients} waiting clients`;

export const emptyTurn = ({ result, ...measured }: Measured<number[]>): Turn => ({
  ...measured,
  count: result.length,
  latenciesMs: result,
});

export const scaleOutFindings = (results: ScaleOut): Findings => ({
  figures: [...results.runs.values()].flatMap(({ run, turns }) => figuresOf(results, run, turns)),
  details: [details(results)],
});

/** Beside one process, with as many clients. */
function figuresOf({ runs }: ScaleOut, run: Run, turns: Turn[]): Figure[] {
  if (run.processes === 1) return [];
  const one = runs.get(runName({ ...run, processes: 1 }))?.turns ?? [];
  const beside = (what: string, unit: string, value: (turn: Turn) => number): Figure => {
    const shares = ratios(each(turns, value), each(one, value));
    const from = `${spread(each(turns, value))} ${unit} ÷ ${spread(each(one, value))} ${unit}: ${spread(shares)}`;
    return { what: `${runName(run)}: ${what} ÷ with one process`, value: median(shares), from };
  };
  return [beside('CPU per order', 'ms', cpuEach), beside('orders/s', 'orders/s', rate)];
}

const PROGRAMS = ['service', 'Temporal', 'Temporal’s Postgres', 'Postgres', 'sandbox', 'launcher', 'empty-eager'];

function details({ runs, empty }: ScaleOut): Details {
  const rows = [
    ...[...runs].map(([name, { turns }]) => [name, turns] as const),
    ['empty workflow, eager', empty] as const,
  ];
  const cpuOf = (program: string) => (turn: Turn) => (turn.cpuMs.get(program) ?? 0) / turn.count;
  return {
    title: 'Processes of the service on one Temporal server on Postgres: CPU milliseconds per order or workflow',
    head: ['', 'all', ...PROGRAMS, 'per second'],
    rows: rows.map(([name, turns]) => [
      name,
      spread(each(turns, cpuEach)),
      ...PROGRAMS.map((program) => median(each(turns, cpuOf(program)))),
      spread(each(turns, rate)),
    ]),
    note: 'Requests take turns with the processes. The gateway’s webhook goes to the first one.',
  };
}
