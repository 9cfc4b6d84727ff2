/** What turns with waiting clients have shown: this version's figures, and where another was measured beside it, both and their ratio. */
import { type Details, type Figure, type Findings, round } from './report.js';
import { median, quantile, sum } from './statistics.js';

export type Side = 'new' | 'base';
/** How much was done, in which time, with whose CPU, and how long each took its client. */
export type Turn = { count: number; elapsedMs: number; cpuMs: Map<string, number>; latenciesMs: number[] };
/** One turn per repetition: 16 waiting clients, 64 of them, empty workflows, and POSTs beside 16 waiting clients. */
export type Turns = Record<'few' | 'many' | 'empty' | 'beside', Turn[]>;
export type Measured = { new: Turns; base?: Turns };

export const cpuEach = ({ cpuMs, count }: Turn): number => sum([...cpuMs.values()]) / count;
export const rate = ({ count, elapsedMs }: Turn): number => (count / elapsedMs) * 1000;
const p50 = ({ latenciesMs }: Turn): number => median(latenciesMs);
const p95 = ({ latenciesMs }: Turn): number => quantile(latenciesMs, 0.95);

/** What each repetition gave. */
export const each = (turns: Turn[], value: (turn: Turn) => number): number[] => turns.map(value);
/** Repetition by repetition: what the machine does in passing has met both alike. */
export const ratios = (above: number[], below: number[]): number[] =>
  above.map((value, i) => value / (below[i] ?? Number.NaN));
/** Median, and the least and the most of the repetitions. */
export const spread = (values: number[]): string =>
  `${round(median(values))} [${round(Math.min(...values))}–${round(Math.max(...values))}]`;

export function waitingFindings(measured: Measured): Findings {
  return { figures: figures(measured), details: details(measured) };
}

function figures({ new: ours, base }: Measured): Figure[] {
  const cpu = compared(
    'CPU per order of 16 waiting clients, all processes',
    0.7,
    each(ours.few, cpuEach),
    base && each(base.few, cpuEach),
  );
  const post = compared(
    'POST→201 p50 beside 16 waiting clients',
    0.5,
    each(ours.beside, p50),
    base && each(base.beside, p50),
  );
  const within = (what: string, target: Figure['target'], of: (turns: Turns) => number[]): Figure => {
    const values = of(ours);
    const other = base ? `; base ${spread(of(base))}` : '';
    return { what, value: median(values), ...(target && { target }), from: `${spread(values)}${other}` };
  };
  return [
    cpu,
    within('the same ÷ per empty workflow, started eagerly as ours are, on the same server', { atMost: 1.7 }, (turns) =>
      ratios(each(turns.few, cpuEach), each(turns.empty, cpuEach)),
    ),
    within('orders/s at 64 waiting clients ÷ at 16', { atLeast: 1 }, (turns) =>
      ratios(each(turns.many, rate), each(turns.few, rate)),
    ),
    within('POST→CONFIRMED at 64 waiting clients: p95 ÷ p50', { atMost: 1.6 }, (turns) =>
      ratios(each(turns.many, p95), each(turns.many, p50)),
    ),
    post,
  ];
}

/** Milliseconds beside those of the base, as their ratio; without a base the milliseconds themselves, and no target. */
function compared(what: string, atMost: number, ours: number[], base: number[] | undefined): Figure {
  if (base === undefined) return { what, value: median(ours), unit: 'ms', from: spread(ours) };
  const shares = ratios(ours, base);
  const from = `${spread(ours)} ms ÷ ${spread(base)} ms: ${spread(shares)}`;
  return { what: `${what} ÷ the base’s`, value: median(shares), target: { atMost }, from };
}

const NAMES: Record<keyof Turns, string> = {
  few: '16 waiting clients',
  many: '64 waiting clients',
  empty: 'empty workflow, eager',
  beside: '16 waiting clients and a POST',
};
const PROGRAMS = ['service', 'Temporal', 'Postgres', 'sandbox', 'launcher', 'empty-eager'];

function details({ new: ours, base }: Measured): Details[] {
  const kinds = Object.keys(NAMES) as (keyof Turns)[];
  const rows = kinds.flatMap((kind) => [
    [base ? `${NAMES[kind]}: new` : NAMES[kind], ours[kind]] as const,
    ...(base ? [[`${NAMES[kind]}: base`, base[kind]] as const] : []),
  ]);
  const cpuOf = (program: string) => (turn: Turn) => (turn.cpuMs.get(program) ?? 0) / turn.count;
  return [
    {
      title: 'Waiting clients: CPU milliseconds per order or workflow',
      head: ['', 'all', ...PROGRAMS],
      rows: rows.map(([name, turns]) => [
        name,
        spread(each(turns, cpuEach)),
        ...PROGRAMS.map((program) => median(each(turns, cpuOf(program)))),
      ]),
      note: 'Median of the repetitions, with the least and the most. Clients send `Prefer: wait=20` and are not counted.',
    },
    {
      title: 'Waiting clients: rates and latencies (ms)',
      head: ['', 'per second', 'p50', 'p95', 'p99'],
      rows: rows.map(([name, turns]) => [
        name,
        spread(each(turns, rate)),
        ...[0.5, 0.95, 0.99].map((q) => spread(each(turns, ({ latenciesMs }) => quantile(latenciesMs, q)))),
      ]),
      note: 'From the POST to the answer that says CONFIRMED; of the POST beside them, to its 201.',
    },
  ];
}
